package expr

import (
	"fmt"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/transforms/internal/rowtest"
)

func fields() []arrow.Field {
	return []arrow.Field{
		{Name: "i", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "d", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "b", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
		{Name: "timestamp", Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true},
		{Name: "nothing", Type: arrow.Null, Nullable: true},
		{Name: "l", Type: arrow.ListOf(arrow.PrimitiveTypes.Int64), Nullable: true},
		{Name: "u", Type: arrow.StructOf(
			arrow.Field{Name: "name", Type: arrow.BinaryTypes.String, Nullable: true},
			arrow.Field{Name: "age", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		), Nullable: true},
		{Name: "items", Type: arrow.ListOf(arrow.StructOf(
			arrow.Field{Name: "p", Type: arrow.PrimitiveTypes.Float64, Nullable: true})), Nullable: true},
		{Name: "user-agent", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "big", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	}
}

const twoRows = `[
 {"i":7,"d":2.5,"s":"héllo","b":true,"timestamp":"2026-03-04T05:06:07.123456Z","l":[1,null,3],"u":{"name":"ann","age":40},"items":[{"p":1.5},{"p":9}],"user-agent":"curl","big":9223372036854775807},
 {}]`

func testBatch(t *testing.T, mem memory.Allocator) core.Batch {
	t.Helper()
	b, err := rowtest.Batch(mem, fields(), twoRows)
	require.NoError(t, err)
	return b
}

func TestExpressions(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	b := testBatch(t, mem)
	defer b.Release()
	for _, c := range []struct{ src, full, null string }{
		{`i + 1`, "8", "(null)"},
		{`i + d`, "9.5", "(null)"},
		{`d * i`, "17.5", "(null)"},
		{`i / 2 * 2 + i % 2`, "7", "(null)"},
		{`-i`, "-7", "(null)"},
		{`big + 1`, "overflow", "(null)"},
		{`i / (i - 7)`, "division_by_zero", "(null)"},
		{`i % (i - 7)`, "division_by_zero", "(null)"},
		{`d / 0.0`, "+Inf", "(null)"},
		{`-(-big - 1)`, "overflow", "(null)"},
		{`i == null`, "false", "true"},
		{`i != null`, "true", "false"},
		{`nothing == null`, "true", "true"},
		{`nothing > 3`, "(null)", "(null)"},
		{`has(i)`, "true", "false"},
		{`has(u.name)`, "true", "false"},
		{`has(u.other)`, "false", "false"},
		{`u.name + "!"`, "ann!", "(null)"},
		{`u.age >= 40`, "true", "(null)"},
		{`i == 7.0`, "true", "false"},
		{`i < 7.5`, "true", "(null)"},
		{`i in [1, 7]`, "true", "false"},
		{`s in ["a"]`, "false", "false"},
		{`null in [null]`, "true", "true"},
		{`i in l`, "false", "(null)"},
		{`3 in l`, "true", "(null)"},
		{`b && i > 3`, "true", "(null)"},
		{`b || true`, "true", "true"},
		{`false && b`, "false", "false"},
		{`false && big + 1 > 0`, "false", "false"},
		{`big + 1 > 0 || true`, "true", "true"},
		{`!b`, "false", "(null)"},
		{`b ? i : 0`, "7", "(null)"},
		{`has(i) ? i : null`, "7", "(null)"},
		{`coalesce(i, 0)`, "7", "0"},
		{`s.startsWith("hé") && s.endsWith("o") && s.contains("ll")`, "true", "(null)"},
		{`s.matches("^h.llo$")`, "true", "(null)"},
		{`size(s)`, "5", "(null)"},
		{`s.substring(0, 2).upper()`, "HÉ", "(null)"},
		{`lower("ABC")`, "abc", "abc"},
		{`s.replace("l", "L")`, "héLLo", "(null)"},
		{`s.substring(9)`, "bad_value", "(null)"},
		{`s.split("l")`, `["hé","","o"]`, "(null)"},
		{`string(i) + "x"`, "7x", "(null)"},
		{`int(s)`, "bad_value", "(null)"},
		{`double(i)`, "7", "(null)"},
		{`timestamp_trunc(timestamp, "hour")`, "2026-03-04 05:00:00Z", "(null)"},
		{`timestamp.getHours()`, "5", "(null)"},
		{`timestamp + duration("1h") > timestamp`, "true", "(null)"},
		{`parse_timestamp("04/Mar/2026:05:06:07 +0100", "apache")`, "2026-03-04 04:06:07Z", "2026-03-04 04:06:07Z"},
		{`now()`, "1970-01-01 00:00:01Z", "1970-01-01 00:00:02Z"},
		{`l.exists(x, x > 2)`, "true", "(null)"},
		{`l.all(x, x > 2)`, "false", "(null)"},
		{`l.filter(x, has(x)).map(x, x * 2)`, `[2,6]`, "(null)"},
		{`l[0]`, "1", "(null)"},
		{`l[9]`, "(null)", "(null)"},
		{`items.exists(x, x.p > 8)`, "true", "(null)"},
		{`items.map(x, double(x.p))`, "[1.5,9]", "(null)"},
		{`col("user-agent")`, "curl", "(null)"},
		{`sha256("")`, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{`uuid() == uuid() && size(uuid()) == 36`, "true", "true"},
	} {
		t.Run(c.src, func(t *testing.T) {
			e, err := Parse(c.src)
			require.NoError(t, err)
			p, err := e.Bind(b.Rows.Schema())
			require.NoError(t, err)
			col, fails, err := p.Eval(b, mem)
			require.NoError(t, err)
			defer col.Release()
			got := []string{col.ValueStr(0), col.ValueStr(1)}
			for _, f := range fails {
				got[f.Row] = f.Code
			}
			require.Equal(t, []string{c.full, c.null}, got)
			require.Equal(t, render(p.eval(b)), render(p.evalRows(b)))
		})
	}
}

func TestWrongExpressionsAreRefusedWithACure(t *testing.T) {
	schema := core.SchemaOf(fields()...)
	for _, c := range []struct{ src, want string }{
		{`user_agnt == "x"`, `unknown column "user_agnt"`},
		{`u.nam == "x"`, "did you mean name?"},
		{`s > 3`, "no matching overload"},
		{`s == 3`, "never equals"},
		{`i +`, "column 4"},
		{`s.matches("(")`, "pattern"},
		{`parse_timestamp(s, "qq")`, "time format"},
		{`timestamp_trunc(timestamp, "week")`, "unknown unit"},
		{`i.x`, "has no field"},
		{``, "empty"},
	} {
		t.Run(c.src, func(t *testing.T) {
			e, err := Parse(c.src)
			if err == nil {
				err = e.Check(schema)
			}
			require.ErrorIs(t, err, core.ErrInvalid)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestAResultWithoutAColumnTypeSaysSo(t *testing.T) {
	for _, src := range []string{`duration("1h")`, `{"a": 1}`, `items[0]`} {
		e, err := Parse(src)
		require.NoError(t, err)
		p, err := e.Bind(core.SchemaOf(fields()...))
		require.NoError(t, err)
		_, err = p.Type()
		require.ErrorContains(t, err, "column", src)
	}
}

func TestColumnsAreTheTopLevelOnesInUse(t *testing.T) {
	e, err := Parse(`u.name == s && l.exists(x, x > i) && has(z.y) && col("user-agent") != ""`)
	require.NoError(t, err)
	require.Equal(t, []string{"u", "s", "l", "i", "z", "user-agent"}, e.Columns())
}

// render is one line per row.
func render(v *vec) []string {
	out := make([]string, v.n)
	for i := range out {
		switch f := v.failed(i); {
		case f != nil:
			out[i] = f.code
		case !v.ok(i):
			out[i] = "null"
		default:
			out[i] = fmt.Sprintf("%v %#v", v.value(i).Type(), v.value(i).Value())
			if l, ok := v.value(i).Value().([]any); ok {
				out[i] = fmt.Sprint(len(l))
			}
		}
	}
	return out
}
