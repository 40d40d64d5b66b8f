package filter_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/transforms/filter"
	"github.com/penstock/penstock/transforms/internal/rowtest"
)

func fields() []arrow.Field {
	return []arrow.Field{
		{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "u", Type: arrow.StructOf(arrow.Field{Name: "l", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true}), Nullable: true},
		{Name: "z", Type: arrow.Null, Nullable: true},
	}
}

const input = `[{"n":1,"u":{"l":["a","b"]}},{"n":0},{"n":5,"u":{"l":[]}},{},{"n":9,"u":{"l":["c",null]}}]`

func ExampleNew() {
	mem := memory.DefaultAllocator
	b, _ := rowtest.Batch(mem, fields()[:1], input)
	defer b.Release()
	f, _ := filter.New(`n > 4`)
	out, v, _ := rowtest.Apply(context.Background(), f, b)
	fmt.Println(out)
	fmt.Println("false:", v.Filtered, "null:", v.Null)
	// Output:
	// {"n":5}
	// {"n":9}
	// false: 2 null: 1
}

func TestOnlyTrueIsKept(t *testing.T) {
	for _, c := range []struct {
		name, cond, want string
		filtered, null   int64
		refused          []string
	}{
		{"nested columns go along", `n == 1 || n == 9`, "{\"n\":1,\"u\":{\"l\":[\"a\",\"b\"]},\"z\":null}\n{\"n\":9,\"u\":{\"l\":[\"c\",null]},\"z\":null}", 3, 0, nil},
		{"all", `true`, "", 0, 0, nil},
		{"none", `n > 100`, "", 4, 1, nil},
		{"failures are refused", `10 / n > 5`, "{\"n\":1,\"u\":{\"l\":[\"a\",\"b\"]},\"z\":null}", 2, 1, []string{"division_by_zero: 10 / n > 5: division by zero"}},
		{"null columns are null", `z > 1`, "", 0, 5, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
			defer mem.AssertSize(t, 0)
			b, err := rowtest.Batch(mem, fields(), input)
			require.NoError(t, err)
			defer b.Release()
			f, err := filter.New(filter.Config(c.cond), filter.WithAllocator(mem))
			require.NoError(t, err)
			got, v, err := rowtest.Apply(t.Context(), f, b)
			require.NoError(t, err)
			if c.name != "all" {
				require.Equal(t, c.want, got)
			} else {
				require.Equal(t, rowtest.JSON(b, b.Rows.Schema()), got)
			}
			require.Equal(t, []int64{c.filtered, c.null}, []int64{v.Filtered, v.Null})
			var refused []string
			for _, r := range v.Refused {
				refused = append(refused, r.Code+": "+r.Reason)
				require.Equal(t, int64(2), r.Handle)
			}
			require.Equal(t, c.refused, refused)
		})
	}
}

func TestWhatIsNoConditionIsAnError(t *testing.T) {
	f, err := filter.New(`n + 1`)
	require.NoError(t, err)
	_, err = f.Bind(core.SchemaOf(fields()...))
	require.ErrorIs(t, err, core.ErrInvalid)
	require.ErrorContains(t, err, "no condition")
	require.Equal(t, []string{"n"}, f.Columns())
}
