package sinktest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// Loader loads a sink with plans one after another, for tests of what a destination makes of rows.
type Loader struct {
	Sink   connectors.Sink
	Schema *arrow.Schema

	number int64
	at     map[core.ShardID]int // records so far
}

// Column is one that may be null.
func Column(name string, t arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: t, Nullable: true}
}

// NewLoader returns one of rows with the given columns.
func NewLoader(s connectors.Sink, columns ...arrow.Field) *Loader {
	return &Loader{Sink: s, Schema: core.SchemaOf(columns...), at: map[core.ShardID]int{}}
}

// Batch has the rows, JSON objects, as the next records of a shard.
func (l *Loader) Batch(t *testing.T, shard core.ShardID, lines []string) core.Batch {
	t.Helper()
	visible, _, err := array.RecordFromJSON(memory.DefaultAllocator, arrow.NewSchema(core.VisibleFields(l.Schema), nil), strings.NewReader("["+strings.Join(lines, ",")+"]"), array.WithUseNumber())
	require.NoError(t, err)
	b := array.NewRecordBuilder(memory.DefaultAllocator, core.SchemaOf())
	defer b.Release()
	for range lines {
		l.at[shard]++
		b.Field(0).(*array.Int64Builder).Append(int64(l.at[shard]))
		b.Field(1).(*array.Int32Builder).Append(0)
		b.Field(2).(*array.TimestampBuilder).Append(0)
		b.Field(3).(*array.StringBuilder).Append("key")
	}
	return core.Batch{Shard: shard, Sequences: sequences{}, Rows: array.NewRecord(l.Schema, append(b.NewRecord().Columns(), visible.Columns()...), int64(len(lines)))}
}

// Plan stages rows by shard, and is the plan of them. Again stages the same rows as another worker would.
func (l *Loader) Plan(t *testing.T, of map[core.ShardID][]string) (connectors.Staging, connectors.Plan) {
	t.Helper()
	l.number++
	p := connectors.Plan{Pipeline: "p", Incarnation: incarnation, Number: l.number}
	for shard, lines := range of {
		from, n := l.at[shard], int64(len(lines))
		p.Spans = append(p.Spans, connectors.PlanSpan{
			Source: "s", Shard: shard, ProofFrom: seq(from), From: seq(from), Through: seq(from + len(lines)),
			Counts: connectors.Counts{Records: n, Rows: n, Written: n},
		})
	}
	st := l.stage(t, l.Sink, l.number, of)
	var err error
	p.Outputs, err = st.Outputs(t.Context())
	require.NoError(t, err)
	return st, p
}

// Again stages the rows of a plan once more, in a sink that may be another worker's.
func (l *Loader) Again(t *testing.T, s connectors.Sink, p connectors.Plan, of map[core.ShardID][]string) connectors.Staging {
	t.Helper()
	now := l.at
	l.at = map[core.ShardID]int{}
	for _, span := range p.Spans {
		l.at[span.Shard] = index(t, span.From)
	}
	st := l.stage(t, s, p.Number, of)
	l.at = now
	return st
}

// index is how many records have a sequence number up to one.
func index(t *testing.T, seq core.SequenceNumber) (n int) {
	t.Helper()
	if seq != "" {
		_, err := fmt.Sscan(string(seq), &n)
		require.NoError(t, err)
	}
	return n
}

func (l *Loader) stage(t *testing.T, s connectors.Sink, number int64, of map[core.ShardID][]string) connectors.Staging {
	t.Helper()
	st, err := s.Stage(t.Context(), connectors.Flush{Pipeline: "p", Incarnation: incarnation, Number: number, Schema: l.Schema})
	require.NoError(t, err)
	for shard, lines := range of {
		require.NoError(t, st.Add(t.Context(), l.Batch(t, shard, lines), &connectors.Verdicts{}))
	}
	return st
}

// Put loads rows of one shard and returns what the destination refused, as sequence number, code and reason.
func (l *Loader) Put(t *testing.T, lines ...string) (refused []string) {
	t.Helper()
	st, p := l.Plan(t, map[core.ShardID][]string{"shardId-000000000000": lines})
	require.NoError(t, st.Publish(t.Context(), p, func(_ context.Context, rejects []connectors.Reject) ([]connectors.Reject, error) {
		for _, r := range rejects {
			refused = append(refused, fmt.Sprintf("%s %s %s", r.Seq, r.Code, r.Reason))
		}
		return rejects, nil
	}))
	require.NoError(t, st.Discard())
	return refused
}
