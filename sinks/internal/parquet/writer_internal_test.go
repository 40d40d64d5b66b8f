package parquet

import (
	"io"
	"math"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/parquet-go/parquet-go/format"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
)

func TestTooManyRowGroupsAreRefusedWithTheCure(t *testing.T) {
	schema := core.SchemaOf(arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int64, Nullable: true})
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for _, f := range b.Fields() {
		f.AppendEmptyValue()
	}
	rec := b.NewRecord()
	defer rec.Release()
	w, err := New(io.Discard, schema, Config{RowGroupRows: 1})
	require.NoError(t, err)
	require.NoError(t, w.Write(rec, nil))
	w.footer.RowGroups = make([]format.RowGroup, math.MaxInt16)
	err = w.Write(rec, nil)
	require.ErrorIs(t, err, core.ErrInvalid)
	require.ErrorContains(t, err, "row_group_rows")
}
