package connectors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
)

// errDone: another worker completed the plan meanwhile.
var errDone = errors.New("plan is done")

// execute carries out a committed plan. When its staging cannot go on, the plan is staged anew, as often as it takes.
// When rows that the destination refused are gone, the plan is lost.
func (w *Worker) execute(ctx context.Context, plan Plan, st Staging, letters []DeadLetter) error {
	err := w.executeAll(ctx, plan, st, letters)
	if !errors.Is(err, shardlog.ErrTrimmed) {
		return err
	}
	if err := w.lose(ctx, plan); err != nil {
		return err
	}
	return fmt.Errorf("%w: %w", errMoved, err) // what comes next has another beginning
}

func (w *Worker) executeAll(ctx context.Context, plan Plan, st Staging, letters []DeadLetter) error {
	return w.restaging(ctx, func(anew bool) error {
		if anew {
			return w.again(ctx, plan.Number)
		}
		err := w.carryOut(ctx, plan, st, letters)
		if IsRestage(err) {
			_ = st.Discard() // what it holds, such as space on a full disk, is needed
		}
		return err
	})
}

// restaging calls f until its error is none that staging anew cures.
func (w *Worker) restaging(ctx context.Context, f func(anew bool) error) error {
	wait := firstWait
	for attempt := 1; ; attempt++ {
		err := f(attempt > 1)
		if !IsRestage(err) || ctx.Err() != nil {
			return err
		}
		w.cfg.Events.retry("stage anew", attempt, wait, err)
		if core.Pause(ctx, wait) != nil {
			return err
		}
		wait = min(2*wait, maxWait)
	}
}

// carryOut puts a committed plan's dead letters and outputs, and moves its checkpoints. It may be called again for the
// same plan, and by several workers at once.
func (w *Worker) carryOut(ctx context.Context, plan Plan, st Staging, letters []DeadLetter) error {
	began := time.Now()
	if err := w.putLetters(ctx, plan, letters); err != nil {
		return err
	}
	Step(ctx, "dead-letters-put")
	put := false // the rows that the destination refused are among the dead letters
	decide := func(ctx context.Context, rejects []Reject) ([]Reject, error) {
		decided, ok, err := w.planner.decide(ctx, plan.Number, rejects)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, errDone
		}
		plan = decided
		Step(ctx, "decided")
		if err := w.putRejects(ctx, plan); err != nil {
			return nil, err
		}
		put = true
		return plan.Rejects, nil
	}
	err := w.retry(ctx, "publish", func() error {
		if plan.Decided && !put { // before the rest is published: what is refused is in the dead letters by then
			if err := w.putRejects(ctx, plan); err != nil {
				return err
			}
			put = true
		}
		err := st.Publish(ctx, plan, decide)
		if errors.Is(err, errDone) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("publish plan %d: %w", plan.Number, err)
	}
	Step(ctx, "published")
	if err := w.planner.complete(ctx, plan.Number); err != nil {
		return err
	}
	Step(ctx, "done")
	w.cfg.Events.checkpoint(plan, time.Since(began))
	return nil
}

func (w *Worker) putLetters(ctx context.Context, plan Plan, letters []DeadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	for i := range letters {
		letters[i].Plan = plan.Number
	}
	err := w.retry(ctx, "put dead letters", func() error { return w.cfg.DeadLetters.Put(ctx, letters) })
	if err != nil {
		return fmt.Errorf("put %d dead letters of plan %d: %w", len(letters), plan.Number, err)
	}
	return nil
}

// putRejects puts the rows that the destination refused among the dead letters, with the destination's words.
func (w *Worker) putRejects(ctx context.Context, plan Plan) error {
	type row struct {
		shard core.ShardID
		seq   core.SequenceNumber
	}
	rejects := map[row][]Reject{}
	for _, r := range plan.Rejects {
		k := row{r.Shard, r.Seq}
		rejects[k] = append(rejects[k], r)
	}
	if len(rejects) == 0 {
		return nil
	}
	found := 0
	for _, s := range plan.Spans {
		err := w.readSpan(ctx, s, func(raw core.Batch) error {
			o, err := w.madeOf(ctx, plan, raw)
			if err != nil {
				return err
			}
			for i := range int(raw.NumRows()) {
				for _, r := range rejects[row{s.Shard, raw.SequenceOf(i)}] {
					o.verdicts.Refused = append(o.verdicts.Refused, Refusal{raw.Handles().Value(i), r.Ord, "sink", r.Code, r.Reason})
				}
			}
			found += len(o.verdicts.Refused)
			return w.putLetters(ctx, plan, w.letters(w.cfg.Program, plan.Incarnation, s.Source, raw, o))
		})
		if err != nil {
			return fmt.Errorf("send on the rows that the destination refused: %w", err)
		}
	}
	if _, ok := w.cfg.Source.(Expiring); ok && found < len(plan.Rejects) {
		return fmt.Errorf("%d of %d rows that the destination refused are there: %w", found, len(plan.Rejects), shardlog.ErrTrimmed)
	}
	return nil
}

// madeOf says which user records the rows of raw came from, where any of its records was taken apart.
func (w *Worker) madeOf(ctx context.Context, plan Plan, raw core.Batch) (outcome, error) {
	program, err := w.programOf(ctx, plan)
	if err != nil {
		return outcome{}, err
	}
	u := program.unpack(raw)
	if u == nil {
		return outcome{}, nil
	}
	u.batch.Release()
	b, err := w.schemas.at(ctx, program, plan.Schema)
	if err != nil {
		return outcome{}, err
	}
	o, err := b.run(ctx, raw)
	if err == nil {
		o.rows.Release()
	}
	return outcome{unpacked: o.unpacked}, err
}

// Bounds of the wait between two tries.
const (
	firstWait = 100 * time.Millisecond
	maxWait   = 30 * time.Second
)

// retry calls f until it succeeds, ctx ends or the error is one that no retry cures, waiting longer each time, with jitter.
func (w *Worker) retry(ctx context.Context, what string, f func() error) error {
	wait := firstWait
	for attempt := 1; ; attempt++ {
		err := f()
		if err == nil && attempt > 1 {
			w.cfg.Events.recovered(what)
		}
		if err == nil || IsPermanent(err) || IsRestage(err) || errors.Is(err, shardlog.ErrTrimmed) || ctx.Err() != nil {
			return err
		}
		d := core.Jitter(wait)
		w.cfg.Events.retry(what, attempt, d, err)
		if core.Pause(ctx, d) != nil {
			return err
		}
		wait = min(2*wait, maxWait)
	}
}
