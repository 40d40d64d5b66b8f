// Package rowtest builds batches for the tests of transforms. It is not used by the product.
package rowtest

import (
	"context"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

type sequences struct{}

func (sequences) At(handle, _ int64) core.SequenceNumber {
	return core.SequenceNumber(strconv.FormatInt(handle, 10))
}

// Batch wraps visible columns, given as a JSON array of objects, into a batch: handles count from 1, and record n
// arrived n seconds after 1970 began.
func Batch(mem memory.Allocator, fields []arrow.Field, json string) (core.Batch, error) {
	visible, _, err := array.RecordFromJSON(mem, arrow.NewSchema(fields, nil), strings.NewReader(json), array.WithUseNumber())
	if err != nil {
		return core.Batch{}, err
	}
	defer visible.Release()
	return Wrap(mem, visible), nil
}

// Wrap puts hidden columns before those of a record.
func Wrap(mem memory.Allocator, visible arrow.Record) core.Batch {
	rb := array.NewRecordBuilder(mem, core.SchemaOf())
	defer rb.Release()
	for i := range visible.NumRows() {
		rb.Field(0).(*array.Int64Builder).Append(i + 1)
		rb.Field(1).(*array.Int32Builder).Append(0)
		rb.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp((i + 1) * 1000))
		rb.Field(3).(*array.StringBuilder).Append("k")
	}
	hidden := rb.NewRecord()
	defer hidden.Release()
	cols := append(append([]arrow.Array(nil), hidden.Columns()...), visible.Columns()...)
	rec := array.NewRecord(core.SchemaOf(visible.Schema().Fields()...), cols, visible.NumRows())
	n := strconv.FormatInt(visible.NumRows(), 10)
	return core.Batch{
		Shard: core.NewShardID(0), Span: core.Span{First: "1", Last: core.SequenceNumber(n)}, Records: visible.NumRows(),
		Rows: rec, Sequences: sequences{},
	}
}

// Apply binds a transform to the columns of a batch and applies it; the result is the visible rows as JSON, a line each.
func Apply(ctx context.Context, t connectors.Transform, b core.Batch) (string, *connectors.Verdicts, error) {
	v := &connectors.Verdicts{}
	st, err := t.Bind(b.Rows.Schema())
	if err != nil {
		return "", v, err
	}
	out, err := st.Apply(ctx, b, v)
	if err != nil {
		return "", v, err
	}
	defer out.Release()
	return JSON(out, st.Schema()), v, nil
}

// JSON is the visible rows, a line each; a schema that is not that of the rows is said so.
func JSON(b core.Batch, want *arrow.Schema) string {
	if !b.Rows.Schema().Equal(want) {
		return "schema differs: " + b.Rows.Schema().String() + " from " + want.String()
	}
	if b.Rows.NumCols() < core.HiddenColumns || b.Rows.ColumnName(0) != core.HandleColumn {
		return "hidden columns are lost"
	}
	visible := array.NewRecord(arrow.NewSchema(core.VisibleFields(want), nil), b.Rows.Columns()[core.HiddenColumns:], b.NumRows())
	defer visible.Release()
	var sb strings.Builder
	if err := array.RecordToJSON(visible, &sb); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(sb.String())
}
