package parquet_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/sinks/internal/parquet"
)

// everyType has a column of every type that is written, nested ones among them.
func everyType() *arrow.Schema {
	p := arrow.PrimitiveTypes
	var fields []arrow.Field
	for _, t := range []arrow.DataType{
		arrow.FixedWidthTypes.Boolean, p.Int8, p.Int16, p.Int32, p.Int64, p.Uint8, p.Uint16, p.Uint32, p.Uint64, p.Float32, p.Float64, p.Date32,
		arrow.BinaryTypes.String, arrow.BinaryTypes.LargeString, arrow.BinaryTypes.Binary, arrow.BinaryTypes.LargeBinary,
		arrow.FixedWidthTypes.Timestamp_s, arrow.FixedWidthTypes.Timestamp_ms, arrow.FixedWidthTypes.Timestamp_us, arrow.FixedWidthTypes.Timestamp_ns,
		&arrow.TimestampType{Unit: arrow.Microsecond}, arrow.Null,
		arrow.ListOf(arrow.BinaryTypes.String), arrow.LargeListOf(p.Int64), arrow.ListOf(arrow.ListOf(p.Float64)),
		arrow.StructOf(arrow.Field{Name: "x", Type: p.Int64, Nullable: true}, arrow.Field{Name: "y", Nullable: true, Type: arrow.StructOf(
			arrow.Field{Name: "z", Type: arrow.BinaryTypes.String, Nullable: true})}),
		arrow.ListOf(arrow.StructOf(arrow.Field{Name: "a", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
			arrow.Field{Name: "b", Type: arrow.ListOf(p.Int32), Nullable: true})),
	} {
		fields = append(fields, arrow.Field{Name: fmt.Sprintf("c%02d %s", len(fields), t.ID()), Type: t, Nullable: true})
	}
	return core.SchemaOf(append(fields,
		arrow.Field{Name: "outgrows its dictionary", Type: arrow.BinaryTypes.String, Nullable: true},
		arrow.Field{Name: "never null", Type: p.Int64, Nullable: true}, arrow.Field{Name: "few words", Type: p.Float64, Nullable: true},
		arrow.Field{Name: "always null", Type: arrow.BinaryTypes.String, Nullable: true})...)
}

// fill appends a value made up by r to b; one of five is null.
func fill(b array.Builder, r *rand.Rand) {
	if r.IntN(5) == 0 {
		b.AppendNull()
		return
	}
	text := strings.Repeat("é", r.IntN(3)) + fmt.Sprint(r.IntN(40))
	switch b := b.(type) {
	case *array.BooleanBuilder:
		b.Append(r.IntN(2) == 0)
	case *array.Int8Builder:
		b.Append(int8(r.Uint32()))
	case *array.Int16Builder:
		b.Append(int16(r.Uint32()))
	case *array.Int32Builder:
		b.Append(int32(r.Uint32()))
	case *array.Int64Builder:
		b.Append(int64(r.Uint64()))
	case *array.Uint8Builder:
		b.Append(uint8(r.Uint32()))
	case *array.Uint16Builder:
		b.Append(uint16(r.Uint32()))
	case *array.Uint32Builder:
		b.Append(r.Uint32())
	case *array.Uint64Builder:
		b.Append(r.Uint64())
	case *array.Float32Builder:
		b.Append([]float32{0, float32(math.Copysign(0, -1)), float32(math.NaN()), -1.5, 3, float32(r.NormFloat64())}[r.IntN(6)])
	case *array.Float64Builder:
		b.Append([]float64{0, math.NaN(), math.Inf(1), r.NormFloat64()}[r.IntN(4)])
	case *array.Date32Builder:
		b.Append(arrow.Date32(r.IntN(40000) - 10000))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(r.Int64N(1e9) - 5e8))
	case *array.StringBuilder:
		b.Append(text)
	case *array.LargeStringBuilder:
		b.Append(fmt.Sprint(r.Uint64()))
	case *array.BinaryBuilder:
		b.Append([]byte(text + "\x00\xff"))
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

// variety is n rows of every type.
func variety(schema *arrow.Schema, seed uint64, n int) arrow.Record {
	r := rand.New(rand.NewPCG(seed, 1))
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i := range n {
		for c := range schema.NumFields() {
			switch f := b.Field(c).(type) {
			case *array.StringBuilder:
				if name := schema.Field(c).Name; name == "always null" {
					f.AppendNull()
					continue
				} else if name == "outgrows its dictionary" && i > 1500 {
					f.Append(fmt.Sprintf("%01200d", r.Uint64()))
					continue
				}
			case *array.Int64Builder:
				if schema.Field(c).Name == "never null" {
					f.Append(int64(i) - 10)
					continue
				}
			case *array.Float64Builder:
				if schema.Field(c).Name == "few words" {
					f.Append(float64(i % 7))
					continue
				}
			}
			fill(b.Field(c), r)
		}
	}
	return b.NewRecord()
}

func TestEveryTypeReadsBack(t *testing.T) {
	schema := everyType()
	all := variety(schema, 1, 3000)
	defer all.Release()
	part := all.NewSlice(17, 2600)
	defer part.Release()
	var some []int32
	for i := int32(0); i < 2500; i += 3 {
		some = append(some, i)
	}
	for name, c := range map[string]parquet.Config{
		"one row group":   {},
		"many row groups": {RowGroupRows: 600, Compression: "snappy"},
		"uncompressed":    {RowGroupRows: 1900, Compression: "none"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			w, err := parquet.New(&out, schema, c)
			require.NoError(t, err)
			require.NoError(t, w.Write(all, nil))
			require.NoError(t, w.Write(part, some))
			require.NoError(t, w.Write(part, []int32{}))
			require.NoError(t, w.Write(part, nil))
			require.Positive(t, w.Held())
			require.NoError(t, w.Close())
			require.EqualValues(t, 3000+len(some)+2583, w.Rows())

			f, err := pq.OpenFile(bytes.NewReader(out.Bytes()), int64(out.Len()))
			require.NoError(t, err)
			require.Equal(t, w.Rows(), f.NumRows())
			got := columnsOf(t, f)
			var want [][]pq.Value
			for _, b := range []struct {
				rec  arrow.Record
				rows []int32
			}{{all, nil}, {part, some}, {part, nil}} {
				want = reference(want, b.rec, b.rows)
			}
			require.Len(t, got, len(want))
			for i, values := range want {
				at := strings.Join(f.Schema().Columns()[i], ".")
				require.Len(t, got[i], len(values), at)
				for k, v := range values {
					if !same(v, got[i][k]) {
						t.Fatalf("%s: value %d is %+v, want %+v", at, k, got[i][k], v)
					}
				}
			}
		})
	}
}

// same reports whether two values have the same bytes, NaNs too, and the same levels.
func same(a, b pq.Value) bool {
	return a.RepetitionLevel() == b.RepetitionLevel() && a.DefinitionLevel() == b.DefinitionLevel() &&
		a.IsNull() == b.IsNull() && bytes.Equal(a.Bytes(), b.Bytes())
}

// columnsOf are the values of each column of f. That the statistics of each chunk tell the truth is checked on the way.
func columnsOf(t *testing.T, f *pq.File) [][]pq.Value {
	t.Helper()
	out := make([][]pq.Value, len(f.Schema().Columns()))
	for g, rg := range f.RowGroups() {
		for i, chunk := range rg.ColumnChunks() {
			before := len(out[i])
			pages := chunk.Pages()
			for {
				page, err := pages.ReadPage()
				if err != nil {
					break
				}
				values := make([]pq.Value, page.NumValues())
				n, _ := page.Values().ReadValues(values)
				require.Len(t, values, n)
				for _, v := range values {
					out[i] = append(out[i], v.Clone())
				}
			}
			require.NoError(t, pages.Close())
			requireStatistics(t, chunk.Type(), f.Metadata().RowGroups[g].Columns[i].MetaData.Statistics, out[i][before:])
		}
	}
	return out
}

func requireStatistics(t *testing.T, typ pq.Type, got format.Statistics, values []pq.Value) {
	t.Helper()
	var seen int64
	var least, most pq.Value
	any := false
	for _, v := range values {
		if v.IsNull() {
			seen++
			continue
		}
		if k := v.Kind(); k == pq.Double && math.IsNaN(v.Double()) || k == pq.Float && math.IsNaN(float64(v.Float())) {
			continue
		}
		if !any || typ.Compare(v, least) < 0 {
			least = v
		}
		if !any || typ.Compare(v, most) > 0 {
			most = v
		}
		any = true
	}
	require.Equal(t, seen, got.NullCount)
	if !any || typ.Kind() == pq.ByteArray && max(len(least.ByteArray()), len(most.ByteArray())) > 64 {
		require.Empty(t, got.MinValue)
		require.Empty(t, got.MaxValue)
		return
	}
	require.Zero(t, typ.Compare(least, typ.Kind().Value(got.MinValue)), "%v is not the least: %v", got.MinValue, least)
	require.Zero(t, typ.Compare(most, typ.Kind().Value(got.MaxValue)), "%v is not the greatest: %v", got.MaxValue, most)
}

// growing is n rows of a column that repeats itself for longer than a page, and then no more.
func growing(n int) arrow.Record {
	b := array.NewRecordBuilder(memory.DefaultAllocator, core.SchemaOf(arrow.Field{Name: "a", Type: arrow.BinaryTypes.String, Nullable: true}))
	defer b.Release()
	for i := range n {
		for c := range core.HiddenColumns {
			b.Field(c).AppendEmptyValue()
		}
		text := fmt.Sprint(i % 9)
		if i > 270_000 {
			text = fmt.Sprintf("%0100d", i)
		}
		b.Field(core.HiddenColumns).(*array.StringBuilder).Append(text)
	}
	return b.NewRecord()
}

func TestADictionaryIsGivenUpWithinAChunk(t *testing.T) {
	rec := growing(290_000)
	defer rec.Release()
	var out bytes.Buffer
	w, err := parquet.New(&out, rec.Schema(), parquet.Config{RowGroupRows: 1_000_000})
	require.NoError(t, err)
	require.NoError(t, w.Write(rec, nil))
	require.NoError(t, w.Close())
	f, err := pq.OpenFile(bytes.NewReader(out.Bytes()), int64(out.Len()))
	require.NoError(t, err)
	pages := map[format.Encoding]int32{}
	for _, s := range f.Metadata().RowGroups[0].Columns[0].MetaData.EncodingStats {
		if s.PageType == format.DataPage {
			pages[s.Encoding] += s.Count
		}
	}
	require.Positive(t, pages[format.Plain])
	require.Greater(t, pages[format.RLEDictionary], int32(1))
	got, want := columnsOf(t, f), reference(nil, rec, nil)
	require.Len(t, got[0], len(want[0]))
	for i, v := range want[0] {
		if !same(v, got[0][i]) {
			t.Fatalf("value %d is %+v, want %+v", i, got[0][i], v)
		}
	}
}
