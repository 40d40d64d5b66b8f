package parquet_test

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	pq "github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/sinks/internal/ndjson"
	"github.com/penstock/penstock/sinks/internal/parquet"
	"github.com/penstock/penstock/sinks/internal/rowhash"
)

var schema = core.SchemaOf(
	arrow.Field{Name: "z", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	arrow.Field{Name: "a", Type: arrow.BinaryTypes.String, Nullable: true},
	arrow.Field{Name: "n", Nullable: true, Type: arrow.StructOf(
		arrow.Field{Name: "l", Nullable: true, Type: arrow.ListOf(arrow.PrimitiveTypes.Int32)})},
)

const lines = `{"z":1,"a":"日本","n":{"l":[1,null,3]}}
{"z":9223372036854775807,"n":{"l":[]}}
{"a":"","n":{}}
{"z":-5}
`

func rows(t *testing.T, mem memory.Allocator) arrow.Record {
	t.Helper()
	b := array.NewRecordBuilder(mem, schema)
	defer b.Release()
	for i := range strings.Split(strings.TrimSpace(lines), "\n") {
		for c, hidden := range []string{"1", "0", "1000", `"k"`} {
			require.NoError(t, b.Field(c).UnmarshalJSON([]byte("["+hidden+"]")), i)
		}
	}
	for c, text := range map[int]string{
		5: `["日本",null,"",null]`,
		6: `[{"l":[1,null,3]},{"l":[]},{"l":null},null]`,
	} {
		require.NoError(t, b.Field(c).UnmarshalJSON([]byte(text)))
	}
	// Arrow's JSON reader takes integers by way of float64, so the largest is appended as it is.
	b.Field(4).(*array.Int64Builder).AppendValues([]int64{1, math.MaxInt64, 0, -5}, []bool{true, true, false, true})
	return b.NewRecord()
}

func TestNestedRowsReadBack(t *testing.T) {
	for _, codec := range []string{"", "zstd", "snappy", "gzip", "none"} {
		t.Run("compression "+codec, func(t *testing.T) {
			mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
			defer mem.AssertSize(t, 0)
			rec := rows(t, mem)
			defer rec.Release()
			var out bytes.Buffer
			w, err := parquet.New(&out, schema, parquet.Config{Compression: codec, RowGroupRows: 3})
			require.NoError(t, err)
			require.NoError(t, w.Write(rec, nil))
			require.NoError(t, w.Write(rec, []int32{0, 3}))
			require.NoError(t, w.SetMetadata(parquet.PlanKey, `{"plan":7}`))
			require.NoError(t, w.Close())

			f, err := pq.OpenFile(bytes.NewReader(out.Bytes()), int64(out.Len()))
			require.NoError(t, err)
			require.EqualValues(t, 6, f.NumRows())
			require.Len(t, f.RowGroups(), 2)
			plan, _ := f.Lookup(parquet.PlanKey)
			require.Equal(t, `{"plan":7}`, plan)
			require.Equal(t, [][]string{{"z"}, {"a"}, {"n", "l", "list", "element"}}, f.Schema().Columns())
			var got []string
			r := pq.NewReader(bytes.NewReader(out.Bytes()))
			for range 6 {
				buf := make([]pq.Row, 1)
				_, _ = r.ReadRows(buf)
				var s []string
				for _, v := range buf[0] {
					s = append(s, v.String())
				}
				got = append(got, strings.Join(s, "|"))
			}
			require.Equal(t, []string{
				"1|日本|1|<null>|3", "9223372036854775807|<null>|<null>", "<null>||<null>", "-5|<null>|<null>", "1|日本|1|<null>|3", "-5|<null>|<null>",
			}, got)
			nulls := int64(0)
			for _, g := range f.Metadata().RowGroups {
				nulls += g.Columns[1].MetaData.Statistics.NullCount
			}
			require.EqualValues(t, 3, nulls)
		})
	}
}

func TestAFileWithoutRowsIsValid(t *testing.T) {
	var out bytes.Buffer
	w, err := parquet.New(&out, schema, parquet.Config{})
	require.NoError(t, err)
	require.NoError(t, w.Close())
	f, err := pq.OpenFile(bytes.NewReader(out.Bytes()), int64(out.Len()))
	require.NoError(t, err)
	require.Zero(t, f.NumRows())
}

func TestTheSameRowsBecomeLinesAndOneHash(t *testing.T) {
	rec := rows(t, memory.DefaultAllocator)
	defer rec.Release()
	var out bytes.Buffer
	w, err := ndjson.New(&out, ndjson.Config{})
	require.NoError(t, err)
	require.NoError(t, w.Write(rec, nil))
	require.NoError(t, w.Close())
	require.Equal(t, lines, out.String())
	all, err := rowhash.Rows(nil, rec)
	require.NoError(t, err)
	tail := rec.NewSlice(2, 4)
	defer tail.Release()
	part, err := rowhash.Rows(nil, tail)
	require.NoError(t, err)
	require.Equal(t, all[2:], part)
	require.NotEqual(t, all[0], all[1])
}
