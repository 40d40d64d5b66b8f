package parsetimestamp_test

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/transforms/internal/rowtest"
	"github.com/penstock/penstock/transforms/parsetimestamp"
)

func ExampleNew() {
	fields := []arrow.Field{{Name: "a", Type: arrow.BinaryTypes.String, Nullable: true}}
	b, _ := rowtest.Batch(memory.DefaultAllocator, fields, `[{"a":"04/Mar/2026:05:06:07 +0100"},{},{"a":"soon"}]`)
	defer b.Release()
	t, _ := parsetimestamp.New(parsetimestamp.Config{Column: "a", Format: "apache"})
	out, v, _ := rowtest.Apply(context.Background(), t, b)
	fmt.Println(out)
	for _, r := range v.Refused {
		fmt.Println(r.Code+":", r.Reason)
	}
	// Output:
	// {"a":"2026-03-04 04:06:07Z"}
	// {"a":null}
	// bad_timestamp: column a: "soon" is no time of the format apache
}
