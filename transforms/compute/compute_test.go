package compute_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/transforms/compute"
	"github.com/penstock/penstock/transforms/internal/rowtest"
)

func fields() []arrow.Field {
	return []arrow.Field{
		{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "u", Type: arrow.StructOf(arrow.Field{Name: "name", Type: arrow.BinaryTypes.String, Nullable: true}), Nullable: true},
	}
}

func ExampleNew() {
	b, _ := rowtest.Batch(memory.DefaultAllocator, fields()[:1], `[{"n":20},{}]`)
	defer b.Release()
	c, _ := compute.New(compute.Config{{"twice", "n * 2"}, {"big", "twice > 30"}})
	out, _, _ := rowtest.Apply(context.Background(), c, b)
	fmt.Println(out)
	// Output:
	// {"big":true,"n":20,"twice":40}
	// {"big":null,"n":null,"twice":null}
}

func TestFailuresAreRefusedAndTheRestGoesOn(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	b, err := rowtest.Batch(mem, fields(), `[{"n":2,"u":{"name":"ann"}},{"n":0},{"n":9223372036854775807,"u":{}},{}]`)
	require.NoError(t, err)
	defer b.Release()
	c, err := compute.New(compute.Config{{"n", "n + 1"}, {"half", "6 / (n - 1)"}, {"who", "u.name"}, {"all", "u"}}, compute.WithAllocator(mem))
	require.NoError(t, err)
	got, v, err := rowtest.Apply(t.Context(), c, b)
	require.NoError(t, err)
	require.Equal(t, `{"all":{"name":"ann"},"half":3,"n":3,"u":{"name":"ann"},"who":"ann"}
{"all":null,"half":null,"n":null,"u":null,"who":null}`, got)
	require.Len(t, v.Refused, 2)
	require.Equal(t, []any{int64(3), "overflow"}, []any{v.Refused[0].Handle, v.Refused[0].Code})
	require.Equal(t, []any{int64(2), "division_by_zero"}, []any{v.Refused[1].Handle, v.Refused[1].Code})
	require.Equal(t, []string{"n", "u"}, c.Columns())
}

func TestConfigKeepsItsOrder(t *testing.T) {
	var c compute.Config
	require.NoError(t, yaml.Unmarshal([]byte("z: 'n'\na: 'z + 1'\n"), &c))
	require.Equal(t, compute.Config{{"z", "n"}, {"a", "z + 1"}}, c)
	text, err := yaml.Marshal(c)
	require.NoError(t, err)
	require.Equal(t, "z: n\na: z + 1\n", string(text))
	require.ErrorIs(t, yaml.Unmarshal([]byte("[a]"), &c), core.ErrInvalid)
}

func TestWrongConfigsAreRefused(t *testing.T) {
	for _, c := range []compute.Config{{}, {{"", "1"}}, {{"_penstock.ord", "1"}}, {{"a", "1 +"}}} {
		_, err := compute.New(c)
		require.ErrorIs(t, err, core.ErrInvalid)
	}
	c, err := compute.New(compute.Config{{"a", `duration("1h")`}})
	require.NoError(t, err)
	_, err = c.Bind(core.SchemaOf(fields()...))
	require.ErrorContains(t, err, "getSeconds")
}

func TestWhatIsNotThereIsNullUntilItIsKnown(t *testing.T) {
	b, err := rowtest.Batch(memory.DefaultAllocator, fields(), `[{"n":2,"u":{"name":"ann"}}]`)
	require.NoError(t, err)
	defer b.Release()
	c, err := compute.New(compute.Config{
		{"twice", "gone * 2"}, {"half", "gone / 2.0"}, {"low", "lower(u.gone)"}, {"sum", "n + gone"}, {"or", `coalesce(gone, "x")`},
		{"is", "has(gone)"}, {"in", "has(u.gone)"}, {"deep", "gone.a.b"}, {"big", "gone > 1 || n > 1"}, {"after", "twice == null"},
	})
	require.NoError(t, err)
	got, v, err := rowtest.Apply(t.Context(), c, b)
	require.NoError(t, err)
	require.Empty(t, v.Refused)
	require.Equal(t, `{"after":true,"big":true,"half":null,"in":false,"is":false,"low":null,"n":2,"or":"x","sum":null,"twice":null,"u":{"name":"ann"}}`, got)
	require.ErrorContains(t, c.Check(b.Rows.Schema()), `unknown column "gone"`)
}
