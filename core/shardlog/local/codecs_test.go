package local

import (
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/vfs"
)

// The dictionary of a column would have to be stored beside each batch of it.
func TestADictionaryColumnIsRefused(t *testing.T) {
	e := open(t, vfs.NewMem(), "/log", Config{})
	require.NoError(t, e.Create(t.Context(), "log"))
	w, _, err := e.Claim(t.Context(), "log", 1, "test")
	require.NoError(t, err)
	dict := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}
	for name, typ := range map[string]arrow.DataType{"plain": dict, "in a list": arrow.ListOf(dict)} {
		t.Run(name, func(t *testing.T) {
			s := arrow.NewSchema([]arrow.Field{{Name: "v", Type: typ}}, nil)
			b := array.NewRecordBuilder(memory.DefaultAllocator, s)
			defer b.Release()
			b.Field(0).AppendNull()
			rec := b.NewRecord()
			defer rec.Release()
			_, err := w.Append(shardlog.Anywhere, shardlog.Batch{Rows: rec}).Wait(t.Context())
			require.ErrorIs(t, err, core.ErrInvalid)
		})
	}
}
