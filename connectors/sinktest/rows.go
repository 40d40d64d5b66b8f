package sinktest

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// Columns of every batch of the suite.
var fields = []arrow.Field{
	{Name: "id", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	{Name: "x", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "ok", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
	{Name: "geo", Nullable: true, Type: arrow.StructOf(
		arrow.Field{Name: "city", Type: arrow.BinaryTypes.String, Nullable: true},
		arrow.Field{Name: "tags", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true})},
}

// sequences numbers records by their handles.
type sequences struct{}

func (sequences) At(handle, _ int64) core.SequenceNumber {
	return core.SequenceNumber(strconv.FormatInt(handle, 10))
}

// rows are records of one shard, one row each, in the form that a Target reads them back: JSON objects without nulls.
type rows struct {
	shard core.ShardID
	after int // how many records of the shard come before
	lines []string
}

// batch is the rows from one index to another.
func (r rows) batch(t *testing.T, mem memory.Allocator, from, to int) core.Batch {
	t.Helper()
	text := "[" + strings.Join(r.lines[from:to], ",") + "]"
	visible, _, err := array.RecordFromJSON(mem, arrow.NewSchema(fields, nil), strings.NewReader(text), array.WithUseNumber())
	require.NoError(t, err)
	defer visible.Release()
	b := array.NewRecordBuilder(mem, core.SchemaOf())
	defer b.Release()
	for i := from; i < to; i++ {
		b.Field(0).(*array.Int64Builder).Append(int64(r.after + i + 1))
		b.Field(1).(*array.Int32Builder).Append(0)
		b.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(1_767_225_600_000 + int64(i)*1000)) // 2026-01-01
		b.Field(3).(*array.StringBuilder).Append("key")
	}
	hidden := b.NewRecord()
	defer hidden.Release()
	cols := append(slices.Clone(hidden.Columns()), visible.Columns()...)
	out := core.Batch{
		Shard: r.shard, Records: int64(to - from), Bytes: int64(len(text)), Sequences: sequences{},
		Rows: array.NewRecord(core.SchemaOf(fields...), cols, int64(to-from)),
	}
	out.Span = core.Span{First: out.SequenceOf(0), Last: out.SequenceOf(to - from - 1)}
	return out
}

// plan is that of rows which were all written, with what a staging said of its outputs.
func plan(f connectors.Flush, outputs []connectors.Output, of ...rows) connectors.Plan {
	p := connectors.Plan{
		Pipeline: f.Pipeline, Incarnation: f.Incarnation, Number: f.Number, Spec: "spec", Semantics: connectors.Semantics, Schema: 1,
		Reason: "end", Outputs: outputs,
	}
	for _, r := range of {
		n := int64(len(r.lines))
		p.Spans = append(p.Spans, connectors.PlanSpan{
			Source: "suite", Shard: r.shard, From: seq(r.after), ProofFrom: seq(r.after), Through: seq(r.after + len(r.lines)),
			Counts: connectors.Counts{Records: n, Rows: n, Written: n},
		})
	}
	return p
}

// sorted are the lines of all rows, in order.
func sorted(of ...rows) []string {
	out := []string{}
	for _, r := range of {
		out = append(out, r.lines...)
	}
	slices.Sort(out)
	return out
}

// seq is the sequence number after n records; empty before the first.
func seq(n int) core.SequenceNumber {
	if n == 0 {
		return ""
	}
	return core.SequenceNumber(strconv.Itoa(n))
}
