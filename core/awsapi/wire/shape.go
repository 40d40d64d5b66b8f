package wire

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// kind is what a value is on the wire.
type kind int

const (
	kindString kind = iota
	kindBlob
	kindInt
	kindBool
	kindTime
	kindStruct
	kindList
	kindMap
)

// shape is how a Go type is read and written: made once for each type.
type shape struct {
	kind   kind
	typ    reflect.Type
	fields []field        // of a struct
	byName map[string]int // of a struct: places in fields
	item   *shape         // of a list
}

// field is a member of a struct.
type field struct {
	name     string
	path     string // as AWS writes it in messages: the name with a small first letter
	at       int    // place in the struct
	pointer  bool
	required bool
	always   bool // written even if it is zero: required, a number or a truth value
	shape    *shape
	limits   limits
	inner    limits // of a map's values, a list's strings
	key      limits // of a map's keys
}

// limits are a member's constraints.
type limits struct {
	hasLen, hasRange bool
	min, max         int64 // max < 0: none
	pattern          *regexp.Regexp
	patternText      string
	enum             []string
}

var timeType = reflect.TypeFor[Time]()

var shapes sync.Map // reflect.Type to *shape

// shapeOf is the shape of a type. It panics on types and tags that are not as the package says: our own mistake.
func shapeOf(t reflect.Type) *shape {
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	s, _ := shapes.LoadOrStore(t, newShape(t))
	return s.(*shape)
}

func newShape(t reflect.Type) *shape {
	s := &shape{typ: t}
	switch {
	case t == timeType:
		s.kind = kindTime
	case t.Kind() == reflect.String:
		s.kind = kindString
	case t.Kind() == reflect.Int32 || t.Kind() == reflect.Int64:
		s.kind = kindInt
	case t.Kind() == reflect.Bool:
		s.kind = kindBool
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		s.kind = kindBlob
	case t.Kind() == reflect.Slice:
		s.kind, s.item = kindList, shapeOf(t.Elem())
	case t == reflect.TypeFor[map[string]string]():
		s.kind = kindMap
	case t.Kind() == reflect.Struct:
		s.kind, s.byName = kindStruct, map[string]int{}
		for i := range t.NumField() {
			if f, ok := newField(t.Field(i), i); ok {
				s.byName[f.name] = len(s.fields)
				s.fields = append(s.fields, f)
			}
		}
	default:
		panic(fmt.Sprintf("wire: a field of type %s", t))
	}
	return s
}

func newField(sf reflect.StructField, at int) (field, bool) {
	tag, ok := sf.Tag.Lookup("aws")
	if !ok {
		return field{}, false
	}
	name, option, _ := strings.Cut(tag, ",")
	f := field{name: name, path: strings.ToLower(name[:1]) + name[1:], at: at, required: option == "required"}
	t := sf.Type
	if t.Kind() == reflect.Pointer {
		f.pointer, t = true, t.Elem()
	}
	f.shape = shapeOf(t)
	f.always = f.required || !f.pointer && (f.shape.kind == kindInt || f.shape.kind == kindBool)
	f.limits = newLimits(sf.Tag.Get("len"), sf.Tag.Get("range"), sf.Tag.Get("pattern"), sf.Tag.Get("enum"))
	f.inner = newLimits(sf.Tag.Get("value"), "", "", "")
	if f.shape.kind == kindList {
		f.inner = newLimits(sf.Tag.Get("item"), "", sf.Tag.Get("itempattern"), sf.Tag.Get("itemenum"))
	}
	f.key = newLimits(sf.Tag.Get("key"), "", "", "")
	return f, true
}

func newLimits(length, numbers, pattern, enum string) limits {
	l := limits{max: -1, patternText: pattern}
	if length != "" {
		l.hasLen = true
		l.min, l.max = bounds(length)
	}
	if numbers != "" {
		l.hasRange = true
		l.min, l.max = bounds(numbers)
	}
	if pattern != "" {
		l.pattern = regexp.MustCompile(`\A(?:` + pattern + `)\z`)
	}
	if enum != "" {
		l.enum = strings.Split(enum, ",")
	}
	return l
}

// bounds reads "1,128", "1," and ",128"; max is -1 where there is none.
func bounds(tag string) (lo, hi int64) {
	a, b, _ := strings.Cut(tag, ",")
	hi = -1
	var err error
	if a != "" {
		if lo, err = strconv.ParseInt(a, 10, 64); err != nil {
			panic(err)
		}
	}
	if b != "" {
		if hi, err = strconv.ParseInt(b, 10, 64); err != nil {
			panic(err)
		}
	}
	return lo, hi
}
