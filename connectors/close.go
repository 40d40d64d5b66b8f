package connectors

import (
	"context"
	"errors"
	"fmt"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
)

// close ends the gathered flush: it waits for the plan before it, commits this one and begins to carry it out.
func (s *session) close(ctx context.Context, reason string) error {
	if err := s.wait(ctx); err != nil || s.flush == nil {
		return err
	}
	f := s.flush
	Step(ctx, "flush-closed")
	if f.stale {
		err := s.w.retry(ctx, "rebuild", func() error { return f.rebuild(ctx, s.w, s.places()) })
		if errors.Is(err, shardlog.ErrTrimmed) { // it waited too long: what is left of it is read again
			return fmt.Errorf("%w: %w", errMoved, err)
		} else if err != nil {
			return err
		}
	}
	f.memory.Closing()
	spans := f.sortedSpans()
	var total Counts
	for _, span := range spans {
		// What was carried from earlier flushes has no rows here.
		total = total.Add(span.Counts.sub(s.shard[span.Shard].place.carried))
	}
	if total.Written == 0 && total.Dead == 0 {
		if err := s.carry(ctx, f, spans); err != nil {
			return s.closeRest(ctx, reason, err)
		}
		return nil
	}
	s.w.futile.flushed(s.w.cfg.Events)
	outputs, err := f.staging.Outputs(ctx)
	if err != nil {
		return err
	}
	plan := Plan{
		Pipeline: s.w.cfg.Pipeline, Incarnation: s.w.incarnation, Number: f.number,
		Spec: s.w.cfg.Program.Spec, Semantics: Semantics, Schema: f.bound.version, Reason: reason,
		Spans: spans, Outputs: outputs,
	}
	if err := s.w.planner.commit(ctx, plan, s.held()); err != nil {
		return s.closeRest(ctx, reason, err)
	}
	Step(ctx, "plan-committed")
	s.w.cfg.Events.planned(plan)
	s.flush = nil
	s.advance(spans, true)
	s.doing = &execution{number: f.number, staging: f.staging, memory: f.memory, done: make(chan error, 1)}
	go func(d *execution) { d.done <- s.w.execute(ctx, plan, d.staging, f.letters) }(s.doing)
	return nil
}

// closeRest closes a flush without the shard that may not be planned.
func (s *session) closeRest(ctx context.Context, reason string, err error) error {
	if err := s.refused(err); err != nil {
		return err
	}
	return s.close(ctx, reason)
}

// carry moves the checkpoints past a flush without rows or dead letters.
func (s *session) carry(ctx context.Context, f *flush, spans []PlanSpan) error {
	if err := s.w.planner.carry(ctx, spans, s.held()); err != nil {
		return err
	}
	s.flush = nil
	s.advance(spans, false)
	for _, span := range spans {
		s.w.cfg.Events.moved(span.Shard, span.Through, span.Counts)
	}
	return f.discard()
}

// advance moves the shards' places to the ends of spans that are planned or carried.
func (s *session) advance(spans []PlanSpan, planned bool) {
	for _, span := range spans {
		p := &s.shard[span.Shard].place
		p.from = span.Through
		if planned {
			p.proofFrom, p.carried, p.lost = span.Through, Counts{}, nil
		} else {
			p.carried = span.Counts
		}
	}
}

func (s *session) places() map[core.ShardID]place {
	out := map[core.ShardID]place{}
	for id, r := range s.shard {
		out[id] = r.place
	}
	return out
}

// wait waits until the plan in hand is carried out.
func (s *session) wait(ctx context.Context) error {
	if s.doing == nil {
		return nil
	}
	return s.executed(ctx, <-s.doing.done)
}

// executed takes the outcome of the plan in hand.
func (s *session) executed(ctx context.Context, err error) error {
	d := s.doing
	s.doing = nil
	if derr := d.staging.Discard(); err == nil {
		err = derr
	}
	d.memory.Close()
	if err != nil {
		s.failed = d.number
		return err
	}
	s.releaseLeaving(ctx)
	return nil
}
