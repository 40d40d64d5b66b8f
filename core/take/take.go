// Package take selects rows of batches, hidden columns included. It does not judge them.
package take

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/core"
)

// Rows returns the rows of b that keep names, as a new batch that the caller releases. keep rises; when it names every
// row nothing is copied. Columns may be of any type, nested ones included.
func Rows(ctx context.Context, mem memory.Allocator, b core.Batch, keep []int32) (core.Batch, error) {
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
	return Rows(ctx, mem, b, keep)
}
