package pipelines

import (
	"context"
	"errors"
	"fmt"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// Program opens what a spec names. Mistakes that only opening shows, such as an expression that does not parse, are
// Errors too. Where the schema is declared, the stages are checked against it.
func (r *Registry) Program(ctx context.Context, s *Spec) (*connectors.Program, error) {
	f := &found{file: s.File, hide: s.hide}
	p := &connectors.Program{Spec: s.Hash, SpecText: s.Text, Declared: s.Declared}
	var err error
	if p.Decoder, err = r.decoders[s.Decoder.Kind].open(ctx, s.Decoder.Config); err != nil {
		f.fail(s.Decoder.node, s.Decoder.Path, err)
	}
	for _, st := range s.Stages {
		t, err := r.transforms[st.Kind].open(ctx, st.Config)
		if err != nil {
			f.fail(st.node, st.Path, err)
			continue
		}
		p.Stages = append(p.Stages, connectors.NamedTransform{Name: st.Path, Transform: t})
		p.Pinned = append(p.Pinned, t.Columns()...)
	}
	if len(f.list) == 0 && len(s.Declared) > 0 {
		r.bind(f, s, p)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	if p.Sink, err = r.sinks[s.Sink.Kind].open(ctx, s.Sink.Config); err != nil {
		if errors.Is(err, core.ErrInvalid) {
			f.fail(s.Sink.node, s.Sink.Path, err)
			return nil, f.err()
		}
		return nil, fmt.Errorf("open the sink of pipeline %s: %w", s.Name, err)
	}
	if c, ok := p.Sink.(interface{ Columns() []string }); ok {
		p.Pinned = append(p.Pinned, c.Columns()...)
	}
	return p, nil
}

// bind checks the stages against the declared columns.
func (r *Registry) bind(f *found, s *Spec, p *connectors.Program) {
	schema := core.SchemaOf(s.Declared...)
	for i, st := range p.Stages {
		bound, err := st.Transform.Bind(schema)
		if err != nil {
			f.fail(s.Stages[i].node, s.Stages[i].Path, err)
			return
		}
		schema = bound.Schema()
	}
}

// Stored opens a spec as it was stored, for plans that it left open.
func (r *Registry) Stored(ctx context.Context, text []byte, env func(string) (string, bool)) (*connectors.Program, error) {
	s, err := r.Load("stored pipeline", text, env)
	if err != nil {
		return nil, err
	}
	return r.Program(ctx, s)
}
