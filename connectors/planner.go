package connectors

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/stream"
)

// errMoved: read the shards' rows again. A checkpoint is not where the flush began, so its rows are another plan's.
var errMoved = errors.New("checkpoint moved under the flush")

// planner commits, decides and completes plans in the control store. It is the one place that moves a checkpoint.
type planner struct {
	store       lease.Store
	keys        keys
	incarnation string
	source      Source // may be nil where nothing is committed
	without     guards
}

// guards names protections that the model test switches off, each alone, to see that it fails without them.
type guards struct{ lease, from, openPlan, decide, planRow bool }

// reserve takes the next plan number. A number is never used twice, so gaps are harmless and reuse is impossible.
func (p *planner) reserve(ctx context.Context) (int64, error) {
	for {
		row, st, err := loadRow[State](ctx, p.store, p.keys.state())
		if err != nil {
			return 0, err
		}
		if st.Incarnation != p.incarnation {
			return 0, fmt.Errorf("pipeline %s was reset while it ran: %w", p.keys.pipeline, lease.ErrLost)
		}
		st.NextPlan++
		_, err = p.store.Commit(ctx, control.Txn{
			Checks: []control.Check{{Key: row.Key, Version: row.Version}},
			Writes: []control.Write{jsonRow(row.Key, st)},
		})
		if err == nil {
			return st.NextPlan, nil
		}
		if err := p.again(ctx, err); err != nil {
			return 0, fmt.Errorf("reserve a plan number: %w", err)
		}
	}
}

// commit makes the plan durable through the leases of its shards. Each shard's checkpoint must stand at the span's
// start and no other plan may be open. Invariant 4.
func (p *planner) commit(ctx context.Context, plan Plan, held map[core.ShardID]*lease.Lease) error {
	key := p.keys.plan(p.incarnation, plan.Number)
	for tried := false; ; tried = true {
		// The number is ours alone: a row under it is this plan, committed by a call whose answer was lost.
		if _, ok, err := p.store.Get(ctx, key); err != nil || ok {
			return err
		}
		t := control.Txn{
			Checks: []control.Check{{Key: key}},
			Writes: []control.Write{jsonRow(key, plan)},
		}
		if e, ok := p.source.(Pinner); ok {
			t.Writes = append(t.Writes, e.Pin(p.keys.pin(p.incarnation, plan.Number), plan.Spans))
		}
		if err := p.note(ctx, &t, plan.Spans); err != nil {
			return err
		}
		for _, span := range plan.Spans {
			row, prog, err := p.guard(ctx, &t, span, held[span.Shard], tried)
			if err != nil {
				return err
			}
			prog.OpenPlan = plan.Number
			t.Writes = append(t.Writes, jsonRow(row.Key, prog))
		}
		_, err := p.store.Commit(ctx, t)
		if err == nil {
			return nil
		}
		if err := p.again(ctx, err); err != nil {
			return fmt.Errorf("commit plan %d: %w", plan.Number, err)
		}
	}
}

// note adds to t what the source keeps of spans.
func (p *planner) note(ctx context.Context, t *control.Txn, spans []PlanSpan) error {
	n, ok := p.source.(Noting)
	if !ok {
		return nil
	}
	notes, err := n.Note(ctx, spans)
	t.Writes = append(t.Writes, notes...)
	return err
}

// refusedError says that a shard may not be planned: its lease is lost, or its checkpoint is elsewhere.
type refusedError struct {
	shard core.ShardID
	err   error
}

func (e *refusedError) Error() string { return fmt.Sprintf("%s: %v", e.shard, e.err) }
func (e *refusedError) Unwrap() error { return e.err }

// guard adds to t the checks that a span may be planned by the holder of l, and returns the shard's row. tried says that a
// transaction failed: then the lease's row is read too.
func (p *planner) guard(ctx context.Context, t *control.Txn, span PlanSpan, l *lease.Lease, tried bool) (control.Row, Progress, error) {
	if !p.without.lease {
		check, err := l.Known(), error(nil)
		if tried {
			check, err = l.Check(ctx)
		}
		if errors.Is(err, lease.ErrLost) {
			err = &refusedError{span.Shard, err}
		}
		if err != nil {
			return control.Row{}, Progress{}, err
		}
		t.Checks = append(t.Checks, check)
	}
	row, prog, err := loadRow[Progress](ctx, p.store, p.keys.shard(p.incarnation, span.Source, span.Shard))
	if err != nil {
		return row, prog, err
	}
	if row.Version == 0 { // a reset takes the rows of the incarnation away, which no plan of it may outlive
		return row, prog, &refusedError{span.Shard, fmt.Errorf("the pipeline was reset: %w", lease.ErrLost)}
	}
	elsewhere := prog.Checkpoint != span.From || prog.ProofFrom != span.ProofFrom
	if elsewhere && !p.without.from || prog.OpenPlan != 0 && !p.without.openPlan {
		return row, prog, &refusedError{span.Shard, fmt.Errorf("it stands at %q with open plan %d, the flush begins at %q: %w",
			prog.Checkpoint, prog.OpenPlan, span.From, errMoved)}
	}
	t.Checks = append(t.Checks, control.Check{Key: row.Key, Version: row.Version})
	return row, prog, nil
}

// carry moves checkpoints past a flush that left no row and no dead letter; its counts go into the next manifest.
func (p *planner) carry(ctx context.Context, spans []PlanSpan, held map[core.ShardID]*lease.Lease) error {
	for tried := false; ; tried = true {
		var t control.Txn
		if err := p.note(ctx, &t, spans); err != nil {
			return err
		}
		for _, span := range spans {
			row, prog, err := p.guard(ctx, &t, span, held[span.Shard], tried)
			if err != nil {
				return err
			}
			prog.Totals = prog.Totals.Add(span.Counts.sub(prog.Carried))
			prog.Carried = span.Counts
			prog.Checkpoint, prog.Ended = span.Through, span.End
			t.Writes = append(t.Writes, jsonRow(row.Key, prog))
		}
		_, err := p.store.Commit(ctx, t)
		if err == nil {
			return nil
		}
		// After a lost answer the guard finds the checkpoint moved, and the session reads the rows again.
		if err := p.again(ctx, err); err != nil {
			return fmt.Errorf("move checkpoints: %w", err)
		}
	}
}

// load reads an open plan; ok is false when it is done.
func (p *planner) load(ctx context.Context, number int64) (plan Plan, ok bool, err error) {
	row, plan, err := loadRow[Plan](ctx, p.store, p.keys.plan(p.incarnation, number))
	return plan, row.Version != 0, err
}

// decide makes the destination's refusals part of the plan, if it has none yet, and returns the plan as it then stands:
// the first verdict wins. ok is false when the plan is done already.
func (p *planner) decide(ctx context.Context, number int64, rejects []Reject) (plan Plan, ok bool, err error) {
	for {
		row, plan, err := loadRow[Plan](ctx, p.store, p.keys.plan(p.incarnation, number))
		if err != nil || row.Version == 0 || plan.Decided && !p.without.decide {
			return plan, row.Version != 0, err
		}
		plan.Decided, plan.Rejects = true, rejects
		_, err = p.store.Commit(ctx, control.Txn{
			Checks: []control.Check{{Key: row.Key, Version: row.Version}},
			Writes: []control.Write{jsonRow(row.Key, plan)},
		})
		if err == nil {
			return plan, true, nil
		}
		if err := p.again(ctx, err); err != nil {
			return plan, true, fmt.Errorf("decide plan %d: %w", number, err)
		}
	}
}

// complete marks a plan done and moves its checkpoints, in one transaction guarded by the plan's row: whoever comes
// second finds it gone, and goes on. Invariant 2.
func (p *planner) complete(ctx context.Context, number int64) error {
	for {
		row, plan, err := loadRow[Plan](ctx, p.store, p.keys.plan(p.incarnation, number))
		if err != nil || row.Version == 0 {
			return err
		}
		t := control.Txn{Writes: []control.Write{{Key: row.Key}, stream.Unpin(p.keys.pin(p.incarnation, number))}}
		if !p.without.planRow {
			t.Checks = []control.Check{{Key: row.Key, Version: row.Version}}
		}
		rejected := plan.rejected()
		for _, span := range plan.Spans {
			srow, prog, err := loadRow[Progress](ctx, p.store, p.keys.shard(p.incarnation, span.Source, span.Shard))
			if err != nil {
				return err
			}
			if prog.OpenPlan != number && !p.without.openPlan {
				continue // other software moved on with it, see arrive
			}
			fresh := span.Counts.sub(prog.Carried)
			fresh.Dead += rejected[span.Shard]
			fresh.Written -= rejected[span.Shard]
			prog.Totals = prog.Totals.Add(fresh)
			prog.Carried, prog.OpenPlan = Counts{}, 0
			prog.Checkpoint, prog.ProofFrom, prog.Ended = span.Through, span.Through, span.End
			if !p.without.planRow {
				t.Checks = append(t.Checks, control.Check{Key: srow.Key, Version: srow.Version})
			}
			t.Writes = append(t.Writes, jsonRow(srow.Key, prog))
		}
		_, err = p.store.Commit(ctx, t)
		if err == nil {
			return nil
		}
		if err := p.again(ctx, err); err != nil {
			return fmt.Errorf("complete plan %d: %w", number, err)
		}
	}
}

// again returns nil when a transaction that failed with err is to be built anew from what is stored now, after a short
// random pause that lets two writers come apart.
func (p *planner) again(ctx context.Context, err error) error {
	if !errors.Is(err, control.ErrConflict) && !errors.Is(err, control.ErrUnknown) {
		return err
	}
	return core.Pause(ctx, time.Duration(rand.Int64N(int64(5*time.Millisecond)))+1) //nolint:gosec // jitter
}
