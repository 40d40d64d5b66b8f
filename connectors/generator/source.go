package generator

import (
	"context"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// Source is a generator as a source of one shard. The sequence number of event i is i+1.
type Source struct{ g *Generator }

var (
	_ connectors.Source = (*Source)(nil)
	_ connectors.Finite = (*Source)(nil)
)

// NewSource returns a source over g.
func NewSource(g *Generator) *Source { return &Source{g} }

const shardID core.ShardID = "events"

// ID tells generators of different events apart.
func (s *Source) ID() string { return s.g.ID() }

// Finite reports whether a count was given.
func (s *Source) Finite() bool { return s.g.cfg.Count > 0 }

func (s *Source) count() int64 {
	if s.g.cfg.Count > 0 {
		return s.g.cfg.Count
	}
	return math.MaxInt64 - 1
}

// Shards is the one shard.
func (s *Source) Shards(context.Context) ([]connectors.Shard, error) {
	sh := connectors.Shard{ID: shardID, Closed: s.Finite()}
	if s.Finite() {
		sh.Last = sequence(s.count() - 1)
	}
	return []connectors.Shard{sh}, nil
}

func sequence(i int64) core.SequenceNumber { return core.SequenceNumber(strconv.FormatInt(i+1, 10)) }

// Resolve begins at the first event, or after a given one; the latest and a time mean nothing here.
func (s *Source) Resolve(_ context.Context, _ core.ShardID, start connectors.Start) (core.SequenceNumber, error) {
	switch start.Kind { //nolint:exhaustive // the others are handled below
	case connectors.StartAfter:
		return start.After, nil
	case connectors.StartTrimHorizon, "":
		return "", nil
	}
	return "", fmt.Errorf("a generator starts at trim_horizon or after a number, not at %q: %w", start.Kind, core.ErrInvalid)
}

// Read returns a reader of the events after a sequence number.
func (s *Source) Read(_ context.Context, _ core.ShardID, after core.SequenceNumber) (connectors.Reader, error) {
	r := &reader{s: s, began: time.Now()}
	if after != "" {
		n, err := strconv.ParseInt(string(after), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("sequence number %q is not the number of an event: %w", after, core.ErrInvalid)
		}
		r.next = n
	}
	r.first = r.next
	return r, nil
}

// Close does nothing.
func (s *Source) Close() error { return nil }

type reader struct {
	s           *Source
	first, next int64
	began       time.Time
	buf         []byte
}

const batchRows = 8192

// At is the sequence number of event handle.
func (*reader) At(handle, _ int64) core.SequenceNumber { return sequence(handle) }

// Next makes the next events, at the rate asked for.
func (r *reader) Next(ctx context.Context) (core.Batch, error) {
	n := min(batchRows, r.s.count()-r.next)
	if n <= 0 {
		return core.Batch{}, io.EOF
	}
	if rate := int64(r.s.g.cfg.Rate); rate > 0 {
		n = min(n, max(1, rate/10))
		due := r.began.Add(time.Duration(float64(r.next-r.first+n) / float64(rate) * float64(time.Second)))
		t := time.NewTimer(time.Until(due))
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return core.Batch{}, ctx.Err()
		}
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, core.RawSchema())
	defer b.Release()
	out := core.Batch{Shard: shardID, Records: n, Sequences: r, Span: core.Span{First: sequence(r.next), Last: sequence(r.next + n - 1)}}
	for i := r.next; i < r.next+n; i++ {
		key, data, err := r.s.g.Event(r.buf[:0], i)
		if err != nil {
			return core.Batch{}, fmt.Errorf("make event %d: %w", i, err)
		}
		r.buf = data
		b.Field(0).(*array.Int64Builder).Append(i)
		b.Field(1).(*array.Int32Builder).Append(0)
		b.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(r.s.g.Time(i).UnixMilli()))
		b.Field(3).(*array.StringBuilder).Append(key)
		b.Field(4).(*array.BinaryBuilder).Append(data)
		out.Bytes += int64(len(key) + len(data))
	}
	out.Rows = b.NewRecord()
	r.next += n
	return out, nil
}

// Close does nothing.
func (*reader) Close() error { return nil }
