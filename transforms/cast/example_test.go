package cast_test

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/transforms/cast"
	"github.com/penstock/penstock/transforms/internal/rowtest"
)

func ExampleNew() {
	fields := []arrow.Field{{Name: "a", Type: arrow.BinaryTypes.String, Nullable: true}}
	b, _ := rowtest.Batch(memory.DefaultAllocator, fields, `[{"a":"42"},{},{"a":"4.5"}]`)
	defer b.Release()
	t, _ := cast.New(cast.Config{"a": "int64", "missing": "string"})
	out, v, _ := rowtest.Apply(context.Background(), t, b)
	fmt.Println(out)
	for _, r := range v.Refused {
		fmt.Println(r.Code+":", r.Reason)
	}
	// Output:
	// {"a":42}
	// {"a":null}
	// bad_cast: column a: 4.5 is no int64 exactly
}
