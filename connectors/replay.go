package connectors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/memory"
	"github.com/penstock/penstock/core/shardlog"
)

// replay makes the rows of spans again, under b, into st, and adds what became of them to the spans' counts. It is the
// pure function that a plan stands for: no inference, shard by shard, each in order. held is told what the rows take.
func (w *Worker) replay(ctx context.Context, b *bound, st Staging, spans []PlanSpan, held *memory.Account) ([]DeadLetter, error) {
	var letters []DeadLetter
	for i := range spans {
		s := &spans[i]
		err := w.readSpan(ctx, *s, func(raw core.Batch) error {
			o, err := b.run(ctx, raw)
			if err != nil {
				return err
			}
			defer o.rows.Release()
			more, err := stageRows(ctx, w, st, s, raw, o)
			letters = append(letters, more...)
			if err != nil {
				return err
			}
			if held.Set(st.Stats().Memory); !held.IsFull() {
				return nil
			}
			err = w.spill(ctx, st)
			held.Set(st.Stats().Memory)
			held.Reconsider()
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read again %s from %q through %q: %w", s.Shard, s.From, s.Through, err)
		}
	}
	return letters, nil
}

// readSpan calls f with the raw batches of a span, which f borrows.
func (w *Worker) readSpan(ctx context.Context, s PlanSpan, f func(raw core.Batch) error) error {
	if s.From == s.Through {
		return nil
	}
	read := w.cfg.Source.Read
	if e, ok := w.cfg.Source.(Expiring); ok {
		read = e.Reread
	}
	r, err := read(ctx, s.Shard, s.From)
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // a reader has nothing to lose
	for {
		raw, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("the shard ends before %s: %w", s.Through, io.ErrUnexpectedEOF)
		}
		if err != nil {
			return err
		}
		last := raw.Span.Last.Compare(s.Through) >= 0
		part := through(raw, s.Through)
		raw.Release()
		if part.NumRows() > 0 {
			err = f(part)
		}
		part.Release()
		if err != nil || last {
			return err
		}
	}
}

// resume finishes a plan that is committed but not done, whoever committed it: the same rows under the same names.
func (w *Worker) resume(ctx context.Context, number int64) error {
	return w.restaging(ctx, func(bool) error { return w.again(ctx, number) })
}

// again carries out a committed plan, or closes it as lost where its records are gone.
func (w *Worker) again(ctx context.Context, number int64) error {
	plan, ok, err := w.planner.load(ctx, number)
	if err != nil || !ok {
		return err
	}
	if void, err := w.void(ctx, plan); err != nil || void {
		return err
	}
	w.cfg.Events.resumed(plan)
	if err = w.redo(ctx, plan); errors.Is(err, shardlog.ErrTrimmed) {
		return w.lose(ctx, plan)
	}
	return err
}

// redo stages a committed plan from its spans and carries it out.
func (w *Worker) redo(ctx context.Context, plan Plan) error {
	number := plan.Number
	program, err := w.programOf(ctx, plan)
	if err != nil {
		return err
	}
	b, err := w.schemas.at(ctx, program, plan.Schema)
	if err != nil {
		return fmt.Errorf("finish plan %d: %w", number, err)
	}
	st, err := w.stage(ctx, number, b, 0) // the plan has its outputs
	if err != nil {
		return err
	}
	defer st.Discard() //nolint:errcheck // what is not published is not needed
	held := w.memory.Account()
	defer held.Close()
	spans := slices.Clone(plan.Spans)
	letters, err := w.replay(ctx, b, st, spans, held)
	if err == nil {
		err = w.whole(ctx, plan, spans)
	}
	if err != nil {
		return fmt.Errorf("finish plan %d: %w", number, err)
	}
	outputs, err := st.Outputs(ctx)
	if err != nil {
		return fmt.Errorf("finish plan %d: %w", number, err)
	}
	if !SameOutputs(outputs, plan.Outputs) {
		return Permanent(fmt.Errorf("plan %d of %s, made again, would write other outputs than it says (%d, planned %d); nothing was written. "+
			"Run the version that made it, or give it up with: penstock pipelines abandon-plan %s", number, plan.Pipeline, len(outputs), len(plan.Outputs), plan.Pipeline))
	}
	return w.carryOut(ctx, plan, st, letters)
}

// whole returns core/shardlog.ErrTrimmed where fewer records were read again, which counts has, than the plan covers.
func (w *Worker) whole(ctx context.Context, plan Plan, counts []PlanSpan) error {
	if _, ok := w.cfg.Source.(Expiring); !ok {
		return nil
	}
	for i, s := range plan.Spans {
		_, prog, err := loadRow[Progress](ctx, w.cfg.Store, w.keys.shard(w.incarnation, s.Source, s.Shard))
		if err != nil {
			return err
		}
		planned, read := s.Counts.sub(prog.Carried).Records, counts[i].Counts.sub(s.Counts).Records
		if prog.OpenPlan == plan.Number && read < planned {
			return fmt.Errorf("%d of %d records of %s are there: %w", read, planned, s.Shard, shardlog.ErrTrimmed)
		}
	}
	return nil
}
