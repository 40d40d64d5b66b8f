package rowhash

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
)

func fill(b array.Builder, r *rand.Rand) {
	if r.IntN(4) == 0 {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.BooleanBuilder:
		b.Append(r.IntN(2) == 0)
	case *array.Int8Builder:
		b.Append(int8(r.Uint32()))
	case *array.Int32Builder:
		b.Append(int32(r.Uint32()))
	case *array.Int64Builder:
		b.Append(int64(r.Uint64()))
	case *array.Uint16Builder:
		b.Append(uint16(r.Uint32()))
	case *array.Uint64Builder:
		b.Append(r.Uint64())
	case *array.Float32Builder:
		b.Append(float32(r.NormFloat64()))
	case *array.Float64Builder:
		b.Append([]float64{0, math.Copysign(0, -1), math.NaN(), r.NormFloat64()}[r.IntN(4)])
	case *array.Date32Builder:
		b.Append(arrow.Date32(r.IntN(100) - 50))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(r.Int64N(1e9) - 5e8))
	case *array.StringBuilder:
		b.Append(strings.Repeat("é", r.IntN(30)))
	case *array.LargeStringBuilder:
		b.Append("x")
	case *array.BinaryBuilder:
		b.Append([]byte{byte(r.IntN(3))})
	case *array.StructBuilder:
		b.Append(true)
		for i := range b.NumField() {
			fill(b.FieldBuilder(i), r)
		}
	case array.ListLikeBuilder:
		b.Append(true)
		for range r.IntN(4) {
			fill(b.ValueBuilder(), r)
		}
	default:
		b.AppendNull()
	}
}

// TestColumnsHashAsValuesDo: whole columns at a time give what the definition gives value by value, of slices too.
func TestColumnsHashAsValuesDo(t *testing.T) {
	p := arrow.PrimitiveTypes
	var fields []arrow.Field
	for i, typ := range []arrow.DataType{
		arrow.FixedWidthTypes.Boolean, p.Int8, p.Int32, p.Int64, p.Uint16, p.Uint64, p.Float32, p.Float64, p.Date32, arrow.BinaryTypes.String,
		arrow.BinaryTypes.LargeString, arrow.BinaryTypes.Binary, arrow.FixedWidthTypes.Timestamp_s, arrow.FixedWidthTypes.Timestamp_us, arrow.Null,
		arrow.ListOf(arrow.BinaryTypes.String), arrow.LargeListOf(arrow.ListOf(p.Float64)),
		arrow.ListOf(arrow.StructOf(arrow.Field{Name: "a", Type: p.Int64, Nullable: true}, arrow.Field{Name: "b", Type: arrow.BinaryTypes.String, Nullable: true})),
		arrow.StructOf(arrow.Field{Name: "x", Type: arrow.ListOf(p.Int64), Nullable: true}),
	} {
		fields = append(fields, arrow.Field{Name: strings.Repeat("f", i+1), Type: typ, Nullable: true})
	}
	r := rand.New(rand.NewPCG(1, 1))
	b := array.NewRecordBuilder(memory.DefaultAllocator, core.SchemaOf(fields...))
	defer b.Release()
	for range 500 {
		for _, f := range b.Fields() {
			fill(f, r)
		}
	}
	rec := b.NewRecord()
	defer rec.Release()
	var dst []uint64
	for _, at := range [][2]int64{{0, 500}, {13, 14}, {77, 499}, {5, 5}} {
		part := rec.NewSlice(at[0], at[1])
		want, err := reference(part)
		require.NoError(t, err)
		dst, err = Rows(dst, part)
		require.NoError(t, err)
		require.Equal(t, want, dst)
		part.Release()
	}
}

// TestTheHashIsThatOfEarlierVersions: verify compares sums that another version wrote.
func TestTheHashIsThatOfEarlierVersions(t *testing.T) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, core.SchemaOf(
		arrow.Field{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true}, arrow.Field{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}))
	defer b.Release()
	for _, f := range b.Fields()[:core.HiddenColumns] {
		f.AppendEmptyValue()
	}
	b.Field(core.HiddenColumns).(*array.StringBuilder).Append("penstock")
	b.Field(core.HiddenColumns + 1).(*array.Int64Builder).Append(-7)
	rec := b.NewRecord()
	defer rec.Release()
	got, err := Rows(nil, rec)
	require.NoError(t, err)
	require.Equal(t, []uint64{0x7b540721e5a3042c}, got)
}
