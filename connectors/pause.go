package connectors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
)

// ErrPaused says that a pipeline is paused: nothing of it is read until it is resumed.
var ErrPaused = errors.New("is paused")

// What Events.Pause is told.
const (
	Pausing = "pausing" // what was read is delivered
	Paused  = "paused"  // nothing is open or held
	Resumed = "resumed"
)

// errReset: the worker's incarnation is not the pipeline's any more. Open the pipeline again.
var errReset = errors.New("the pipeline was reset")

// Pause has every worker of the pipeline deliver what it has read, give up its leases and wait, until Resume. It returns since
// when the pipeline is paused; ok is false where it never ran. Workers see it when they next look for shards.
func Pause(ctx context.Context, store lease.Store, pipeline string) (since time.Time, ok bool, err error) {
	now := time.Now().UTC().Truncate(time.Second)
	st, ok, err := setPaused(ctx, store, pipeline, func(was *time.Time) *time.Time {
		if was != nil {
			return was
		}
		return &now
	})
	if err == nil && ok {
		since = *st.PausedAt
	}
	return since, ok, err
}

// Resume has the workers of a paused pipeline go on from its checkpoints; ok is false where it never ran.
func Resume(ctx context.Context, store lease.Store, pipeline string) (ok bool, err error) {
	_, ok, err = setPaused(ctx, store, pipeline, func(*time.Time) *time.Time { return nil })
	return ok, err
}

func setPaused(ctx context.Context, store lease.Store, pipeline string, change func(was *time.Time) *time.Time) (State, bool, error) {
	for {
		row, st, err := loadRow[State](ctx, store, keys{pipeline}.state())
		if err != nil || row.Version == 0 {
			return st, false, err
		}
		to := change(st.PausedAt)
		if (to == nil) == (st.PausedAt == nil) { // as it is, perhaps by a commit whose answer was lost
			return st, true, nil
		}
		st.PausedAt = to
		_, err = store.Commit(ctx, control.Txn{
			Checks: []control.Check{{Key: row.Key, Version: row.Version}},
			Writes: []control.Write{jsonRow(row.Key, st)},
		})
		if err == nil {
			return st, true, nil
		}
		if !errors.Is(err, control.ErrConflict) && !errors.Is(err, control.ErrUnknown) {
			return st, true, fmt.Errorf("write the state of pipeline %s: %w", pipeline, err)
		}
		if err := core.Pause(ctx, firstWait); err != nil {
			return st, true, err
		}
	}
}

// standing is ErrPaused or errReset where the worker's incarnation is not to be read now.
func (w *Worker) standing(ctx context.Context) error {
	st, _, err := LoadState(ctx, w.cfg.Store, w.cfg.Pipeline)
	switch {
	case err != nil:
		return err
	case st.Incarnation != w.incarnation:
		return errReset
	case st.PausedAt != nil:
		return fmt.Errorf("pipeline %s %w since %s; penstock pipelines resume %s has it go on", w.cfg.Pipeline, ErrPaused, st.PausedAt.Format(time.RFC3339), w.cfg.Pipeline)
	}
	return nil
}

// awaitResume returns when the pipeline is not paused, or with errReset when it was reset meanwhile. A paused pipeline has no
// plan open: those that a worker left, which died, are finished. A pipeline that would end by itself does not wait.
func (w *Worker) awaitResume(ctx context.Context) error {
	err := w.standing(ctx)
	var watch watch
	for errors.Is(err, ErrPaused) {
		if err := w.settlePlans(ctx, &watch); err != nil {
			return err
		}
		w.tell(Paused)
		if f, ok := w.cfg.Source.(Finite); w.cfg.UntilCaughtUp || ok && f.Finite() {
			return err
		}
		if err := core.Pause(ctx, w.cfg.ShardSync); err != nil {
			return err
		}
		err = w.standing(ctx)
	}
	if err == nil {
		w.tell(Resumed)
	}
	return err
}

// watch finds out which owners of leases live.
type watch struct {
	first Leases
	since time.Time
	moved []string // of the owners, in the last failover time that was watched
	whole bool     // such a time was watched
}

// look looks at the leases once more.
func (o *watch) look(ctx context.Context, w *Worker) (Leases, error) {
	now, err := LookAtLeases(ctx, w.cfg.Store, w.cfg.Pipeline)
	if err != nil {
		return now, err
	}
	if failover := w.leases.Failover(); o.since.IsZero() || time.Since(o.since) > failover {
		if !o.since.IsZero() {
			o.moved, o.whole = o.first.Moved(now.Picture), true
		}
		o.first, o.since = now, time.Now()
	}
	return now, nil
}

// dead reports whether nobody who has a shard of a plan can be alive.
func (o *watch) dead(p Plan, now Leases) bool {
	holders := now.Holders()
	for _, span := range p.Spans {
		owner := now.Owner(span.Source, span.Shard)
		if slices.Contains(holders, owner) && (!o.whole || slices.Contains(o.moved, owner)) {
			return false
		}
	}
	return true
}

// settlePlans finishes the open plans of workers that are dead. Those that live finish theirs themselves.
func (w *Worker) settlePlans(ctx context.Context, o *watch) error {
	now, err := o.look(ctx, w)
	if err != nil {
		return err
	}
	plans, err := OpenPlans(ctx, w.cfg.Store, w.cfg.Pipeline)
	for _, p := range plans {
		if err != nil || p.Incarnation != w.incarnation {
			break
		}
		if !o.dead(p, now) {
			continue
		}
		w.tell(Pausing)
		if p.Spans[0].Source == w.cfg.Source.ID() { // they are all of one
			err = w.resume(ctx, p.Number)
		} else {
			err = w.finishOther(ctx, p)
		}
	}
	return err
}

// tell has events told how a pause goes on, once.
func (w *Worker) tell(state string) {
	if w.told != state && (w.told != "" || state != Resumed) {
		w.cfg.Events.pause(state)
	}
	w.told = state
}
