package csv

import (
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/transforms/internal/columns"
)

// shape is what the values of one column have in common.
type shape struct {
	any                       bool
	bools, ints, floats, text bool // some value is one
	wide                      bool // an integer that a double does not hold
}

// see adds a value.
func (h *shape) see(text []byte) {
	h.any = true
	if len(text) == 0 {
		h.text = true
		return
	}
	if c := text[0]; c != '-' && c-'0' > 9 {
		_, ok := columns.Bool(text)
		h.bools = h.bools || ok
		h.text = h.text || !ok
		return
	}
	if v, ok := columns.Integer(text); ok {
		h.ints = true
		h.wide = h.wide || !columns.ExactInteger(v)
	} else if _, ok := columns.Double(text); ok {
		h.floats = true
	} else {
		h.text = true
	}
}

// widens reports whether a column of integers becomes one of doubles.
func (h *shape) widens() bool { return h.floats && !h.wide }

// typ is the type of a new column: the narrowest that holds every value. There is some.
func (h *shape) typ() arrow.DataType {
	switch {
	case h.text, h.bools && (h.ints || h.floats), h.floats && h.wide:
		return arrow.BinaryTypes.String
	case h.bools:
		return arrow.FixedWidthTypes.Boolean
	case h.floats:
		return arrow.PrimitiveTypes.Float64
	}
	return arrow.PrimitiveTypes.Int64
}

// Widen returns the smallest schema that holds what schema holds and the rows of raw.
func (d *Decoder) Widen(schema *arrow.Schema, raw core.Batch, pinned map[string]bool) (*arrow.Schema, error) {
	data, err := columns.Data(raw)
	if err != nil {
		return nil, err
	}
	have, rescued := columns.Split(schema)
	out := slices.Clone(have)
	shapes, order := d.shapes(data)
	for i, f := range out {
		if h := shapes[f.Name]; h != nil && !pinned[f.Name] && f.Type.ID() == arrow.INT64 && h.widens() {
			out[i].Type = arrow.PrimitiveTypes.Float64
		}
		delete(shapes, f.Name)
	}
	for _, name := range order {
		if h := shapes[name]; h != nil && h.any && len(out) < maxColumns {
			out = append(out, arrow.Field{Name: name, Type: h.typ(), Nullable: true})
		}
	}
	next := columns.Join(schema, out, rescued != nil)
	if rescued != nil {
		return next, nil
	}
	over, err := d.leavesOver(data, next)
	if err != nil || !over {
		return next, err
	}
	return columns.Join(schema, out, true), nil
}

// shapes are those of the named fields, and their names in order of appearance.
func (d *Decoder) shapes(data *array.Binary) (map[string]*shape, []string) {
	r := newReader(d.dialect)
	shapes, order := map[string]*shape{}, []string(nil)
	for i := range data.Len() {
		if r.read(data.Value(i)) != nil {
			continue // it is refused whole
		}
		from := 0
		for _, to := range r.ends {
			for j, f := range r.fields[from:to] {
				name := r.name(j)
				if !r.own(j) {
					continue
				}
				h := shapes[name]
				if h == nil {
					h = &shape{}
					shapes[name] = h
					order = append(order, name)
				}
				if !r.isNull(f) {
					h.see(r.value(f, &r.buf))
				}
			}
			from = to
		}
	}
	return shapes, order
}

// leavesOver reports whether some row has what the schema cannot hold.
func (d *Decoder) leavesOver(data *array.Binary, schema *arrow.Schema) (bool, error) {
	p, err := newDecoding(d.dialect, schema, data.Len())
	if err != nil {
		return false, err
	}
	for i := range data.Len() {
		if p.read(data.Value(i)) != nil {
			continue
		}
		if p.record(i); p.rows.Drift {
			return true, nil
		}
	}
	return false, nil
}
