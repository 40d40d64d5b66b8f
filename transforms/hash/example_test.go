package hash_test

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/transforms/hash"
	"github.com/penstock/penstock/transforms/internal/rowtest"
)

func ExampleNew() {
	fields := []arrow.Field{{Name: "a", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "b", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}
	b, _ := rowtest.Batch(memory.DefaultAllocator, fields, `[{"a":"7","b":7},{}]`)
	defer b.Release()
	t, _ := hash.New(hash.Config{Columns: []string{"a", "b"}, Algorithm: "md5"})
	out, v, _ := rowtest.Apply(context.Background(), t, b)
	fmt.Println(out)
	for _, r := range v.Refused {
		fmt.Println(r.Code+":", r.Reason)
	}
	// Output:
	// {"a":"8f14e45fceea167a5a36dedd4bea2543","b":"8f14e45fceea167a5a36dedd4bea2543"}
	// {"a":null,"b":null}
}
