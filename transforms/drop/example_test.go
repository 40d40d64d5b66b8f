package drop_test

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/transforms/drop"
	"github.com/penstock/penstock/transforms/internal/rowtest"
)

func ExampleNew() {
	fields := []arrow.Field{{Name: "a", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "b", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}
	b, _ := rowtest.Batch(memory.DefaultAllocator, fields, `[{"a":"x","b":1}]`)
	defer b.Release()
	t, _ := drop.New(drop.Config{"b", "missing"})
	out, v, _ := rowtest.Apply(context.Background(), t, b)
	fmt.Println(out)
	for _, r := range v.Refused {
		fmt.Println(r.Code+":", r.Reason)
	}
	// Output:
	// {"a":"x"}
}
