package wire

import (
	"reflect"
	"slices"
	"time"
)

// writer writes one document, value by value.
type writer interface { //nolint:interfacebloat // one method for each kind of value
	open(list bool, n int) // of n members or items
	close(list bool)
	name(member string)
	separate() // before every member and item but the first
	text(s string)
	blob(b []byte)
	integer(n int64)
	truth(b bool)
	instant(t time.Time)
	done() []byte
}

type encoder struct{ writer }

func (e *encoder) document(from any) []byte {
	v := reflect.ValueOf(from).Elem()
	e.structure(shapeOf(v.Type()), v)
	return e.done()
}

// structure writes an object of the members that are not left out.
func (e *encoder) structure(s *shape, v reflect.Value) {
	n := 0
	for i := range s.fields {
		if f := &s.fields[i]; f.always || !v.Field(f.at).IsZero() {
			n++
		}
	}
	e.open(false, n)
	first := true
	for i := range s.fields {
		f := &s.fields[i]
		member := v.Field(f.at)
		if !f.always && member.IsZero() {
			continue
		}
		if !first {
			e.separate()
		}
		first = false
		e.name(f.name)
		if f.pointer {
			if member.IsNil() { // a required one: our own mistake, shown as an empty value
				member = reflect.New(f.shape.typ)
			}
			member = member.Elem()
		}
		e.value(f.shape, member)
	}
	e.close(false)
}

func (e *encoder) value(s *shape, v reflect.Value) {
	switch s.kind {
	case kindString:
		e.text(v.String())
	case kindBlob:
		e.blob(v.Bytes())
	case kindInt:
		e.integer(v.Int())
	case kindBool:
		e.truth(v.Bool())
	case kindTime:
		e.instant(v.Interface().(Time).Time)
	case kindStruct:
		e.structure(s, v)
	case kindList:
		e.open(true, v.Len())
		for i := range v.Len() {
			if i > 0 {
				e.separate()
			}
			e.value(s.item, v.Index(i))
		}
		e.close(true)
	case kindMap:
		m := v.Interface().(map[string]string)
		keys := make([]string, 0, len(m))
		for k := range m {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		e.open(false, len(m))
		for i, k := range keys {
			if i > 0 {
				e.separate()
			}
			e.name(k)
			e.text(m[k])
		}
		e.close(false)
	}
}
