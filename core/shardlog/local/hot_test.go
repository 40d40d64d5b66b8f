package local

import (
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/vfs"
)

// TestTheHotTailForgetsWhatWasTrimmed, also where what stays never fills it: a log that is trimmed again and again, such
// as the control log, must not leave something behind for each of its entries.
func TestTheHotTailForgetsWhatWasTrimmed(t *testing.T) {
	e, err := Open(vfs.NewMem(), "/log", Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil)
	append1 := func(w shardlog.Writer) shardlog.Pos {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		defer b.Release()
		b.Field(0).AppendEmptyValue()
		rec := b.NewRecord()
		defer rec.Release()
		pos, err := w.Append(shardlog.Anywhere, shardlog.Batch{Rows: rec, Arrival: time.UnixMilli(1)}).Wait(t.Context())
		require.NoError(t, err)
		return pos
	}
	claim := func(id shardlog.LogID) shardlog.Writer {
		require.NoError(t, e.Create(t.Context(), id))
		w, _, err := e.Claim(t.Context(), id, 1, "test")
		require.NoError(t, err)
		return w
	}
	append1(claim("stays"))
	w := claim("goes")
	for range 300 {
		for range 10 {
			append1(w)
		}
		require.NoError(t, e.Trim(t.Context(), "goes", append1(w)))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	require.Less(t, len(e.hot.order), 100, "of 3301 entries, 2 are there")
	require.NotNil(t, e.logs["stays"].refs[0].hot)
	require.NotNil(t, e.logs["goes"].refs[0].hot)
}
