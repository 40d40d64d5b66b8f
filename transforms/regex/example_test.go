package regex_test

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/transforms/internal/decodetest"
	"github.com/penstock/penstock/transforms/internal/rowtest"
	"github.com/penstock/penstock/transforms/regex"
)

func ExampleNew() {
	raw := decodetest.Raw(memory.DefaultAllocator, "web1 sshd: Failed password", "free text")
	d, _ := regex.New(regex.Config{Pattern: `^(?P<host>\S+) (?P<app>\S+): (?P<message>.*)$`})
	schema, _ := d.Widen(nil, raw, nil)
	v := &connectors.Verdicts{}
	rows, _, _ := d.Decode(context.Background(), raw, schema, v)
	fmt.Println(rowtest.JSON(rows, rows.Rows.Schema()))
	for _, r := range v.Refused {
		fmt.Println(r.Code+":", r.Reason)
	}
	// Output:
	// {"app":"sshd","host":"web1","message":"Failed password"}
	// no_match: the record does not match the regular expression
}
