package local

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"
)

// TestTemplateWritesWhatTheLibraryDoes compares the bytes of both ways to encode a batch.
func TestTemplateWritesWhatTheLibraryDoes(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "n", Type: arrow.PrimitiveTypes.Int64},
		{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "t", Type: arrow.FixedWidthTypes.Timestamp_ms},
		{Name: "b", Type: arrow.BinaryTypes.Binary},
	}, nil)
	e, err := newEncoder(schema)
	require.NoError(t, err)
	require.NotNil(t, e.flat)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 8, 9, 1000} {
		rec := flatRecord(schema, n, rng, false)
		got, ok := e.flat.encode(rec)
		require.True(t, ok, "%d rows", n)
		requireSamePayload(t, e, rec, got)

		slice := rec.NewSlice(int64(n/2), int64(n))
		if _, ok := e.flat.encode(slice); n > 1 {
			require.False(t, ok, "the end of a longer batch")
		}
		got, err := e.encode(slice)
		require.NoError(t, err)
		requireSamePayload(t, e, slice, got)

		slice = rec.NewSlice(0, int64(n/2+1))
		got, err = e.encode(slice)
		require.NoError(t, err)
		requireSamePayload(t, e, slice, got)

		rec = flatRecord(schema, n, rng, true)
		_, ok = e.flat.encode(rec)
		require.False(t, ok, "a batch with nulls")
		got, err = e.encode(rec)
		require.NoError(t, err)
		requireSamePayload(t, e, rec, got)
	}
}

func TestTemplateIsOnlyForFlatSchemas(t *testing.T) {
	for _, typ := range []arrow.DataType{
		arrow.ListOf(arrow.PrimitiveTypes.Int64), arrow.FixedWidthTypes.Boolean, arrow.Null, arrow.BinaryTypes.LargeString,
		arrow.StructOf(arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int64}),
	} {
		e, err := newEncoder(arrow.NewSchema([]arrow.Field{{Name: "c", Type: typ, Nullable: true}}, nil))
		require.NoError(t, err)
		require.Nil(t, e.flat, typ)
	}
	e, err := newEncoder(arrow.NewSchema(nil, nil))
	require.NoError(t, err)
	require.Nil(t, e.flat)
}

// flatRecord has n rows, the last of them with a null in s if nulls are wanted, and sometimes nothing but empty strings.
func flatRecord(s *arrow.Schema, n int, rng *rand.Rand, nulls bool) arrow.Record {
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	defer b.Release()
	longest := rng.IntN(2) * 20
	for range n {
		b.Field(0).(*array.Int64Builder).Append(rng.Int64())
		b.Field(1).(*array.StringBuilder).Append(fmt.Sprint(rng.Int64())[:rng.IntN(longest/2+1)])
		b.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(rng.Int64()))
		b.Field(3).(*array.BinaryBuilder).Append(make([]byte, rng.IntN(longest+1)))
	}
	if nulls {
		b.Field(1).(*array.StringBuilder).AppendNull()
		for _, i := range []int{0, 2, 3} {
			b.Field(i).AppendEmptyValue()
		}
	}
	return b.NewRecord()
}

func requireSamePayload(t *testing.T, e *encoder, rec arrow.Record, got payload) {
	t.Helper()
	want, err := e.write(rec)
	require.NoError(t, err)
	require.Equal(t, slices.Concat(want.parts...), slices.Concat(got.parts...))
	require.Equal(t, want.crc, got.crc)
	require.Equal(t, want.size, got.size)
}
