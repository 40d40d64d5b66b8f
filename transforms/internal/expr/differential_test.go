package expr

import (
	"fmt"
	"math"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/fuzztest"
	"github.com/penstock/penstock/transforms/internal/rowtest"
)

var (
	someInts    = []int64{0, 1, -1, 2, 7, math.MaxInt64, math.MinInt64, math.MaxInt32, 1 << 53, 1<<53 + 1}
	someDoubles = []float64{0, 1, -1, 0.5, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, 1 << 53, 1 << 63}
	someStrings = []string{"", "a", "ab", "é", "héllo", "7", "x\x00y"}
)

// expression draws a source text of the given type: i, d, s, b or t.
func expression(t *rapid.T, typ string, depth int) string {
	sub := func(typ string) string { return expression(t, typ, depth-1) }
	pick := func(of ...string) string { return rapid.SampledFrom(of).Draw(t, "pick") }
	if depth <= 0 {
		switch typ {
		case "i":
			return pick("i", "j", "r.i", "0", "1", "-1", "7", "9223372036854775807")
		case "d":
			return pick("d", "e", "0.0", "1.5", "double(i)")
		case "s":
			return pick("s", "r.s", `""`, `"a"`, `"héllo"`)
		case "t":
			return pick("t", `timestamp("2026-01-01T00:00:00Z")`, "now()")
		default:
			return pick("b", "true", "false", "has(r.i)", "has(s)")
		}
	}
	cond := fmt.Sprintf("(%s ? %s : %s)", sub("b"), sub(typ), sub(typ))
	either := fmt.Sprintf("coalesce(%s, %s)", sub(typ), sub(typ))
	switch typ {
	case "i":
		return pick(cond, either, fmt.Sprintf("(%s %s %s)", sub("i"), pick("+", "-", "*", "/", "%"), sub("i")),
			fmt.Sprintf("-(%s)", sub("i")), fmt.Sprintf("size(%s)", sub("s")), fmt.Sprintf("int(%s)", sub(pick("s", "d"))))
	case "d":
		return pick(cond, either, fmt.Sprintf("(%s %s %s)", sub(pick("i", "d")), pick("+", "-", "*", "/"), sub("d")))
	case "s":
		return pick(cond, either, fmt.Sprintf("(%s + %s)", sub("s"), sub("s")), fmt.Sprintf("string(%s)", sub("i")),
			fmt.Sprintf("%s.substring(%s)", sub("s"), sub("i")), fmt.Sprintf("lower(%s)", sub("s")))
	case "t":
		return pick(cond, either, fmt.Sprintf("timestamp_trunc(%s, %q)", sub("t"), pick("hour", "day", "month", "year")))
	default:
		x := pick("i", "d", "s", "t")
		y := x
		if x == "d" {
			y = pick("i", "d")
		}
		return pick(cond, either, fmt.Sprintf("(%s && %s)", sub("b"), sub("b")), fmt.Sprintf("(%s || %s)", sub("b"), sub("b")),
			fmt.Sprintf("!(%s)", sub("b")),
			fmt.Sprintf("(%s %s %s)", sub(x), pick("==", "!=", "<", "<=", ">", ">="), sub(y)),
			fmt.Sprintf("(%s == null)", sub(x)), fmt.Sprintf("(%s == %s)", sub("b"), sub("b")),
			fmt.Sprintf("(%s in [0, 1, 7])", sub("i")), fmt.Sprintf(`(%s in ["", "a"])`, sub("s")),
			fmt.Sprintf("%s.%s(%s)", sub("s"), pick("startsWith", "endsWith", "contains"), sub("s")),
			fmt.Sprintf(`%s.matches("^h|a$")`, sub("s")), fmt.Sprintf("l.exists(x, x > %s)", sub("i")))
	}
}

func differentialFields() []arrow.Field {
	i, s := arrow.PrimitiveTypes.Int64, arrow.BinaryTypes.String
	return []arrow.Field{
		{Name: "i", Type: i, Nullable: true},
		{Name: "j", Type: i, Nullable: true},
		{Name: "d", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "e", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "s", Type: s, Nullable: true},
		{Name: "b", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
		{Name: "t", Type: arrow.FixedWidthTypes.Timestamp_ms, Nullable: true},
		{Name: "r", Type: arrow.StructOf(arrow.Field{Name: "i", Type: i, Nullable: true}, arrow.Field{Name: "s", Type: s, Nullable: true}), Nullable: true},
		{Name: "l", Type: arrow.ListOf(i), Nullable: true},
	}
}

func drawn(t *rapid.T, mem memory.Allocator) core.Batch {
	rb := array.NewRecordBuilder(mem, arrow.NewSchema(differentialFields(), nil))
	defer rb.Release()
	for range rapid.IntRange(0, 12).Draw(t, "rows") {
		for k := range rb.Fields() {
			drawValue(t, rb.Field(k))
		}
	}
	rec := rb.NewRecord()
	defer rec.Release()
	return rowtest.Wrap(mem, rec)
}

func drawValue(t *rapid.T, b array.Builder) {
	if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
		b.AppendNull()
		return
	}
	switch x := b.(type) {
	case *array.Int64Builder:
		x.Append(rapid.SampledFrom(someInts).Draw(t, "int"))
	case *array.Float64Builder:
		x.Append(rapid.SampledFrom(someDoubles).Draw(t, "double"))
	case *array.StringBuilder:
		x.Append(rapid.SampledFrom(someStrings).Draw(t, "string"))
	case *array.BooleanBuilder:
		x.Append(rapid.Bool().Draw(t, "bool"))
	case *array.TimestampBuilder:
		x.Append(arrow.Timestamp(rapid.Int64Range(-1e12, 4e12).Draw(t, "time")))
	case *array.StructBuilder:
		x.Append(true)
		drawValue(t, x.FieldBuilder(0))
		drawValue(t, x.FieldBuilder(1))
	case *array.ListBuilder:
		x.Append(true)
		for range rapid.IntRange(0, 3).Draw(t, "len") {
			drawValue(t, x.ValueBuilder())
		}
	}
}

func TestColumnsAndRowsAgree(t *testing.T) {
	rapid.Check(t, agree)
}

func FuzzColumnsAndRowsAgree(f *testing.F) { f.Fuzz(rapid.MakeFuzz(agree)) }

func agree(t *rapid.T) {
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	b := drawn(t, mem)
	src := expression(t, rapid.SampledFrom([]string{"i", "d", "s", "b", "t"}).Draw(t, "type"), rapid.IntRange(1, 3).Draw(t, "depth"))
	e, err := Parse(src)
	require.NoError(t, err)
	p, err := e.Bind(b.Rows.Schema())
	require.NoError(t, err)
	require.Equal(t, render(p.evalRows(b)), render(p.eval(b)), src)
	col, _, err := p.Eval(b, mem)
	require.NoError(t, err)
	require.Equal(t, int(b.NumRows()), col.Len())
	col.Release()
	b.Release()
	require.Zero(t, mem.CurrentAlloc())
}

// FuzzParse holds that no text makes Parse or Bind panic.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`i > 3 && s == "x"`, `l.map(x, x + 1)`, `has(r.i) ? r.i : 0`, `col("i")`, `{"a": i}["a"]`} {
		f.Add(s)
	}
	schema := core.SchemaOf(differentialFields()...)
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, src string) {
		e, err := Parse(src)
		if err != nil {
			return
		}
		p, err := e.Bind(schema)
		if err != nil {
			return
		}
		b, err := rowtest.Batch(memory.DefaultAllocator, differentialFields(), `[{"i":1,"s":"a","l":[1]},{}]`)
		require.NoError(t, err)
		defer b.Release()
		require.Len(t, render(p.eval(b)), 2)
	}))
}
