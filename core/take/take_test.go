package take

import (
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"
)

// TestTakeSelectsTheSameValuesOfEveryType compares what is taken, from a slice of an array, value by value.
func TestTakeSelectsTheSameValuesOfEveryType(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer mem.AssertSize(t, 0)
	for name, c := range map[string]struct {
		typ  arrow.DataType
		json string
	}{
		"int64":     {arrow.PrimitiveTypes.Int64, `[1,null,3,4,5,null,7,8]`},
		"int32":     {arrow.PrimitiveTypes.Int32, `[1,2,3,4,5,6,7,8]`},
		"float64":   {arrow.PrimitiveTypes.Float64, `[1.5,null,3,4,5,null,7,8]`},
		"bool":      {arrow.FixedWidthTypes.Boolean, `[true,null,false,true,true,null,false,false]`},
		"string":    {arrow.BinaryTypes.String, `["a",null,"","long text","é",null,"g","h"]`},
		"binary":    {arrow.BinaryTypes.Binary, `["YQ==",null,"","YmI=","Y2M=",null,"ZA==","ZQ=="]`},
		"timestamp": {arrow.FixedWidthTypes.Timestamp_ms, `["2026-01-01","2026-01-02",null,"2026-01-03","2026-01-04",null,"2026-01-05","2026-01-06"]`},
		"list":      {arrow.ListOf(arrow.BinaryTypes.String), `[["a"],null,[],["b","c"],["d"],null,["e",null],["f"]]`},
		"struct": {
			arrow.StructOf(arrow.Field{Name: "x", Type: arrow.BinaryTypes.String, Nullable: true}, arrow.Field{Name: "y", Type: arrow.PrimitiveTypes.Int64, Nullable: true}),
			`[{"x":"a","y":1},null,{"x":null,"y":2},{"x":"d"},{"x":"e","y":5},null,{"x":"g","y":7},{"x":"h","y":8}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			all, _, err := array.FromJSON(mem, c.typ, strings.NewReader(c.json))
			require.NoError(t, err)
			defer all.Release()
			a := array.NewSlice(all, 1, 8)
			defer a.Release()
			for _, keep := range [][]int32{{}, {0}, {6}, {0, 2, 3, 6}, {1, 4, 5}} {
				got, err := take(t.Context(), mem, a, keep)
				require.NoError(t, err)
				require.Equal(t, len(keep), got.Len())
				for i, k := range keep {
					one, want := array.NewSlice(got, int64(i), int64(i)+1), array.NewSlice(a, int64(k), int64(k)+1)
					require.True(t, array.Equal(want, one), "value %d: want %s, got %s", k, want, one)
					one.Release()
					want.Release()
				}
				got.Release()
			}
		})
	}
}
