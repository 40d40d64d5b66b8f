package json

import (
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/penstock/penstock/core"
)

// maxFields bounds the fields of one object that become columns; the others are rescued.
const maxFields = 2000

// reserved reports whether an input field of that name is rescued rather than made a column: Parquet, for one, has no
// columns without a name.
func reserved(name string) bool {
	return name == "" || name == core.RescuedColumn || core.IsHidden(name)
}

// supported reports whether JSON values can be decoded into t.
func supported(t arrow.DataType) bool {
	switch t := t.(type) {
	case *arrow.StringType, *arrow.BinaryType, *arrow.Int64Type, *arrow.Int32Type, *arrow.Float64Type, *arrow.BooleanType,
		*arrow.TimestampType, *arrow.Date32Type:
		return true
	case *arrow.ListType:
		return supported(t.Elem())
	case *arrow.StructType:
		return !slices.ContainsFunc(t.Fields(), func(f arrow.Field) bool { return !supported(f.Type) })
	}
	return false
}

// kind is what a JSON value is.
type kind int

const (
	kindBool kind = iota
	kindInt
	kindFloat
	kindString
	kindObject
	kindArray
	kinds
)

// shape is what was seen at one place of the rows.
type shape struct {
	count [kinds]int
	first kind // the kind seen first, which wins a tie
	any   bool
	wide  bool // an integer that a double does not hold
	order []string
	kids  map[string]*shape
	elem  *shape
}

func (h *shape) see(k kind) {
	if !h.any {
		h.any, h.first = true, k
	}
	h.count[k]++
}

// look adds the value at s to the shape.
func (h *shape) look(s *scanner) *syntaxError {
	switch b := s.peek(); b {
	case '"':
		h.see(kindString)
	case '{':
		h.see(kindObject)
		return s.object(func(key []byte) *syntaxError { return h.kid(key).look(s) })
	case '[':
		h.see(kindArray)
		if h.elem == nil {
			h.elem = &shape{}
		}
		return s.array(func() *syntaxError { return h.elem.look(s) })
	case 't', 'f':
		h.see(kindBool)
	case 'n':
	default:
		if b != '-' && (b < '0' || b > '9') {
			return s.bad("a value is missing")
		}
		return h.lookNumber(s)
	}
	_, err := s.skip()
	return err
}

func (h *shape) lookNumber(s *scanner) *syntaxError {
	text, isInt, err := s.number()
	if err != nil {
		return err
	}
	if _, ok := integer(text); isInt && ok {
		h.see(kindInt)
		h.wide = h.wide || !exactInt(text)
	} else if _, ok := double(text); !isInt && ok {
		h.see(kindFloat)
	}
	return nil
}

func (h *shape) kid(key []byte) *shape {
	if k := h.kids[string(key)]; k != nil {
		return k
	}
	k := &shape{}
	if len(h.order) >= maxFields {
		return k
	}
	if h.kids == nil {
		h.kids = map[string]*shape{}
	}
	name := string(key)
	h.kids[name] = k
	h.order = append(h.order, name)
	return k
}

// typ is the type that the shape asks for; nil while no value tells.
func (h *shape) typ() arrow.DataType {
	best, most := h.first, 0
	count := h.count
	count[kindInt] += count[kindFloat] // numbers are one kind until it is decided which
	count[kindFloat] = 0
	fields := h.fields(nil)
	if len(fields) == 0 { // {} tells no type, nor does []
		count[kindObject] = 0
	}
	var elem arrow.DataType // asked for once: twice at each level would take for ever where arrays nest deep
	if h.elem != nil {
		elem = h.elem.typ()
	}
	if elem == nil {
		count[kindArray] = 0
	}
	first := h.first
	if first == kindFloat {
		first = kindInt
	}
	for k, n := range count {
		if n > most || n == most && n > 0 && kind(k) == first {
			best, most = kind(k), n
		}
	}
	if most == 0 {
		return nil
	}
	switch best { //nolint:exhaustive // the others are handled below
	case kindBool:
		return arrow.FixedWidthTypes.Boolean
	case kindInt, kindFloat:
		if h.count[kindFloat] > 0 && !h.wide {
			return arrow.PrimitiveTypes.Float64
		}
		if h.count[kindInt] == 0 {
			return arrow.PrimitiveTypes.Float64
		}
		return arrow.PrimitiveTypes.Int64
	case kindString:
		return arrow.BinaryTypes.String
	case kindObject:
		return arrow.StructOf(fields...)
	case kindArray:
		return arrow.ListOf(elem)
	}
	return nil
}

// fields are those of have, widened, and then the new ones.
func (h *shape) fields(have []arrow.Field) []arrow.Field {
	out := slices.Clone(have)
	index := make(map[string]int, len(out))
	for i, f := range out {
		index[f.Name] = i
	}
	for _, name := range h.order {
		k := h.kids[name]
		if i, ok := index[name]; ok {
			out[i].Type = k.widen(out[i].Type)
		} else if t := k.typ(); t != nil && name != "" && len(out) < maxFields {
			out = append(out, arrow.Field{Name: name, Type: t, Nullable: true})
		}
	}
	return out
}

// widen is the smallest type that holds what t holds and also, if it can be, the shape. It is t itself when nothing
// changes.
func (h *shape) widen(t arrow.DataType) arrow.DataType {
	switch have := t.(type) {
	case *arrow.Int64Type:
		if h.count[kindFloat] > 0 && !h.wide {
			return arrow.PrimitiveTypes.Float64
		}
	case *arrow.StructType:
		if h.count[kindObject] == 0 {
			return t
		}
		if fields := h.fields(have.Fields()); !slices.EqualFunc(fields, have.Fields(), arrow.Field.Equal) {
			return arrow.StructOf(fields...)
		}
	case *arrow.ListType:
		if h.elem == nil {
			return t
		}
		if e := h.elem.widen(have.Elem()); !arrow.TypeEqual(e, have.Elem()) {
			return arrow.ListOf(e)
		}
	}
	return t
}

// Widen returns the smallest schema that holds what schema holds and the rows of raw.
func (d *Decoder) Widen(schema *arrow.Schema, raw core.Batch, pinned map[string]bool) (*arrow.Schema, error) {
	var have []arrow.Field
	rescued := false
	if schema != nil {
		have = schema.Fields()
		if i := len(have) - 1; i >= 0 && have[i].Name == core.RescuedColumn {
			have, rescued = have[:i], true
		}
	}
	top := &shape{}
	data := raw.Rows.Column(core.HiddenColumns).(*array.Binary)
	for i := range data.Len() {
		s := scan(data.Value(i))
		if s.rows(func() *syntaxError { _, err := s.skip(); return err }) != nil {
			continue // it is refused whole
		}
		s = scan(data.Value(i))
		if err := s.rows(func() *syntaxError { return top.look(&s) }); err != nil {
			continue
		}
	}
	out := top.fields(have)
	for i, f := range have {
		if pinned[f.Name] {
			out[i] = f
		}
	}
	fresh := slices.DeleteFunc(out[len(have):], func(f arrow.Field) bool { return reserved(f.Name) })
	out = out[:len(have)+len(fresh)]
	// A table has a column, also where every record is {} or refused.
	if rescued || len(out) == 0 && data.Len() > 0 || leavesOver(raw, out) {
		out = append(out, arrow.Field{Name: core.RescuedColumn, Type: arrow.BinaryTypes.String, Nullable: true})
	}
	next := arrow.NewSchema(out, nil)
	if schema != nil && next.Equal(schema) {
		return schema, nil
	}
	return next, nil
}

// leavesOver reports whether some row of raw has what the fields cannot hold.
func leavesOver(raw core.Batch, fields []arrow.Field) bool {
	p := newDecoding(arrow.NewSchema(fields, nil))
	data := raw.Rows.Column(core.HiddenColumns).(*array.Binary)
	left := false
	one := func() *syntaxError {
		err := p.row()
		left = left || len(p.left) > 0
		p.from, p.ords = append(p.from, 0), append(p.ords, 0)
		return err
	}
	for i := range data.Len() {
		text := data.Value(i)
		left = false
		p.to(text, 0, len(text))
		if err := p.rows(one); err == nil && left {
			return true
		}
		p.undo(0)
	}
	return false
}

// typed reports whether a value would give a new column a type.
func typed(text []byte) bool {
	h, s := &shape{}, scan(text)
	return h.look(&s) == nil && h.typ() != nil
}

// widens reports whether a column of type t would be widened for a value that it cannot hold.
func widens(t arrow.DataType, text []byte) bool {
	h, s := &shape{}, scan(text)
	return h.look(&s) == nil && !arrow.TypeEqual(h.widen(t), t)
}
