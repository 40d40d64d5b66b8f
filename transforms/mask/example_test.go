package mask_test

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/transforms/internal/rowtest"
	"github.com/penstock/penstock/transforms/mask"
)

func ExampleNew() {
	fields := []arrow.Field{{Name: "a", Type: arrow.BinaryTypes.String, Nullable: true}}
	b, _ := rowtest.Batch(memory.DefaultAllocator, fields, `[{"a":"4111-22é9"},{},{"a":"ab"}]`)
	defer b.Release()
	t, _ := mask.New(mask.Config{Columns: []string{"a"}, KeepLast: 3})
	out, v, _ := rowtest.Apply(context.Background(), t, b)
	fmt.Println(out)
	for _, r := range v.Refused {
		fmt.Println(r.Code+":", r.Reason)
	}
	// Output:
	// {"a":"******2é9"}
	// {"a":null}
	// {"a":"**"}
}
