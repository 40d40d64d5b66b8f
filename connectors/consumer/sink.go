package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// sink gives what it is to write to a func.
type sink struct {
	process  func(ctx context.Context, b Batch) error
	parallel int
}

// Stage opens a place where records gather.
func (s *sink) Stage(context.Context, connectors.Flush) (connectors.Staging, error) {
	return &staging{sink: s, shards: map[core.ShardID]*gathered{}, done: map[core.ShardID]bool{}}, nil
}

// Close does nothing: there is nothing to release.
func (*sink) Close(context.Context) error { return nil }

// staging holds the records of a plan.
type staging struct {
	sink   *sink
	shards map[core.ShardID]*gathered
	memory int64
	rows   int64

	mu   sync.Mutex // guards done
	done map[core.ShardID]bool
}

// gathered are the records of one shard.
type gathered struct {
	parts []core.Batch
	rows  int
}

// Add keeps b.
func (s *staging) Add(_ context.Context, b core.Batch, _ *connectors.Verdicts) error {
	g := s.shards[b.Shard]
	if g == nil {
		g = &gathered{}
		s.shards[b.Shard] = g
	}
	b.Retain()
	g.parts, g.rows = append(g.parts, b), g.rows+int(b.NumRows())
	s.rows += b.NumRows()
	s.memory += core.HeldBytes(b.Rows)
	return nil
}

// Stats says what is held.
func (s *staging) Stats() connectors.StagingStats {
	return connectors.StagingStats{Outputs: 1, Memory: s.memory}
}

// Outputs is how many records there are: a plan that is made again must have as many.
func (s *staging) Outputs(context.Context) ([]connectors.Output, error) {
	return []connectors.Output{{Name: "process", Rows: s.rows}}, nil
}

// Publish has the records of each shard processed. Called again, it goes on with the shards whose records are not.
func (s *staging) Publish(ctx context.Context, p connectors.Plan, _ connectors.Decide) error {
	var g errgroup.Group // without a context of its own: the error of one shard ends none of the others
	g.SetLimit(s.sink.parallel)
	errs := make([]error, len(p.Spans))
	for i, span := range p.Spans {
		if s.shards[span.Shard] == nil || s.isDone(span.Shard) {
			continue
		}
		g.Go(func() error {
			if errs[i] = s.process(ctx, p, span); errs[i] != nil {
				errs[i] = fmt.Errorf("process %s after %q through %q: %w", span.Shard, span.ProofFrom, span.Through, errs[i])
			}
			return nil
		})
	}
	_ = g.Wait() // errs has them
	return errors.Join(errs...)
}

func (s *staging) process(ctx context.Context, p connectors.Plan, span connectors.PlanSpan) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	g := s.shards[span.Shard]
	err := s.sink.process(ctx, Batch{
		Consumer: p.Pipeline, Incarnation: p.Incarnation, Source: span.Source, Shard: span.Shard,
		From: span.ProofFrom, Through: span.Through, Arrow: g.parts, records: g.rows,
	})
	if err != nil {
		return own(err)
	}
	s.mu.Lock()
	s.done[span.Shard] = true
	s.mu.Unlock()
	return nil
}

// own is an error of Process without what it wraps, but that it is permanent: that a stream of Process's own is trimmed must not
// be taken for a word about this one.
func own(err error) error {
	text := errors.New(err.Error())
	if connectors.IsPermanent(err) {
		return connectors.Permanent(text)
	}
	return text
}

func (s *staging) isDone(shard core.ShardID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done[shard]
}

// Discard releases the records.
func (s *staging) Discard() error {
	for _, g := range s.shards {
		for _, b := range g.parts {
			b.Release()
		}
	}
	clear(s.shards)
	s.memory = 0
	return nil
}
