package lake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/sinks/internal/parquet"
)

// footer is what a Parquet file says of the plan that wrote it.
type footer struct {
	Pipeline    string                `json:"pipeline"`
	Incarnation string                `json:"incarnation"`
	Number      int64                 `json:"plan"`
	Spans       []connectors.PlanSpan `json:"spans"`
}

// Publish ends the files, makes them visible, and then writes the manifest.
func (s *Staging) Publish(ctx context.Context, p connectors.Plan, _ connectors.Decide) error {
	if len(p.Rejects) > 0 {
		return connectors.Permanent(fmt.Errorf("plan %d has rows that a store of files never refuses", p.Number))
	}
	text, err := json.Marshal(footer{p.Pipeline, p.Incarnation, p.Number, p.Spans})
	if err != nil {
		return err
	}
	p.Outputs = slices.Clone(p.Outputs)
	for i, f := range s.files() {
		if err := s.encode(ctx, f); err != nil {
			return broken(err)
		}
		if err := f.publish(ctx, string(text)); err != nil {
			return err
		}
		if i < len(p.Outputs) {
			p.Outputs[i].Bytes = f.size
		}
	}
	connectors.Step(ctx, "outputs-written")
	if err := writeManifest(ctx, s.store, p); err != nil {
		return err
	}
	connectors.Step(ctx, "manifest-written")
	return nil
}

// broken says what becomes of a staging whose encoder failed, which cannot go on: it is made anew, unless that would fail
// in the same way.
func broken(err error) error {
	switch {
	case connectors.IsPermanent(err):
		return err
	case errors.Is(err, core.ErrInvalid):
		return connectors.Permanent(err)
	}
	return connectors.Restage(err)
}

// publish ends a file and makes it visible.
func (f *file) publish(ctx context.Context, footer string) error {
	if f.enc != nil && !f.done {
		if m, ok := f.enc.(interface{ SetMetadata(key, value string) error }); ok {
			if err := m.SetMetadata(parquet.PlanKey, footer); err != nil {
				return err
			}
		}
		if err := f.enc.Close(); err != nil {
			return broken(fmt.Errorf("end %s: %w", f.name, err))
		}
		f.done, f.enc = true, nil
	}
	if err := f.obj.Commit(ctx); errors.Is(err, ErrBroken) {
		return connectors.Restage(fmt.Errorf("publish %s: %w", f.name, err))
	} else if err != nil {
		return fmt.Errorf("publish %s: %w", f.name, err)
	}
	return nil
}
