package connectors

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/stream"
)

// Loss is a gap and where it is.
type Loss struct {
	Source string
	Shard  core.ShardID
	Gap    Gap
}

// maxGaps bounds the gaps that a shard's row names.
const maxGaps = 100

// lose moves the checkpoint past a gap. What the row cannot name any more is in a manifest, or becomes one with the next.
func (p *Progress) lose(g Gap) {
	p.Totals.Trimmed += g.Records
	p.Carried.Trimmed += g.Records
	if g.Through != "" {
		p.Checkpoint = g.Through
	}
	p.Lost = append(slices.Clone(p.Lost), g)
	if len(p.Lost) <= maxGaps {
		return
	}
	if a, b := p.Lost[0], p.Lost[1]; len(p.Unproven()) == len(p.Lost) {
		p.Lost[1] = Gap{From: a.From, Through: b.Through}
	}
	p.Lost = p.Lost[1:]
}

// Unproven are the gaps of a shard that no manifest names yet: the next one does.
func (p *Progress) Unproven() []Gap {
	i := slices.IndexFunc(p.Lost, func(g Gap) bool { return g.From.Compare(p.ProofFrom) >= 0 })
	if i < 0 {
		return nil
	}
	return p.Lost[i:]
}

// skip moves a shard's checkpoint past a gap, through its lease. end says that nothing comes after it.
func (p *planner) skip(ctx context.Context, at place, shard core.ShardID, gap Gap, end bool, l *lease.Lease) error {
	span := PlanSpan{Source: at.source, Shard: shard, From: gap.From, ProofFrom: at.proofFrom}
	for tried := false; ; tried = true {
		if tried { // by a commit whose answer was lost, perhaps
			_, prog, err := loadRow[Progress](ctx, p.store, p.keys.shard(p.incarnation, span.Source, shard))
			if err != nil || slices.Contains(prog.Lost, gap) {
				return err
			}
		}
		var t control.Txn
		row, prog, err := p.guard(ctx, &t, span, l, tried)
		if err != nil {
			return err
		}
		prog.lose(gap)
		prog.Ended = end
		t.Writes = append(t.Writes, jsonRow(row.Key, prog))
		_, err = p.store.Commit(ctx, t)
		if err == nil {
			return nil
		}
		if err := p.again(ctx, err); err != nil {
			return fmt.Errorf("go on behind what is gone of %s: %w", shard, err)
		}
	}
}

// lose closes an open plan as lost: its spans are gaps, and the checkpoints move past them. Those that the source of files
// still has are read again into another plan. It returns what was lost; nothing, where the plan was done meanwhile.
func (p *planner) lose(ctx context.Context, number int64) ([]Loss, error) {
	var before Plan
	for {
		row, plan, err := loadRow[Plan](ctx, p.store, p.keys.plan(p.incarnation, number))
		if err != nil {
			return nil, err
		}
		if row.Version == 0 {
			return p.lossesOf(ctx, before) // by a commit whose answer was lost, perhaps
		}
		before = plan
		t := control.Txn{
			Checks: []control.Check{{Key: row.Key, Version: row.Version}},
			Writes: []control.Write{{Key: row.Key}, stream.Unpin(p.keys.pin(p.incarnation, number))},
		}
		var out []Loss
		for _, span := range plan.Spans {
			srow, prog, err := loadRow[Progress](ctx, p.store, p.keys.shard(p.incarnation, span.Source, span.Shard))
			if err != nil {
				return nil, err
			}
			t.Checks = append(t.Checks, control.Check{Key: srow.Key, Version: srow.Version})
			if p.has(ctx, span) {
				prog.OpenPlan = 0
				t.Writes = append(t.Writes, jsonRow(srow.Key, prog))
				continue
			}
			gap := Gap{From: span.From, Through: span.Through, Records: span.Counts.sub(prog.Carried).Records, Plan: number}
			prog.lose(gap)
			prog.OpenPlan, prog.Ended = 0, span.End
			t.Writes = append(t.Writes, jsonRow(srow.Key, prog))
			out = append(out, Loss{span.Source, span.Shard, gap})
		}
		if _, err = p.store.Commit(ctx, t); err == nil {
			return out, nil
		}
		if err := p.again(ctx, err); err != nil {
			return nil, fmt.Errorf("close plan %d as lost: %w", number, err)
		}
	}
}

// has reports whether the records of a span are there although others of its plan are gone. It is asked only where shards
// go one by one and for good, as files do; the records of streams that an open plan kept are past their time as well.
func (p *planner) has(ctx context.Context, span PlanSpan) bool {
	source, ok := p.source.(Expiring)
	if _, notes := p.source.(Noting); !ok || !notes {
		return false
	}
	r, err := source.Reread(ctx, span.Shard, span.From)
	if err != nil {
		return false
	}
	return r.Close() == nil
}

// lossesOf are the gaps that a plan became.
func (p *planner) lossesOf(ctx context.Context, plan Plan) ([]Loss, error) {
	var out []Loss
	for _, span := range plan.Spans {
		_, prog, err := loadRow[Progress](ctx, p.store, p.keys.shard(p.incarnation, span.Source, span.Shard))
		if err != nil {
			return nil, err
		}
		for _, g := range prog.Lost {
			if g.Plan == plan.Number {
				out = append(out, Loss{span.Source, span.Shard, g})
			}
		}
	}
	return out, nil
}

// lose gives up an open plan whose records are gone, unless all that it would write is there.
func (w *Worker) lose(ctx context.Context, plan Plan) error {
	program, err := w.programOf(ctx, plan)
	if err != nil {
		return err
	}
	if sink, ok := program.Sink.(Publisher); ok {
		var there bool
		err := w.retry(ctx, "look for a plan's outputs", func() (err error) {
			there, err = sink.Published(ctx, plan)
			return err
		})
		if err != nil {
			return err
		}
		if there {
			return w.planner.complete(ctx, plan.Number)
		}
	}
	lost, err := w.planner.lose(ctx, plan.Number)
	for _, l := range lost {
		w.cfg.Events.lost(l)
	}
	return err
}

// skip goes on behind the records of a shard that went before they were read. What was read before them is delivered
// first.
func (s *session) skip(ctx, writing context.Context, r *reading, cause error) error {
	r.live = false
	if _, ok := s.w.cfg.Source.(Expiring); !ok {
		return cause
	}
	if err := s.close(writing, reasonTrimmed); err != nil {
		return err
	}
	if err := s.wait(writing); err != nil {
		return err
	}
	if s.shard[r.shard.ID] != r {
		return nil
	}
	from := r.place.from
	err := s.pastGap(ctx, writing, r)
	if err == nil && r.place.from == from { // a longer retention brought it back
		err = core.Pause(ctx, firstWait)
	}
	if err == nil {
		s.start(ctx, r)
	}
	return err
}

// pastGap moves the place of a shard that is not being read to where its records can be read, if they cannot there.
func (s *session) pastGap(ctx, writing context.Context, r *reading) error {
	source, ok := s.w.cfg.Source.(Expiring)
	if !ok {
		return nil
	}
	gap, err := source.Gap(ctx, r.shard.ID, r.place.from)
	switch {
	case errors.Is(err, shardlog.ErrTrimmed):
		return fmt.Errorf("%w: %w", errMoved, err) // the shard is gone, which the next session sees
	case err != nil:
		return fmt.Errorf("find what is gone of %s: %w", r.shard.ID, err)
	case gap.Through == "":
		return nil
	}
	return s.lost(writing, r, gap, false)
}

// lost counts a gap as lost and tells of it.
func (s *session) lost(ctx context.Context, r *reading, gap Gap, end bool) error {
	if err := s.w.planner.skip(ctx, r.place, r.shard.ID, gap, end, r.lease); err != nil {
		return err
	}
	if !end {
		r.place.from = gap.Through
	}
	r.place.carried.Trimmed += gap.Records
	r.place.lost = append(slices.Clone(r.place.lost), gap)
	s.w.cfg.Events.lost(Loss{r.place.source, r.shard.ID, gap})
	return nil
}

// vanished are the shards that were trimmed away before they were read to their ends.
func (s *session) vanished(ctx context.Context, listed map[core.ShardID]bool) (map[core.ShardID]Gap, error) {
	source, ok := s.w.cfg.Source.(Expiring)
	if !ok {
		return nil, nil
	}
	out := map[core.ShardID]Gap{}
	for id, p := range s.progress {
		if listed[id] || p.Ended || s.shard[id] != nil {
			continue
		}
		if gap, err := source.Gap(ctx, id, p.Checkpoint); errors.Is(err, shardlog.ErrTrimmed) {
			out[id] = gap
		} else if err != nil {
			return nil, fmt.Errorf("find what is gone of %s: %w", id, err)
		} // without an error it is newer than the list
	}
	return out, nil
}
