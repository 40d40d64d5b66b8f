package consumer

import (
	"context"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// records is the decoder of a consumer: a record is a row as it is.
type records struct{}

// Decode returns the records themselves.
func (records) Decode(_ context.Context, raw core.Batch, _ *arrow.Schema, _ *connectors.Verdicts) (core.Batch, bool, error) {
	raw.Retain()
	return raw, false, nil
}

// Widen returns the one schema that there is.
func (records) Widen(*arrow.Schema, core.Batch, map[string]bool) (*arrow.Schema, error) {
	return arrow.NewSchema(core.VisibleFields(core.RawSchema()), nil), nil
}
