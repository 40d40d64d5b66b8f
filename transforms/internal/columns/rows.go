package columns

import (
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// Rows gathers the rows of a batch.
type Rows struct {
	Columns []*Column // of the schema, but _rescued
	Drift   bool      // a row had what no column holds, and there is no _rescued

	schema   *arrow.Schema
	rescued  *Column // nil where the schema has none
	rescuing bool    // the row in hand has something rescued
	n        int
	from     []int32 // which record each row came from
	ords     []int32
}

// Data is the column of opaque bytes of raw.
func Data(raw core.Batch) (*array.Binary, error) {
	data, ok := raw.Rows.Column(core.HiddenColumns).(*array.Binary)
	if !ok {
		return nil, fmt.Errorf("the data column has type %s, want binary: %w", raw.Rows.Column(core.HiddenColumns).DataType(), core.ErrInvalid)
	}
	return data, nil
}

// NewRows makes rows of a schema, with room for n of them. An error is permanent: a column has a type that no text has.
func NewRows(schema *arrow.Schema, n int) (*Rows, error) {
	r := &Rows{schema: schema, from: make([]int32, 0, n), ords: make([]int32, 0, n)}
	fields, rescued := Split(schema)
	if rescued != nil {
		r.rescued = newColumn(core.RescuedColumn, rescued.Type, n)
	}
	for _, f := range fields {
		if !Supported(f.Type) {
			return nil, connectors.Permanent(fmt.Errorf("column %s: no text is a %s: declare another type in source.schema: %w", f.Name, f.Type, core.ErrInvalid))
		}
		r.Columns = append(r.Columns, newColumn(f.Name, f.Type, n))
	}
	return r, nil
}

// Split is the fields of a schema but _rescued, and that one where it is the last.
func Split(schema *arrow.Schema) (fields []arrow.Field, rescued *arrow.Field) {
	if schema == nil {
		return nil, nil
	}
	fields = schema.Fields()
	if i := len(fields) - 1; i >= 0 && fields[i].Name == core.RescuedColumn {
		return fields[:i], &fields[i]
	}
	return fields, nil
}

// Join is the inverse of Split. It returns have itself where that has these fields.
func Join(have *arrow.Schema, fields []arrow.Field, rescued bool) *arrow.Schema {
	if rescued {
		fields = append(slices.Clone(fields), arrow.Field{Name: core.RescuedColumn, Type: arrow.BinaryTypes.String, Nullable: true})
	}
	next := arrow.NewSchema(fields, nil)
	if have != nil && next.Equal(have) {
		return have
	}
	return next
}

// Len is how many rows there are.
func (r *Rows) Len() int { return r.n }

// Column is the one of that name; nil if there is none.
func (r *Rows) Column(name string) *Column {
	for _, c := range r.Columns {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Rescue keeps a field that no column holds; text is UTF-8.
func (r *Rows) Rescue(name string, text []byte) {
	if r.rescued == nil {
		r.Drift = true
		return
	}
	lead := byte(',')
	if !r.rescuing {
		r.rescuing, lead = true, '{'
	}
	d := append(r.rescued.data, lead)
	d = Quote(d, []byte(name))
	d = append(d, ':')
	r.rescued.data = Quote(d, text)
}

// End ends a row, the ord-th of the record at index record. Columns that got no value are null in it.
func (r *Rows) End(record, ord int) {
	for _, c := range r.Columns {
		if c.n == r.n {
			c.Null()
		}
	}
	if r.rescued != nil {
		if r.rescuing {
			r.rescued.Append(func(b []byte) []byte { return append(b, '}') })
		} else {
			r.rescued.Null()
		}
	}
	r.rescuing = false
	r.n++
	r.from = append(r.from, int32(record)) //nolint:gosec // an index in the batch
	r.ords = append(r.ords, int32(ord))    //nolint:gosec // rows of one record
}

// Undo drops the rows from n on, and the row in hand. What they drifted is forgotten where drift says so.
func (r *Rows) Undo(n int, drift bool) {
	for _, c := range r.Columns {
		c.truncate(n)
		c.data = c.data[:c.used()]
	}
	if r.rescued != nil {
		r.rescued.truncate(n)
		r.rescued.data = r.rescued.data[:r.rescued.used()]
	}
	r.n, r.from, r.ords, r.rescuing, r.Drift = n, r.from[:n], r.ords[:n], false, drift
}

// used is how many bytes the values have.
func (c *Column) used() int {
	if len(c.offsets) == 0 {
		return 0
	}
	return int(c.offsets[len(c.offsets)-1])
}

// Batch is the rows, as those of raw's records, for the caller to release.
func (r *Rows) Batch(raw core.Batch) core.Batch {
	cols := r.hidden(raw)
	for _, c := range r.Columns {
		cols = append(cols, c.array())
	}
	if r.rescued != nil {
		cols = append(cols, r.rescued.array())
	}
	rec := array.NewRecord(core.SchemaOf(r.schema.Fields()...), cols, int64(r.n))
	for _, c := range cols {
		c.Release()
	}
	return raw.WithRows(rec)
}

// hidden are the hidden columns of the rows; those of raw itself where each record made one row.
func (r *Rows) hidden(raw core.Batch) []arrow.Array {
	if len(r.from) == int(raw.NumRows()) && !slices.ContainsFunc(r.ords, func(o int32) bool { return o != 0 }) {
		out := slices.Clone(raw.Rows.Columns()[:core.HiddenColumns])
		for _, c := range out {
			c.Retain()
		}
		return out
	}
	handles, arrivals := make([]int64, r.n), make([]int64, r.n)
	keys := newColumn("", arrow.BinaryTypes.String, r.n)
	for i, at := range r.from {
		handles[i], arrivals[i] = raw.Handles().Value(int(at)), int64(raw.Arrivals().Value(int(at)))
		keys.Append(func(b []byte) []byte { return append(b, raw.Keys().Value(int(at))...) })
	}
	flat := func(t arrow.DataType, b []byte) arrow.Array {
		d := array.NewData(t, r.n, []*memory.Buffer{nil, memory.NewBufferBytes(b)}, nil, 0, 0)
		defer d.Release()
		return array.MakeFromData(d)
	}
	return []arrow.Array{
		flat(arrow.PrimitiveTypes.Int64, arrow.Int64Traits.CastToBytes(handles)),
		flat(arrow.PrimitiveTypes.Int32, arrow.Int32Traits.CastToBytes(r.ords)),
		flat(core.ArrivalType, arrow.Int64Traits.CastToBytes(arrivals)),
		keys.array(),
	}
}
