package connectors

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/penstock/penstock/core/stream"
)

// earlier are the programs of earlier specs that left plans open. Each is opened once, as its sink may have connections.
type earlier struct {
	mu       sync.Mutex // guards what follows
	programs map[string]*Program
}

// programOf is the program that a plan was made by.
func (w *Worker) programOf(ctx context.Context, plan Plan) (*Program, error) {
	if plan.Semantics != Semantics {
		return nil, Permanent(fmt.Errorf("plan %d of %s was made by a version with semantics %d, this one has %d: finish it with that version",
			plan.Number, plan.Pipeline, plan.Semantics, Semantics))
	}
	if plan.Spec == w.cfg.Program.Spec {
		return w.cfg.Program, nil
	}
	w.earlier.mu.Lock()
	defer w.earlier.mu.Unlock()
	if p := w.earlier.programs[plan.Spec]; p != nil {
		return p, nil
	}
	text, err := w.specOf(ctx, plan)
	if err != nil {
		return nil, err
	}
	program, err := w.cfg.OpenProgram(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("open the spec of plan %d: %w", plan.Number, err)
	}
	if w.earlier.programs == nil {
		w.earlier.programs = map[string]*Program{}
	}
	w.earlier.programs[plan.Spec] = program
	return program, nil
}

// closeEarlier closes the sinks of earlier specs.
func (w *Worker) closeEarlier(ctx context.Context) error {
	w.earlier.mu.Lock()
	defer w.earlier.mu.Unlock()
	var errs []error
	for _, p := range w.earlier.programs {
		errs = append(errs, p.Sink.Close(ctx))
	}
	w.earlier.programs = nil
	return errors.Join(errs...)
}

// specOf is the text of the spec that a plan was made by.
func (w *Worker) specOf(ctx context.Context, plan Plan) ([]byte, error) {
	if w.cfg.OpenProgram == nil || w.cfg.OpenSource == nil {
		return nil, Permanent(fmt.Errorf("plan %d of %s was made by another spec (%s), which cannot be opened here", plan.Number, plan.Pipeline, plan.Spec))
	}
	row, ok, err := w.cfg.Store.Get(ctx, SpecKey(plan.Spec))
	if err == nil && !ok {
		err = Permanent(fmt.Errorf("the spec %s of plan %d is missing from the control store", plan.Spec, plan.Number))
	}
	return row.Value, err
}

// finish carries out the plans that are open over another source, which the pipeline had under an earlier spec: their
// shards are not attached any more.
func (w *Worker) finish(ctx context.Context) error {
	plans, err := OpenPlans(ctx, w.cfg.Store, w.cfg.Pipeline)
	if err != nil {
		return err
	}
	for _, plan := range plans {
		if plan.Spans[0].Source == w.cfg.Source.ID() { // they are all of one
			continue
		}
		if err := w.finishOther(ctx, plan); err != nil {
			return fmt.Errorf("finish plan %d of %s, whose source was another: %w", plan.Number, plan.Pipeline, err)
		}
	}
	return nil
}

// finishOther carries out a plan over another source, or closes it as lost where that is gone.
func (w *Worker) finishOther(ctx context.Context, plan Plan) error {
	text, err := w.specOf(ctx, plan)
	if err != nil {
		return err
	}
	source, err := w.cfg.OpenSource(ctx, text)
	if errors.Is(err, stream.ErrNotFound) {
		return w.lose(ctx, plan)
	} else if err != nil {
		return err
	}
	defer source.Close()                     //nolint:errcheck // it was only read
	if source.ID() != plan.Spans[0].Source { // it was made again under its name
		return w.lose(ctx, plan)
	}
	cfg := w.cfg
	cfg.Source = source
	other, err := NewWorker(cfg)
	if err != nil {
		return err
	}
	if err = other.open(ctx); err == nil {
		err = other.resume(ctx, plan.Number)
	}
	return errors.Join(err, other.closeEarlier(context.WithoutCancel(ctx)))
}
