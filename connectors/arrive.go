package connectors

import (
	"context"
	"errors"
	"fmt"

	"github.com/penstock/penstock/connectors/kpl"
	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog"
)

// arrive makes a checkpoint of the place at which other software left a shard, and commits it. Who calls it reads the row
// again: another may have been first.
func (w *Worker) arrive(ctx context.Context, row control.Row, prog Progress) error {
	at, err := w.resolve(ctx, prog.Shard, *prog.Begin)
	if err != nil {
		return fmt.Errorf("go on with %s where other software left it: %w", prog.Shard, err)
	}
	prog.Begin = nil
	if was := prog.Checkpoint; was != "" && at.Compare(was) > 0 {
		prog.lose(Gap{From: was, Through: at, Why: "were left to other software, whose checkpoint stands behind them"})
	} else if at != was {
		prog.Checkpoint, prog.ProofFrom, prog.Carried = at, at, Counts{}
	}
	_, err = w.cfg.Store.Commit(ctx, control.Txn{
		Checks: []control.Check{{Key: row.Key, Version: row.Version}}, Writes: []control.Write{jsonRow(row.Key, prog)},
	})
	if errors.Is(err, control.ErrConflict) || errors.Is(err, control.ErrUnknown) {
		return core.Pause(ctx, firstWait)
	}
	return err
}

// resolve is the sequence number to read after.
func (w *Worker) resolve(ctx context.Context, id core.ShardID, start Start) (core.SequenceNumber, error) {
	switch {
	case start.Kind == StartAt && start.At.IsZero(): // the time is known to who configured it
		if start = w.cfg.Start; start.Kind != StartAt {
			start = Start{Kind: StartTrimHorizon}
		}
	case start.Kind == StartAfter && start.Sub != nil:
		before, err := w.cfg.Source.Resolve(ctx, id, start)
		switch {
		case errors.Is(err, core.ErrInvalid) && *start.Sub == 0: // no number as AWS gives them, so that it cannot be looked at
		case err != nil:
			return "", err
		default:
			whole, err := w.whollyDone(ctx, id, before, start)
			if err != nil || !whole {
				return before, err
			}
		}
		start.Sub = nil
	}
	return w.cfg.Source.Resolve(ctx, id, start)
}

// whollyDone reports whether a place within a record is behind the last of what was packed into it. If it is not, all of
// the record is read again.
func (w *Worker) whollyDone(ctx context.Context, id core.ShardID, before core.SequenceNumber, start Start) (bool, error) {
	if *start.Sub < 0 {
		return false, nil
	}
	read := w.cfg.Source.Read
	if e, ok := w.cfg.Source.(Expiring); ok {
		read = e.Reread // which does not wait
	}
	r, err := read(ctx, id, before)
	if err != nil {
		return false, err
	}
	defer r.Close() //nolint:errcheck // a reader has nothing to lose
	raw, err := r.Next(ctx)
	if errors.Is(err, shardlog.ErrTrimmed) { // it is gone, and with it the question
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer raw.Release()
	if raw.SequenceOf(0) != start.After {
		return true, nil
	}
	users, packed := kpl.Unpack(rawData(raw).Value(0))
	return !packed || *start.Sub >= int64(len(users))-1, nil
}

// void gives up an open plan of which other software has moved a shard on, without carrying it out: whoever has the shards
// that are left reads them again.
func (w *Worker) void(ctx context.Context, plan Plan) (bool, error) {
	for _, span := range plan.Spans {
		_, prog, err := loadRow[Progress](ctx, w.cfg.Store, w.keys.shard(w.incarnation, span.Source, span.Shard))
		if err != nil {
			return false, err
		}
		if prog.OpenPlan == plan.Number {
			continue
		}
		gone, err := abandon(ctx, w.cfg.Store, w.keys, plan)
		if gone {
			w.cfg.Events.Notice(fmt.Sprintf("plan %d is given up, as %s was moved on by other software while it was open: records of its %d shards may be delivered twice",
				plan.Number, span.Shard, len(plan.Spans)))
		}
		return true, err
	}
	return false, nil
}

// mostShards bounds the shards of a transaction.
func mostShards(store lease.Store) int {
	if p, ok := store.(patient); ok {
		store = p.Store
	}
	if b, ok := store.(lease.Bounded); ok {
		return min(maxSpans, b.Shards())
	}
	return maxSpans
}
