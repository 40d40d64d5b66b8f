package flatten_test

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/transforms/flatten"
	"github.com/penstock/penstock/transforms/internal/rowtest"
)

func ExampleNew() {
	fields := []arrow.Field{{Name: "u", Type: arrow.StructOf(arrow.Field{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, arrow.Field{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true}), Nullable: true}}
	b, _ := rowtest.Batch(memory.DefaultAllocator, fields, `[{"u":{"n":1,"s":"x"}},{}]`)
	defer b.Release()
	t, _ := flatten.New(flatten.Config{Column: "u"})
	out, v, _ := rowtest.Apply(context.Background(), t, b)
	fmt.Println(out)
	for _, r := range v.Refused {
		fmt.Println(r.Code+":", r.Reason)
	}
	// Output:
	// {"u_n":1,"u_s":"x"}
	// {"u_n":null,"u_s":null}
}
