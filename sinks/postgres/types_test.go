package postgres_test

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/sinktest"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/sinks/postgres"
)

// value is one of a column: what goes in, and what PostgreSQL has of it as text, or ! and a part of why it is refused.
type value struct {
	in   any
	want string
}

// kind is a type of Arrow, the type that a column is made with for it, and values.
type kind struct {
	from   arrow.DataType
	column string
	values []value
}

func of[T any](in T, want string) value { return value{in, want} }

func stamp(unit arrow.TimeUnit, zone string) arrow.DataType {
	return &arrow.TimestampType{Unit: unit, TimeZone: zone}
}

var kinds = []kind{
	{arrow.FixedWidthTypes.Boolean, "boolean", []value{of(true, "true"), of(false, "false")}},
	{arrow.PrimitiveTypes.Int8, "smallint", []value{of(int8(math.MinInt8), "-128"), of(int8(math.MaxInt8), "127")}},
	{arrow.PrimitiveTypes.Int16, "smallint", []value{of(int16(math.MinInt16), "-32768"), of(int16(math.MaxInt16), "32767")}},
	{arrow.PrimitiveTypes.Int32, "integer", []value{of(int32(math.MinInt32), "-2147483648"), of(int32(math.MaxInt32), "2147483647")}},
	{arrow.PrimitiveTypes.Int64, "bigint", []value{of(int64(math.MinInt64), "-9223372036854775808"), of(int64(math.MaxInt64), "9223372036854775807")}},
	{arrow.PrimitiveTypes.Uint8, "smallint", []value{of(uint8(0), "0"), of(uint8(math.MaxUint8), "255")}},
	{arrow.PrimitiveTypes.Uint16, "integer", []value{of(uint16(math.MaxUint16), "65535")}},
	{arrow.PrimitiveTypes.Uint32, "bigint", []value{of(uint32(math.MaxUint32), "4294967295")}},
	{arrow.PrimitiveTypes.Uint64, "numeric(20,0)", []value{of(uint64(0), "0"), of(uint64(math.MaxUint64), "18446744073709551615")}},
	{arrow.PrimitiveTypes.Float32, "real", []value{
		of(float32(math.NaN()), "NaN"), of(float32(math.Inf(1)), "Infinity"), of(float32(math.Inf(-1)), "-Infinity"),
		of(float32(math.MaxFloat32), "3.4028235e+38"), of(float32(math.SmallestNonzeroFloat32), "1e-45"), of(float32(math.Copysign(0, -1)), "-0"),
	}},
	{arrow.PrimitiveTypes.Float64, "double precision", []value{
		of(math.NaN(), "NaN"), of(math.Inf(1), "Infinity"), of(math.Inf(-1), "-Infinity"),
		of(math.MaxFloat64, "1.7976931348623157e+308"), of(math.SmallestNonzeroFloat64, "5e-324"), of(math.Copysign(0, -1), "-0"),
	}},
	{arrow.BinaryTypes.String, "text", []value{of("", ""), of("日本 🚰", "日本 🚰"), of("a\x00b", "!U+0000"), of("\xff", "!UTF-8"), of("\\N", "\\N"), of("NULL", "NULL")}},
	{arrow.BinaryTypes.LargeString, "text", []value{of("x", "x"), of("\x00", "!U+0000")}},
	{arrow.BinaryTypes.Binary, "bytea", []value{of([]byte{}, `\x`), of([]byte{0, 255}, `\x00ff`)}},
	{arrow.BinaryTypes.LargeBinary, "bytea", []value{of([]byte{0, 255}, `\x00ff`)}},
	{arrow.FixedWidthTypes.Date32, "date", []value{
		of(arrow.Date32(-2_440_588), "4714-11-24 BC"), of(arrow.Date32(-2_440_589), "!outside"),
		of(arrow.Date32(0), "1970-01-01"), of(arrow.Date32(2_932_896), "9999-12-31"), of(arrow.Date32(math.MaxInt32), "!outside"), of(arrow.Date32(math.MinInt32), "!outside"),
	}},
	{stamp(arrow.Second, ""), "timestamp with time zone", []value{of(arrow.Timestamp(-1), "1969-12-31 23:59:59+00"), of(arrow.Timestamp(math.MaxInt64), "!outside"), of(arrow.Timestamp(math.MinInt64), "!outside")}},
	{stamp(arrow.Millisecond, "UTC"), "timestamp with time zone", []value{of(arrow.Timestamp(-1), "1969-12-31 23:59:59.999+00"), of(arrow.Timestamp(math.MaxInt64), "!outside")}},
	{stamp(arrow.Microsecond, "Asia/Tokyo"), "timestamp with time zone", []value{
		of(arrow.Timestamp(0), "1970-01-01 00:00:00+00"), of(arrow.Timestamp(-210_866_803_200_000_000), "4714-11-24 00:00:00+00 BC"), of(arrow.Timestamp(-210_866_803_200_000_001), "!outside"),
		of(arrow.Timestamp(math.MaxInt64), "294247-01-10 04:00:54.775807+00"), of(arrow.Timestamp(math.MinInt64), "!outside"),
	}},
	{stamp(arrow.Nanosecond, "UTC"), "timestamp with time zone", []value{of(arrow.Timestamp(-1), "1969-12-31 23:59:59.999999+00"), of(arrow.Timestamp(math.MaxInt64), "2262-04-11 23:47:16.854775+00")}},
	{arrow.ListOf(arrow.PrimitiveTypes.Int64), "bigint[]", []value{of("[]", "{}"), of("[1,null,-9223372036854775808]", "{1,NULL,-9223372036854775808}")}},
	{arrow.ListOf(arrow.BinaryTypes.String), "text[]", []value{of(`["","NULL",null,"a,b{}\"\\"]`, `{"","NULL",NULL,"a,b{}\"\\"}`), of(`["a\u0000"]`, "!U+0000")}},
	{arrow.ListOf(arrow.FixedWidthTypes.Boolean), "boolean[]", []value{of("[true,false]", "{t,f}")}},
	{arrow.ListOf(arrow.PrimitiveTypes.Float64), "double precision[]", []value{of("[0.5,-1e300]", "{0.5,-1e+300}")}},
	{arrow.ListOf(arrow.FixedWidthTypes.Date32), "date[]", []value{of(`["2026-01-02"]`, "{2026-01-02}")}},
	{arrow.ListOf(stamp(arrow.Microsecond, "UTC")), "timestamp with time zone[]", []value{of(`["2026-01-02 03:04:05"]`, `{"2026-01-02 03:04:05+00"}`)}},
	{arrow.ListOf(arrow.ListOf(arrow.PrimitiveTypes.Int64)), "jsonb", []value{of("[[1],[2,3]]", "[[1], [2, 3]]")}},
	{arrow.ListOf(arrow.StructOf(sinktest.Column("a", whole))), "jsonb", []value{of(`[{"a":1},null]`, `[{"a": 1}, null]`)}},
	{arrow.LargeListOf(whole), "jsonb", []value{of("[1,null]", "[1, null]")}},
	{arrow.StructOf(sinktest.Column("a", whole), sinktest.Column("b", arrow.StructOf(sinktest.Column("c", text)))), "jsonb", []value{of(`{"a":1,"b":{"c":"x"}}`, `{"a": 1, "b": {"c": "x"}}`), of(`{"a":null,"b":{"c":"\u0000"}}`, "!unsupported Unicode escape")}},
	{arrow.Null, "", []value{}},
}

// strangers are types that no decoder and no stage makes.
var strangers = []arrow.DataType{
	arrow.MapOf(text, whole), arrow.FixedWidthTypes.Duration_ms, arrow.FixedWidthTypes.MonthInterval, arrow.FixedWidthTypes.DayTimeInterval,
	arrow.FixedWidthTypes.MonthDayNanoInterval, arrow.FixedWidthTypes.Float16, arrow.FixedSizeListOf(2, whole), arrow.FixedWidthTypes.Date64,
	&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: text}, &arrow.FixedSizeBinaryType{ByteWidth: 3},
	arrow.FixedWidthTypes.Time32s, arrow.FixedWidthTypes.Time64us, &arrow.Decimal128Type{Precision: 38}, &arrow.Decimal256Type{Precision: 76}, arrow.BinaryTypes.StringView,
}

// column has the values, one after another, and a null.
func column(t *testing.T, k kind) arrow.Array {
	t.Helper()
	b := array.NewBuilder(memory.DefaultAllocator, k.from)
	defer b.Release()
	for _, v := range k.values {
		put(t, b, v.in)
	}
	b.AppendNull()
	return b.NewArray()
}

func put(t *testing.T, b array.Builder, in any) {
	t.Helper()
	switch b := b.(type) {
	case *array.BooleanBuilder:
		b.Append(in.(bool))
	case *array.Int8Builder:
		b.Append(in.(int8))
	case *array.Int16Builder:
		b.Append(in.(int16))
	case *array.Int32Builder:
		b.Append(in.(int32))
	case *array.Int64Builder:
		b.Append(in.(int64))
	case *array.Uint8Builder:
		b.Append(in.(uint8))
	case *array.Uint16Builder:
		b.Append(in.(uint16))
	case *array.Uint32Builder:
		b.Append(in.(uint32))
	case *array.Uint64Builder:
		b.Append(in.(uint64))
	case *array.Float32Builder:
		b.Append(in.(float32))
	case *array.Float64Builder:
		b.Append(in.(float64))
	case *array.StringBuilder:
		b.Append(in.(string))
	case *array.LargeStringBuilder:
		b.Append(in.(string))
	case *array.BinaryBuilder:
		b.Append(in.([]byte))
	case *array.Date32Builder:
		b.Append(in.(arrow.Date32))
	case *array.TimestampBuilder:
		b.Append(in.(arrow.Timestamp))
	default: // what has parts is written as JSON
		require.NoError(t, b.UnmarshalJSON([]byte("["+in.(string)+"]")))
	}
}

// TestEveryTypeOfArrow makes a table for each type, in a database whose time zone is far from UTC, and loads nulls and
// extremes: each value is there as it was or is refused with a reason.
func TestEveryTypeOfArrow(t *testing.T) {
	server := servers.PostgresFor(t, "timezone=Pacific/Auckland")
	for _, k := range kinds {
		t.Run(fmt.Sprint(k.from), func(t *testing.T) {
			l := load(t, server, "", postgres.Config{Table: "t", Evolve: "add"}, sinktest.Column("n", whole), sinktest.Column("v", k.from))
			a := column(t, k)
			refused, err := l.putColumn(t, a)
			require.NoError(t, err)
			if k.column == "" {
				require.Equal(t, []string{"0"}, l.rows(t, "SELECT n::text FROM t"))
				return
			}
			require.Equal(t, []string{k.column}, l.rows(t, "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'v'"))
			l.url += "&timezone=UTC"
			got := l.rows(t, "SELECT concat(n, '=', v) FROM t ORDER BY n")
			var want []string
			for i, v := range k.values {
				if why, no := strings.CutPrefix(v.want, "!"); no {
					require.Contains(t, refused[i], why)
				} else {
					require.NotContains(t, refused, i)
					want = append(want, fmt.Sprintf("%d=%s", i, strings.NewReplacer("true", "t", "false", "f").Replace(v.want)))
				}
			}
			require.Equal(t, append(want, fmt.Sprintf("%d=", len(k.values))), got)
			require.Equal(t, []string{fmt.Sprint(len(k.values))}, l.rows(t, "SELECT n::text FROM t WHERE v IS NULL"))
		})
	}
}

func TestTypesThatNobodyMakesAreNamed(t *testing.T) {
	server := servers.PostgresFor(t)
	for _, from := range strangers {
		t.Run(fmt.Sprint(from), func(t *testing.T) {
			l := load(t, server, "", postgres.Config{Table: "t", Evolve: "add"}, sinktest.Column("n", whole), sinktest.Column("v", from))
			_, err := l.putColumn(t, column(t, kind{from: from}))
			require.ErrorIs(t, err, core.ErrInvalid)
			require.ErrorContains(t, err, `column "v": type `+from.String())
		})
	}
}

// numbers numbers records by their handles.
type numbers struct{}

func (numbers) At(handle, _ int64) core.SequenceNumber {
	return core.SequenceNumber(strconv.FormatInt(handle, 10))
}

// putColumn loads rows of a number and a value each, and returns why rows were refused, by their numbers.
func (l *loader) putColumn(t *testing.T, a arrow.Array) (map[int]string, error) {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, core.SchemaOf(sinktest.Column("n", whole)))
	for i := range a.Len() {
		b.Field(0).(*array.Int64Builder).Append(int64(i + 1))
		b.Field(1).(*array.Int32Builder).Append(0)
		b.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(time.Unix(0, 0).UnixMilli()))
		b.Field(3).(*array.StringBuilder).Append("key")
		b.Field(4).(*array.Int64Builder).Append(int64(i))
	}
	rows := array.NewRecord(l.Schema, append(b.NewRecord().Columns(), a), int64(a.Len()))
	st, err := l.Stage(t.Context(), connectors.Flush{Pipeline: "p", Incarnation: "00000000000000aa", Number: 1, Schema: l.Schema})
	require.NoError(t, err)
	if err := st.Add(t.Context(), core.Batch{Shard: "s", Sequences: numbers{}, Rows: rows}, &connectors.Verdicts{}); err != nil {
		return nil, err
	}
	p := connectors.Plan{Pipeline: "p", Incarnation: "00000000000000aa", Number: 1, Spans: []connectors.PlanSpan{{Source: "s", Shard: "s", Through: numbers{}.At(int64(a.Len()), 0)}}}
	p.Outputs, err = st.Outputs(t.Context())
	require.NoError(t, err)
	refused := map[int]string{}
	err = st.Publish(t.Context(), p, func(_ context.Context, rejects []connectors.Reject) ([]connectors.Reject, error) {
		for _, r := range rejects {
			n := 0
			_, err := fmt.Sscan(string(r.Seq), &n)
			require.NoError(t, err)
			refused[n-1] = r.Code + " " + r.Reason
		}
		return rejects, nil
	})
	require.NoError(t, st.Discard())
	return refused, err
}
