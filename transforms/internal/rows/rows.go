package rows

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/core"
)

// Take returns the rows of b that keep names, as a new batch that the caller releases. keep rises; when it names every
// row nothing is copied. Columns may be of any type, nested ones included.
func Take(ctx context.Context, mem memory.Allocator, b core.Batch, keep []int32) (core.Batch, error) {
	if int64(len(keep)) == b.NumRows() {
		b.Retain()
		return b, nil
	}
	if run(keep) {
		var from int64
		if len(keep) > 0 {
			from = int64(keep[0])
		}
		return b.WithRows(b.Rows.NewSlice(from, from+int64(len(keep)))), nil
	}
	cols := make([]arrow.Array, 0, b.Rows.NumCols())
	defer func() { release(cols) }()
	for i, c := range b.Rows.Columns() {
		taken, err := take(ctx, mem, c, keep)
		if err != nil {
			return core.Batch{}, fmt.Errorf("select rows of column %s (%s): %w", b.Rows.ColumnName(i), c.DataType(), err)
		}
		cols = append(cols, taken)
	}
	return b.WithRows(array.NewRecord(b.Rows.Schema(), cols, int64(len(keep)))), nil
}

// run reports whether the rows follow each other.
func run(keep []int32) bool {
	return len(keep) == 0 || int(keep[len(keep)-1]-keep[0]) == len(keep)-1
}

func release(cols []arrow.Array) {
	for _, c := range cols {
		c.Release()
	}
}

// Without returns the rows of b that bad does not mark, as a new batch that the caller releases.
func Without(ctx context.Context, mem memory.Allocator, b core.Batch, bad []bool) (core.Batch, error) {
	keep := make([]int32, 0, len(bad))
	for i, x := range bad {
		if !x {
			keep = append(keep, int32(i)) //nolint:gosec // rows of a batch
		}
	}
	return Take(ctx, mem, b, keep)
}

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
