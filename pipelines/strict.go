package pipelines

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of a file.
const (
	maxFile  = 1 << 20
	maxDepth = 64
	maxNodes = 10_000
)

// checkTree refuses trees that are too deep or too large, which aliases can make of a small text, and keys that stand
// twice. It returns n with its aliases put in place.
func checkTree(f *found, n *yaml.Node, path string, depth int, left *int) *yaml.Node {
	if *left--; *left < 0 || depth > maxDepth {
		if *left != -1<<30 {
			*left = -1 << 30
			f.add(n, path, "the file nests deeper than %d, or has more than %d values once its aliases are in place", maxDepth, maxNodes)
		}
		return n
	}
	if n.Kind == yaml.AliasNode {
		return checkTree(f, n.Alias, path, depth+1, left)
	}
	out := *n
	out.Anchor, out.Content = "", make([]*yaml.Node, len(n.Content))
	seen := map[string]bool{}
	for i, c := range n.Content {
		at := path
		switch {
		case n.Kind == yaml.MappingNode && i%2 == 0:
			if c.Kind != yaml.ScalarNode {
				f.add(c, path, "a key must be a word")
			} else if seen[c.Value] {
				f.add(c, path, "key %q stands twice: remove one", c.Value)
			}
			seen[c.Value] = true
		case n.Kind == yaml.MappingNode:
			at = join(path, n.Content[i-1].Value)
		case n.Kind == yaml.SequenceNode:
			at = fmt.Sprintf("%s[%d]", path, i)
		}
		out.Content[i] = checkTree(f, c, at, depth+1, left)
	}
	return &out
}

var (
	textType = reflect.TypeFor[encoding.TextUnmarshaler]()
	yamlType = reflect.TypeFor[yaml.Unmarshaler]()
	nodeType = reflect.TypeFor[yaml.Node]()
)

// checkKeys finds the keys below n that a value of type t has no field for.
func checkKeys(f *found, n *yaml.Node, path string, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nodeType || reflect.PointerTo(t).Implements(yamlType) || reflect.PointerTo(t).Implements(textType) {
		return
	}
	switch {
	case t.Kind() == reflect.Struct && n.Kind == yaml.MappingNode:
		fields := fieldsOf(t)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			ft, ok := fields[key.Value]
			if !ok {
				have := make([]string, 0, len(fields))
				for name := range fields {
					have = append(have, name)
				}
				f.add(key, path, "%s", unknown(key.Value, have))
				continue
			}
			checkKeys(f, n.Content[i+1], join(path, key.Value), ft)
		}
	case t.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		for i, c := range n.Content {
			checkKeys(f, c, fmt.Sprintf("%s[%d]", path, i), t.Elem())
		}
	case t.Kind() == reflect.Map && n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			checkKeys(f, n.Content[i+1], join(path, n.Content[i].Value), t.Elem())
		}
	}
}

// fieldsOf are the keys of a struct's fields.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for i := range t.NumField() {
		field := t.Field(i)
		name, opts, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		switch {
		case !field.IsExported() || name == "-":
		case strings.Contains(opts, "inline"):
			for k, v := range fieldsOf(field.Type) {
				out[k] = v
			}
		case name == "":
			out[strings.ToLower(field.Name)] = field.Type
		default:
			out[name] = field.Type
		}
	}
	return out
}

var yamlLine = regexp.MustCompile(`^line (\d+): (.*)$`)

// decodeInto decodes n into v strictly and lets it validate itself.
func decodeInto(f *found, n *yaml.Node, path string, v any) bool {
	before := len(f.list)
	checkKeys(f, n, path, reflect.TypeOf(v))
	if len(f.list) > before {
		return false
	}
	if err := decodeNode(n, v); err != nil {
		var te *yaml.TypeError
		if !errors.As(err, &te) {
			f.add(n, path, "%v", err)
			return false
		}
		for _, e := range te.Errors {
			at := *n
			if m := yamlLine.FindStringSubmatch(e); m != nil {
				if line, _ := strconv.Atoi(m[1]); line > 0 && line != n.Line {
					at.Line, at.Column = line, 1
				}
				e = m[2]
			}
			f.add(&at, path, "%s", e)
		}
		return false
	}
	if val, ok := reflect.ValueOf(v).Elem().Interface().(interface{ Validate() error }); ok {
		if err := val.Validate(); err != nil {
			f.add(n, path, "%v", err)
			return false
		}
	}
	return true
}

// decodeNode is n.Decode, which a hostile tree must not make panic.
func decodeNode(n *yaml.Node, v any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("this cannot be read: %v", p)
		}
	}()
	return n.Decode(v)
}
