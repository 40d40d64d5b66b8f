package raw_test

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/transforms/internal/decodetest"
	"github.com/penstock/penstock/transforms/internal/rowtest"
	"github.com/penstock/penstock/transforms/raw"
)

func ExampleNew() {
	batch := decodetest.Raw(memory.DefaultAllocator, "any text")
	d, _ := raw.New(raw.Config{As: "text"})
	schema, _ := d.Widen(nil, batch, nil)
	rows, _, _ := d.Decode(context.Background(), batch, schema, &connectors.Verdicts{})
	fmt.Println(rowtest.JSON(rows, rows.Rows.Schema()))
	// Output:
	// {"data":"any text"}
}
