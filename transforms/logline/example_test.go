package logline_test

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/transforms/internal/decodetest"
	"github.com/penstock/penstock/transforms/internal/rowtest"
	"github.com/penstock/penstock/transforms/logline"
)

func ExampleNew() {
	raw := decodetest.Raw(memory.DefaultAllocator,
		`192.0.2.7 - frank [10/Oct/2025:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326`,
		`not a line`)
	d, _ := logline.New(logline.Config{Format: "common"})
	schema, _ := d.Widen(nil, raw, nil)
	v := &connectors.Verdicts{}
	rows, _, _ := d.Decode(context.Background(), raw, schema, v)
	fmt.Println(rowtest.JSON(rows, rows.Rows.Schema()))
	for _, r := range v.Refused {
		fmt.Println(r.Code+":", r.Reason)
	}
	// Output:
	// {"bytes":2326,"client_ip":"192.0.2.7","ident":null,"method":"GET","path":"/a.gif","protocol":"HTTP/1.0","request":null,"status":200,"time":"2025-10-10 20:55:36Z","user":"frank"}
	// bad_logline: byte 6: no user with a time after it, such as [17/May/2015:10:05:03 +0000]
}
