package pipelines

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"
	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/generator"
	"github.com/penstock/penstock/core"
)

// SchemaID names the schema of pipeline files.
const SchemaID = "urn:penstock:pipeline:1"

// node is a schema, or a part of one.
type node = map[string]any

// JSONSchema is the schema (draft 2020-12) of the pipeline files that this registry can read, made from the same structs
// that they are decoded into. An editor completes and checks with it; lint finds more.
func (r *Registry) JSONSchema() ([]byte, error) {
	root := schemaOf(reflect.TypeFor[outline]())
	root["$schema"], root["$id"] = jsonschema.Version, SchemaID
	root["title"], root["description"] = "Penstock pipeline", "A line from a source through stages to a sink."
	props := root["properties"].(node)
	props["version"].(node)["const"] = 1
	props["name"].(node)["pattern"] = pipelineName.String()
	props["source"] = r.sourceSchema()
	props["stages"] = node{
		"type": "array", "description": "What is done with the rows, in order.",
		"items": oneKind(r.transforms, "One stage."),
	}
	props["sink"] = oneKind(r.sinks, "Where rows go: one of these.")
	props["tests"] = node{
		"type": "array", "description": "Records in, rows and dead letters out; run by penstock test.", "items": schemaOf(reflect.TypeFor[Test]()),
	}
	root["required"] = []string{"version", "name", "source", "sink"}
	loosen(root)
	root["$defs"] = node{
		"reference": node{"type": "string", "pattern": `\$`, "description": "A reference to an environment variable: ${NAME} or ${NAME:-default}."},
		"columns":   node{"type": "object", "description": "Columns and their types.", "additionalProperties": node{"$ref": "#/$defs/type"}},
		"type": node{"anyOf": []any{
			node{"enum": names(types)},
			node{"type": "string", "pattern": `^list<.+>$`, "description": "A list, such as list<string>."},
			node{"$ref": "#/$defs/columns"},
			node{"$ref": "#/$defs/reference"},
		}},
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(root)
	return out.Bytes(), err
}

// sourceSchema is the schema of a source: one of the kinds, and what may stand beside it.
func (r *Registry) sourceSchema() node {
	s := schemaOf(reflect.TypeFor[inlet]())
	props := s["properties"].(node)
	var kinds []any
	for _, kind := range names(props) {
		if !slices.Contains([]string{"start", "end", "decode", "schema", "deaggregate"}, kind) {
			kinds = append(kinds, node{"required": []string{kind}})
		}
	}
	s["description"] = "Where records come from: one of the kinds of source, and how they are decoded."
	s["oneOf"] = kinds
	s["required"] = []string{"decode"}
	props["decode"] = oneKind(r.decoders, "What the records are: one of these.")
	props["schema"] = node{"$ref": "#/$defs/columns", "description": "Declares columns and their types; others are inferred."}
	props["end"] = node{
		"type": "string", "description": "A time that has come, such as 2026-01-02T00:00:00Z: only records that arrived before it are read, and then the pipeline ends. Of stream and kinesis.",
	}
	props["start"] = node{
		"description": "Where to begin in shards that the pipeline has no checkpoint for. Default trim_horizon.",
		"anyOf": []any{
			node{"enum": []any{"trim_horizon", "latest"}},
			oneOfKeys(node{
				"at":    node{"type": "string", "description": "A time such as 2026-01-01T00:00:00Z."},
				"after": node{"type": "string", "description": "A sequence number."},
			}),
			node{
				"type": "object", "required": []any{"after", "sub_sequence"}, "additionalProperties": false,
				"properties": node{
					"after":        node{"type": "string", "description": "A sequence number."},
					"sub_sequence": node{"type": "integer", "minimum": 0, "description": "KCL's: of the user records of that record, the last that is not wanted."},
				},
			},
			node{"$ref": "#/$defs/reference"},
		},
	}
	return s
}

// oneKind is a mapping of one key, which names a kind, to its settings.
func oneKind[T any](kinds map[string]kind[T], about string) node {
	props := node{}
	for name, k := range kinds {
		props[name] = schemaOf(k.config)
	}
	s := oneOfKeys(props)
	s["description"] = about
	return s
}

func oneOfKeys(props node) node {
	return node{"type": "object", "properties": props, "additionalProperties": false, "minProperties": 1, "maxProperties": 1}
}

// schemaOf is the schema of the values that decode into a type.
func schemaOf(t reflect.Type) node {
	r := reflector()
	text, err := json.Marshal(r.ReflectFromType(t))
	if err != nil {
		panic(fmt.Sprintf("pipelines: the schema of %s: %v", t, err)) // a mistake in its tags
	}
	var out node
	if err := json.Unmarshal(text, &out); err != nil {
		return node{} // true: anything
	}
	delete(out, "$schema")
	return out
}

func reflector() *jsonschema.Reflector {
	return &jsonschema.Reflector{
		FieldNameTag: "yaml", Anonymous: true, DoNotReference: true, ExpandedStruct: true, RequiredFromJSONSchemaTags: true, Mapper: written,
		Namer: func(t reflect.Type) string { return t.PkgPath() + "." + t.Name() }, // most are called Config
	}
}

// written is the schema of a type that is not written as it is held; nil for others.
func written(t reflect.Type) *jsonschema.Schema {
	text := func(pattern, about string) *jsonschema.Schema {
		return &jsonschema.Schema{Type: "string", Pattern: pattern, Description: about}
	}
	switch t {
	case nodeType.Elem(), reflect.TypeFor[Value]():
		return &jsonschema.Schema{}
	case reflect.TypeFor[connectors.ByteSize]():
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "integer"}, text(`^[0-9.][0-9.,]* ?[A-Za-z]*$|\$`, "A size such as 128MiB.")}}
	case reflect.TypeFor[connectors.Duration]():
		return text(`^([0-9.]+(ns|us|µs|ms|s|m|h))+$|^[0-9]+d$|^0$|\$`, "A length of time such as 60s, 5m, 6h or 7d.")
	case reflect.TypeFor[generator.Rate]():
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "integer"}, text(`^[1-9][0-9]{0,8}(/s)?$|\$`, "A rate such as 10000/s.")}}
	case reflect.TypeFor[core.Secret]():
		return text(`^$|\$`, "A reference to an environment variable that holds the secret, such as ${S3_SECRET_KEY}.")
	case reflect.TypeFor[connectors.Unpacking]():
		return &jsonschema.Schema{
			AnyOf:       []*jsonschema.Schema{{Type: "boolean"}, {Enum: []any{string(connectors.UnpackAll)}}, text(`\$`, "A reference.")},
			Description: "Whether the user records that the Kinesis Producer Library packed into one record are taken apart. Default true; all: those that belong to another shard, too.",
		}
	case reflect.TypeFor[Instant]():
		return text("", "A time such as 2026-01-01T00:00:00Z.")
	}
	p := reflect.PointerTo(t)
	switch {
	case p.Implements(reflect.TypeFor[yaml.Unmarshaler]()): // unless JSONSchemaAlias, which comes first, says what it reads
		return short(t)
	case p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return text("", "")
	}
	return nil
}

// short is the schema of a type that reads itself: a short form, which is one text, or what its fields say.
func short(t reflect.Type) *jsonschema.Schema {
	var whole reflect.Type
	switch t.Kind() {
	case reflect.Struct:
		fields := make([]reflect.StructField, t.NumField())
		for i := range fields {
			if fields[i] = t.Field(i); !fields[i].IsExported() || fields[i].Anonymous {
				return &jsonschema.Schema{} // anything
			}
		}
		whole = reflect.StructOf(fields) // the same without its methods
	case reflect.Slice:
		whole = reflect.SliceOf(t.Elem())
	default:
		return &jsonschema.Schema{}
	}
	r := reflector()
	s := r.ReflectFromType(whole)
	s.Version = ""
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string"}, s}}
}

// loosen lets a schema take what the decoder takes: a reference where a number, a bool or one of a few words is wanted,
// a number where a text is, whose quotes are left out, and nothing at all.
func loosen(v any) {
	switch v := v.(type) {
	case node:
		for _, key := range names(v) {
			loosen(v[key])
		}
		switch kind, _ := v["type"].(string); {
		case kind == "string" && v["enum"] == nil:
			v["type"] = []any{kind, "number", "boolean", "null"}
		case kind == "integer", kind == "number", kind == "boolean", kind == "string":
			alternative(v)
		case kind == "object", kind == "array":
			v["type"] = []any{kind, "null"}
		}
	case []any:
		for _, e := range v {
			loosen(e)
		}
	}
}

// alternative makes a schema one of three: what it was, a reference, or nothing.
func alternative(v node) {
	was := node{}
	for key, value := range v {
		if !slices.Contains([]string{"description", "default", "title"}, key) && !strings.HasPrefix(key, "$") {
			was[key] = value
			delete(v, key)
		}
	}
	v["anyOf"] = []any{was, node{"$ref": "#/$defs/reference"}, node{"type": "null"}}
}
