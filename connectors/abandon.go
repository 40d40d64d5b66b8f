package connectors

import (
	"context"
	"errors"
	"fmt"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/stream"
)

// Abandon gives up plans that are committed but not done, and returns those that it gave up: a plan that was done
// meanwhile is not among them. Checkpoints stay, so that the plans' records are read again into new plans; what the
// plans had made visible may then be there twice. A worker that carries one of them out finds it gone, as if another
// had completed it, and its next plan is refused, since the checkpoint is not where that one begins. Invariant 4.
func Abandon(ctx context.Context, store lease.Store, pipeline string, plans []Plan) ([]Plan, error) {
	st, ok, err := LoadState(ctx, store, pipeline)
	if err != nil || !ok {
		return nil, err
	}
	var out []Plan
	for _, p := range plans {
		if p.Incarnation != st.Incarnation {
			continue // of a pipeline that was reset, whose rows are gone
		}
		gone, err := abandon(ctx, store, keys{pipeline}, p)
		if err != nil {
			return out, fmt.Errorf("give up plan %d of %s: %w", p.Number, pipeline, err)
		}
		if gone {
			out = append(out, p)
		}
	}
	return out, nil
}

// abandon removes one plan's row and its number from the rows of its shards, in one transaction; false where the plan
// was done already.
func abandon(ctx context.Context, store lease.Store, k keys, p Plan) (bool, error) {
	for {
		row, plan, err := loadRow[Plan](ctx, store, k.plan(p.Incarnation, p.Number))
		if err != nil || row.Version == 0 {
			return false, err
		}
		t := control.Txn{
			Checks: []control.Check{{Key: row.Key, Version: row.Version}},
			Writes: []control.Write{{Key: row.Key}, stream.Unpin(k.pin(p.Incarnation, p.Number))},
		}
		for _, span := range plan.Spans {
			srow, prog, err := loadRow[Progress](ctx, store, k.shard(p.Incarnation, span.Source, span.Shard))
			if err != nil {
				return false, err
			}
			if prog.OpenPlan != p.Number {
				continue
			}
			prog.OpenPlan = 0
			t.Checks = append(t.Checks, control.Check{Key: srow.Key, Version: srow.Version})
			t.Writes = append(t.Writes, jsonRow(srow.Key, prog))
		}
		_, err = store.Commit(ctx, t)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, control.ErrUnknown):
			// Read back: if the row is gone, whether we or a worker took it cannot be told; say that we did, since what
			// may double is then listed rather than left out.
			if _, there, gerr := store.Get(ctx, row.Key); gerr != nil || !there {
				return true, gerr
			}
		case !errors.Is(err, control.ErrConflict):
			return false, err
		}
		if err := core.Pause(ctx, firstWait); err != nil {
			return false, err
		}
	}
}
