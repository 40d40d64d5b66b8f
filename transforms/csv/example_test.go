package csv_test

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/transforms/csv"
	"github.com/penstock/penstock/transforms/internal/decodetest"
	"github.com/penstock/penstock/transforms/internal/rowtest"
)

func ExampleNew() {
	raw := decodetest.Raw(memory.DefaultAllocator, "id,name\n1,\"Ann, Lee\"\n2,", "id,name\n3")
	d, _ := csv.New(csv.Config{Header: true})
	schema, _ := d.Widen(nil, raw, nil)
	v := &connectors.Verdicts{}
	rows, _, _ := d.Decode(context.Background(), raw, schema, v)
	fmt.Println(rowtest.JSON(rows, rows.Rows.Schema()))
	for _, r := range v.Refused {
		fmt.Println(r.Code+":", r.Reason)
	}
	// Output:
	// {"id":1,"name":"Ann, Lee"}
	// {"id":2,"name":null}
	// field_count: byte 0: a row has 1 fields, want 2
}
