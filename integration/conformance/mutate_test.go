package conformance

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// mutation is one way to make another request of a valid one.
type mutation struct {
	name  string
	apply func(object) object
}

// The steps of a path that are no members of structures.
const (
	anItem  = "[]" // the first item of a list
	aValue  = "{}" // the value of the first entry of a map
	anEntry = "{key}"
)

// mutations are all of a request's: for each member at every depth.
func (m *model) mutations(t *testing.T, input *shape) []mutation {
	t.Helper()
	var out []mutation
	out = append(out, mutation{"unknown beside", func(o object) object { return o.with("Unheard-Of", strange) }})
	m.walk(t, input, input, nil, &out)
	return out
}

// strange is a value of no shape.
var strange = object{{"a", []any{nil, int64(1), 2.5, object{{"b", []any{}}}}}}

// walk adds the mutations of what is below a shape that path leads to.
func (m *model) walk(t *testing.T, root, s *shape, path []string, out *[]mutation) {
	t.Helper()
	switch s.Type {
	case kindStructure:
		for _, name := range s.names() {
			below := append(slices.Clone(path), name)
			m.place(t, root, m.member(s, name), below, out)
			m.walk(t, root, m.member(s, name), below, out)
		}
	case kindList:
		below := append(slices.Clone(path), anItem)
		m.place(t, root, m.of(s.Member), below, out)
		m.walk(t, root, m.of(s.Member), below, out)
	case kindMap:
		m.place(t, root, m.of(s.Value), append(slices.Clone(path), aValue), out)
		m.place(t, root, m.of(s.Key), append(slices.Clone(path), anEntry), out)
	}
}

// place adds the mutations of the value at one place.
func (m *model) place(t *testing.T, root, s *shape, path []string, out *[]mutation) {
	t.Helper()
	last := path[len(path)-1]
	add := func(kind string, change func(parent any) any) {
		name := strings.Join(path, ".") + " " + kind
		*out = append(*out, mutation{name, func(o object) object { return m.edit(t, root, o, path, change).(object) }})
	}
	set := func(kind string, v any) {
		add(kind, func(parent any) any { return put(parent, last, v) })
	}
	for i, v := range m.values(t, s) {
		if text, ok := v.(string); last == anEntry && !ok {
			continue // a map's key is a text in all protocols
		} else if ok && len(text) > 20 {
			text = text[:20]
			set(fmt.Sprintf("#%d %q and more", i, text), v)
			continue
		}
		set(fmt.Sprintf("#%d %.40v", i, v), v)
	}
	if last == anEntry {
		return
	}
	set("null", nil)
	if last == anItem || last == aValue {
		return
	}
	add("there", func(parent any) any { return parent })
	add("missing", func(parent any) any { return parent.(object).without(last) })
	add("in other case", func(parent any) any {
		v, _ := parent.(object).get(last)
		return parent.(object).without(last).with(strings.ToLower(last[:1])+last[1:], v)
	})
	add("twice", func(parent any) any {
		v, _ := parent.(object).get(last)
		return append(slices.Clone(parent.(object)), member{last, v})
	})
	if len(path) > 1 {
		add("with something unknown beside", func(parent any) any { return parent.(object).with("Unheard-Of", strange) })
	}
}

// values are wrong ones of a shape, and those at its limits.
func (m *model) values(t *testing.T, s *shape) []any {
	t.Helper()
	var out []any
	for kind, v := range map[string]any{kindString: "12", kindInt: int64(12), "fraction": 1.5, kindBool: true, kindStructure: object{}, kindList: []any{}} {
		skip := kind == s.Type || kind == kindStructure && s.Type == kindMap || kind == kindInt && (s.Type == kindLong || s.Type == kindTime) ||
			kind == "fraction" && s.Type == kindTime || kind == kindString && s.Type == kindBlob // which JSON has in texts
		if !skip {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b any) int { return strings.Compare(fmt.Sprintf("%T", a), fmt.Sprintf("%T", b)) })
	for _, n := range limits(s) {
		switch s.Type {
		case kindString:
			out = append(out, strings.Repeat("a", int(n)))
		case kindInt, kindLong:
			out = append(out, n)
		case kindBlob:
			out = append(out, make([]byte, n))
		case kindList:
			v := []any{}
			for range n {
				v = append(v, m.valid(t, m.of(s.Member)))
			}
			out = append(out, v)
		case kindMap:
			v := object{}
			for i := range n {
				v = append(v, member{fmt.Sprintf("k%d", i), m.valid(t, m.of(s.Value))})
			}
			out = append(out, v)
		}
	}
	switch s.Type {
	case kindInt:
		out = append(out, int64(math.MaxInt32)+1, int64(math.MinInt32)-1, int64(math.MaxInt64), int64(math.MinInt64))
	case kindString:
		if s.pattern != nil || s.Enum != nil {
			good := m.valid(t, s).(string)
			out = append(out, "!", " ", "é", good+"\n", "\u0000", "'; Value", strings.ToLower(good), good+" ")
		}
	}
	return out
}

// limits are the least and the greatest that a shape takes, and what lies beyond.
func limits(s *shape) []int64 {
	var out []int64
	if s.Min != nil {
		out = append(out, *s.Min)
		if *s.Min > 0 || s.Type == kindInt {
			out = append(out, *s.Min-1)
		}
	}
	if s.Max != nil {
		out = append(out, *s.Max, *s.Max+1)
	}
	return out
}

// edit changes the parent of the value that a path leads to. What is not there on the way is put there first.
func (m *model) edit(t *testing.T, s *shape, v any, path []string, change func(any) any) any {
	t.Helper()
	step := path[0]
	child, there := take(v, step)
	of := m.below(s, step)
	if !there || child == nil {
		child = m.valid(t, of)
		v = put(v, step, child)
	}
	if len(path) == 1 {
		return change(v)
	}
	return put(v, step, m.edit(t, of, child, path[1:], change))
}

func (m *model) below(s *shape, step string) *shape {
	switch step {
	case anItem:
		return m.of(s.Member)
	case aValue:
		return m.of(s.Value)
	case anEntry:
		return m.of(s.Key)
	}
	return m.member(s, step)
}

func take(v any, step string) (any, bool) {
	switch v := v.(type) {
	case []any:
		if len(v) > 0 {
			return v[0], true
		}
	case object:
		switch {
		case step == anEntry && len(v) > 0:
			return v[0].name, true
		case step == aValue && len(v) > 0:
			return v[0].value, true
		}
		return v.get(step)
	}
	return nil, false
}

// put returns v with another value at a step.
func put(v any, step string, x any) any {
	if items, ok := v.([]any); ok {
		out := slices.Clone(items)
		if len(out) == 0 {
			return []any{x}
		}
		out[0] = x
		return out
	}
	o := slices.Clone(v.(object))
	switch {
	case step != anEntry && step != aValue:
		return o.with(step, x)
	case len(o) == 0:
		o = object{{"a", "a"}}
	}
	if step == aValue {
		o[0].value = x
	} else {
		o[0].name = x.(string)
	}
	return o
}
