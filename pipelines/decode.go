package pipelines

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/core"
)

var nodeType = reflect.TypeFor[*yaml.Node]()

// decoder reads a tree into Go values. Unlike yaml.Node.Decode it names the place and the cure of every mistake, cuts no
// fraction off, takes a setting without a value ("parquet:") as that setting with its defaults, and holds to the
// required and enum of jsonschema tags.
type decoder struct {
	*found
	env func(string) (string, bool)
}

// expanded reports whether n is a scalar that had references: the type wanted says what it is, not its quotes.
func (d *decoder) expanded(n *yaml.Node) bool {
	_, ok := d.refs.texts[n]
	return ok
}

// into decodes n into v and lets it validate itself. It returns whether all of n is right.
func (d *decoder) into(n *yaml.Node, path string, v any) bool {
	d.value(n, path, reflect.ValueOf(v).Elem())
	if val, ok := reflect.ValueOf(v).Elem().Interface().(validator); ok {
		return d.validate(n, path, val)
	}
	return d.right(n)
}

type validator interface{ Validate() error }

// validate lets val, which n was decoded to, say what is wrong with it. It returns whether all of n is right.
func (d *decoder) validate(n *yaml.Node, path string, val validator) bool {
	right, err := d.right(n), val.Validate()
	if err != nil && right {
		d.fail(n, path, err)
	} else if err != nil {
		for _, one := range parts(err) {
			if d.apart(n, one.Error()) {
				d.fail(n, path, one)
			}
		}
	}
	return right && err == nil
}

// apart reports whether what is said of the settings in n is of one of them that is right, and has nothing to do with those
// that are wrong.
func (d *decoder) apart(n *yaml.Node, what string) bool {
	name, _, _ := strings.Cut(what, " ")
	of := child(n, strings.TrimSuffix(name, ":"))
	if d.wrong[n] || of == nil {
		return false
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if d.wrong[key] || !d.right(value) && strings.Contains(what, key.Value) {
			return false
		}
	}
	return d.right(of)
}

// value decodes n into v, which can be set.
func (d *decoder) value(n *yaml.Node, path string, v reflect.Value) {
	if v.Type() == nodeType {
		v.Set(reflect.ValueOf(n))
		return
	}
	if d.wrong[n] && n.Kind != yaml.MappingNode || d.custom(n, path, v) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, path, v.Elem())
	case reflect.Struct:
		d.structure(n, path, v)
	case reflect.Slice:
		d.slice(n, path, v)
	case reflect.Map:
		d.mapping(n, path, v)
	default:
		d.scalar(n, path, v)
	}
}

// custom decodes into types that know how themselves.
func (d *decoder) custom(n *yaml.Node, path string, v reflect.Value) bool {
	switch to := v.Addr().Interface().(type) {
	case *core.Secret:
		switch {
		case n.Kind != yaml.ScalarNode:
			d.add(n, path, "want one value, not %s", strings.TrimSuffix(kindOf(n), quote(n.Value)))
		case !d.expanded(n) && n.Value != "":
			d.add(n, path, "a secret must not stand in the file: write ${NAME} here, and put the secret in that environment variable")
		default:
			*to = core.NewSecret(n.Value)
		}
	case yaml.Unmarshaler:
		if !d.right(n) {
			return true
		}
		if err := guard(func() error { return to.UnmarshalYAML(n) }); err != nil {
			d.told(n, path, err)
		}
	case encoding.TextUnmarshaler:
		if n.Kind != yaml.ScalarNode {
			d.add(n, path, "want one value, not %s", kindOf(n))
		} else if isNull := null(n); !isNull || d.expanded(n) && v.Kind() == reflect.String {
			if err := to.UnmarshalText([]byte(n.Value)); err != nil {
				d.fail(n, path, err)
			}
		}
	default:
		return false
	}
	return true
}

// told adds the error of an UnmarshalYAML, which may name a line.
func (d *decoder) told(n *yaml.Node, path string, err error) {
	at, what := *n, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(what); m != nil {
		if line, _ := strconv.Atoi(m[1]); line > 0 && line != n.Line {
			at.Line, at.Column = line, 1
		}
		what = m[2]
	}
	d.mark(n)
	d.fail(&yaml.Node{Line: at.Line, Column: at.Column}, path, errors.New(d.hide(n, what)))
}

// guard is f, which a hostile tree must not make panic.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("this cannot be read: %v", p)
		}
	}()
	return f()
}

func (d *decoder) structure(n *yaml.Node, path string, v reflect.Value) {
	fields, partial := fieldsOf(v.Type()), d.wrong[n]
	if n.Kind != yaml.MappingNode && !null(n) {
		d.add(n, path, "want a mapping of %s, not %s", strings.Join(keysOf(fields), ", "), kindOf(n))
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		f, ok := fields[key.Value]
		if !ok {
			have := keysOf(fields)
			d.add(key, join(path, key.Value), "%s", unknown(key.Value, have))
			name := core.Meant(key.Value, have)
			if name == "" || child(n, name) != nil {
				continue
			}
			key.Value, f = name, fields[name] // it is read as what is meant
			delete(d.wrong, key)
		}
		at, before := join(path, key.Value), len(d.list)
		d.value(value, at, v.FieldByIndex(f.index))
		if len(f.enum) > 0 && len(d.list) == before && !d.wrong[value] && value.Value != "" && !slices.Contains(f.enum, value.Value) {
			d.add(value, at, "%s", unknown(value.Value, slices.Clone(f.enum)))
		}
	}
	for _, key := range keysOf(fields) {
		if c := child(n, key); fields[key].required && !partial && !d.wrong[c] && (c == nil || null(c) && !d.expanded(c)) {
			d.add(at(n, key), join(path, key), "missing: %s", fields[key].about)
		}
	}
}

func (d *decoder) slice(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		if !null(n) {
			d.add(n, path, "want a list such as [a, b], not %s", kindOf(n))
		}
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, c := range n.Content {
		d.value(c, index(path, i), out.Index(i))
	}
	v.Set(out)
}

func (d *decoder) mapping(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		if !null(n) {
			d.add(n, path, "want a mapping such as {a: b}, not %s", kindOf(n))
		}
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for i := 0; i+1 < len(n.Content); i += 2 {
		at := join(path, n.Content[i].Value)
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		d.scalar(n.Content[i], at, key)
		d.value(n.Content[i+1], at, value)
		v.SetMapIndex(key, value)
	}
}

func (d *decoder) scalar(n *yaml.Node, path string, v reflect.Value) {
	want := map[bool]string{true: "a text", false: "a number"}[v.Kind() == reflect.String]
	switch {
	case n.Kind != yaml.ScalarNode:
		d.add(n, path, "want %s, not %s", want, kindOf(n))
		return
	case v.Kind() == reflect.String:
		if !null(n) || d.expanded(n) {
			v.SetString(n.Value)
		}
		return
	case null(n):
		return
	}
	tag := n.ShortTag()
	err := guard(func() error { return n.Decode(v.Addr().Interface()) })
	switch {
	case v.Kind() == reflect.Bool && (err != nil || tag != "!!bool"):
		d.add(n, path, "want true or false, not %s", kindOf(n))
	case v.CanInt() && (err != nil || tag != "!!int"):
		d.add(n, path, "want a whole number up to %d, not %s", uint64(1)<<(v.Type().Bits()-1)-1, kindOf(n))
	case v.CanUint() && (err != nil || tag != "!!int"):
		d.add(n, path, "want a whole number from 0 to %d, not %s", ^uint64(0)>>(64-v.Type().Bits()), kindOf(n))
	case err != nil:
		d.add(n, path, "want a number, not %s", kindOf(n))
	}
}

// field is a setting of a configuration struct.
type field struct {
	index    []int
	typ      reflect.Type
	about    string
	enum     []string
	required bool
}

// fieldsOf are the settings of a struct by their keys.
func fieldsOf(t reflect.Type) map[string]field {
	out := map[string]field{}
	for i := range t.NumField() {
		sf := t.Field(i)
		name, opts, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		switch {
		case !sf.IsExported() || name == "-":
			continue
		case strings.Contains(opts, "inline"):
			for k, inner := range fieldsOf(sf.Type) {
				inner.index = append([]int{i}, inner.index...)
				out[k] = inner
			}
			continue
		case name == "":
			name = strings.ToLower(sf.Name)
		}
		f := field{index: []int{i}, typ: sf.Type}
		for _, word := range strings.Split(strings.ReplaceAll(sf.Tag.Get("jsonschema"), `\,`, "\x00"), ",") {
			word = strings.ReplaceAll(word, "\x00", ",")
			key, value, _ := strings.Cut(word, "=")
			switch key {
			case "required":
				f.required = true
			case "enum":
				f.enum = append(f.enum, value)
			case "description":
				f.about = value
			}
		}
		out[name] = f
	}
	return out
}

func keysOf(fields map[string]field) []string { return names(fields) }
