package pipelines

import (
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"regexp"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// Spec is a pipeline file that was read and found right.
type Spec struct {
	File       string
	Name       string
	Source     Source
	Decoder    Part
	Declared   []arrow.Field
	Stages     []Part
	Buffer     connectors.BufferConfig
	Sink       Part
	DeadLetter core.StreamName
	Tests      []Test
	Text       []byte // the file as YAML without its tests, environment variables as references
	Hash       string // of Text
	refs       *references
}

// Part is a named kind of thing with its configuration.
type Part struct {
	Kind   string
	Config any
	Path   string // stages[2].filter
	node   *yaml.Node
	broken bool // it cannot be opened; only while a file with mistakes is read
}

// outline is the shape of a file, as far as it is the same for every pipeline.
type outline struct {
	Version    int                     `yaml:"version" jsonschema:"description=Of the format: 1."`
	Name       string                  `yaml:"name" jsonschema:"description=Names the pipeline\\, its outputs and its dead letters: 1 to 100 of a-z 0-9 . _ -"`
	Source     *yaml.Node              `yaml:"source"`
	Stages     []*yaml.Node            `yaml:"stages"`
	Buffer     connectors.BufferConfig `yaml:"buffer" jsonschema:"description=When what is gathered is written. The first limit reached closes a flush."`
	Sink       *yaml.Node              `yaml:"sink"`
	DeadLetter struct {
		Stream core.StreamName `yaml:"stream" jsonschema:"description=The stream that they go to. Default: the pipeline's name and .dead."`
	} `yaml:"dead_letter" jsonschema:"description=Where rows go that cannot go on."`
	Tests *yaml.Node `yaml:"tests"`
}

var pipelineName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,99}$`)

// Load reads a pipeline file. It returns Errors, all of them, when the file is wrong.
func (r *Registry) Load(name string, text []byte, env func(string) (string, bool)) (*Spec, error) {
	f := &found{file: name}
	root := parse(f, text)
	if root == nil {
		return nil, f.err()
	}
	return r.check(f, root, env)
}

// check is the spec that a file's tree holds.
func (r *Registry) check(f *found, root *yaml.Node, env func(string) (string, bool)) (*Spec, error) {
	tests := detach(root)
	canonical, err := yaml.Marshal(root)
	if err != nil {
		f.add(root, "", "%v", err)
		return nil, f.err()
	}
	d := newDecoder(f, env)
	d.substitute(root, "")
	sum := sha256.Sum256(canonical)
	s := &Spec{File: f.file, Text: canonical, Hash: hex.EncodeToString(sum[:16]), refs: f.refs}
	var o outline
	d.into(root, "", &o)
	s.fill(d, r, root, &o)
	s.fillTests(d, tests)
	if len(f.list) == 0 {
		return s, nil
	}
	r.look(f, s)
	return nil, f.err()
}

// fill checks what an outline holds.
func (s *Spec) fill(d *decoder, r *Registry, root *yaml.Node, o *outline) {
	s.Name, s.Buffer, s.DeadLetter = o.Name, o.Buffer, o.DeadLetter.Stream
	if o.Version != 1 && !d.said("version") {
		d.add(at(root, "version"), "version", "want 1: this is the first version of the format")
	}
	if !pipelineName.MatchString(o.Name) && !d.said("name") {
		d.add(at(root, "name"), "name", "%q is not 1 to 100 of the characters a-z 0-9 . _ - beginning with a letter or digit", o.Name)
	}
	if s.DeadLetter == "" {
		s.DeadLetter = core.StreamName(s.Name + ".dead")
	}
	if err := s.DeadLetter.Validate(); err != nil && !d.said("name") && !d.said("dead_letter") {
		d.fail(at(root, "dead_letter"), "dead_letter.stream", err)
	}
	if err := s.Buffer.Validate(); err != nil && !d.said("buffer") {
		d.fail(at(root, "buffer"), "buffer", err)
	}
	whole := !d.wrong[root] // else what is not there may be what could not be read
	if o.Source == nil {
		s.Decoder = Part{broken: true}
		if whole && !d.said("source") {
			d.add(root, "source", "missing: say where records come from, such as source: {stream: clicks, decode: {json: {}}}")
		}
	} else {
		s.fillSource(d, r, o.Source)
	}
	for i, n := range o.Stages {
		s.Stages = append(s.Stages, part(d, n, index("stages", i), names(r.transforms), func(k string) reflect.Type { return r.transforms[k].config }))
	}
	if o.Sink == nil {
		s.Sink = Part{broken: true}
		if whole && !d.said("sink") {
			d.add(root, "sink", "missing: say where rows go, such as sink: {file: {path: ./lake}}")
		}
		return
	}
	s.Sink = part(d, o.Sink, "sink", names(r.sinks), func(k string) reflect.Type { return r.sinks[k].config })
}

// part decodes a mapping of one key, which names a kind, to that kind's configuration.
func part(d *decoder, n *yaml.Node, path string, have []string, config func(string) reflect.Type) Part {
	if d.wrong[n] {
		return Part{Path: path, node: n, broken: true}
	}
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 {
		d.add(n, path, "want one of %s, with its settings", strings.Join(have, ", "))
		return Part{Path: path, node: n, broken: true}
	}
	key, value := n.Content[0], n.Content[1]
	kind := key.Value
	if config(kind) == nil {
		d.add(key, path, "%s", unknown(kind, have))
		if kind = core.Meant(kind, have); kind == "" {
			return Part{Path: path, node: n, broken: true}
		}
		delete(d.wrong, key) // it is read as what is meant
	}
	at := join(path, kind)
	v := reflect.New(config(kind))
	ok := d.into(value, at, v.Interface())
	return Part{kind, v.Elem().Interface(), at, value, !ok}
}

var types = map[string]arrow.DataType{
	"string": arrow.BinaryTypes.String, "int64": arrow.PrimitiveTypes.Int64, "int32": arrow.PrimitiveTypes.Int32,
	"float64": arrow.PrimitiveTypes.Float64, "bool": arrow.FixedWidthTypes.Boolean, "binary": arrow.BinaryTypes.Binary,
	"timestamp": &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, "date": arrow.FixedWidthTypes.Date32,
}

// fields reads {column: type}; a nested mapping is a struct, list<type> a list.
func fields(d *decoder, n *yaml.Node, path string) []arrow.Field {
	if n.Kind != yaml.MappingNode {
		if d.wrong[n] {
			return nil
		}
		d.add(n, path, "want columns and their types, such as {event_time: timestamp, bytes: int64}")
		return nil
	}
	var out []arrow.Field
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i].Value, n.Content[i+1]
		at := join(path, name)
		if d.wrong[value] && value.Kind != yaml.MappingNode {
			continue
		}
		if name == core.RescuedColumn || core.IsHidden(name) || name == "" {
			d.add(n.Content[i], path, "column name %q is reserved", name)
			continue
		}
		var t arrow.DataType
		if value.Kind == yaml.MappingNode {
			t = arrow.StructOf(fields(d, value, at)...)
		} else {
			t = typeOf(d, value, at, value.Value)
		}
		if d.right(value) {
			out = append(out, arrow.Field{Name: name, Type: t, Nullable: true})
		}
	}
	return out
}

func typeOf(d *decoder, n *yaml.Node, path, name string) arrow.DataType {
	if inner, ok := strings.CutPrefix(name, "list<"); ok && strings.HasSuffix(inner, ">") {
		return arrow.ListOf(typeOf(d, n, path, strings.TrimSuffix(inner, ">")))
	}
	t := types[name]
	if t == nil {
		have := make([]string, 0, len(types))
		for k := range types {
			have = append(have, k)
		}
		d.add(n, path, "%s", unknown(name, have))
		return arrow.BinaryTypes.String
	}
	return t
}
