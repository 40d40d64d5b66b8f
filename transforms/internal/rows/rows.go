package rows

import (
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/penstock/penstock/core"
)

// Put sets one column, which it takes over: in place of column at, or as the last where at is the number of columns.
// The old schema and columns stay as they are.
func Put(b core.Batch, schema *arrow.Schema, at int, col arrow.Array) core.Batch {
	defer col.Release()
	cols := append([]arrow.Array(nil), b.Rows.Columns()...)
	if at == len(cols) {
		cols = append(cols, col)
	} else {
		cols[at] = col
	}
	return b.WithRows(array.NewRecord(schema, cols, b.NumRows()))
}

// Project returns the columns that indexes names under the given schema, as a new batch that the caller releases.
func Project(b core.Batch, schema *arrow.Schema, indexes []int) core.Batch {
	cols := make([]arrow.Array, len(indexes))
	for i, k := range indexes {
		cols[i] = b.Rows.Column(k)
	}
	return b.WithRows(array.NewRecord(schema, cols, b.NumRows()))
}

// With is s with field at its place, or appended where there is none of that name; it returns the place.
func With(s *arrow.Schema, field arrow.Field) (*arrow.Schema, int) {
	fields := append([]arrow.Field(nil), s.Fields()...)
	meta := s.Metadata()
	if at := s.FieldIndices(field.Name); len(at) > 0 {
		fields[at[0]] = field
		return arrow.NewSchema(fields, &meta), at[0]
	}
	return arrow.NewSchema(append(fields, field), &meta), len(fields)
}
