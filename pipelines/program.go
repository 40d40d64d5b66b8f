package pipelines

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

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
	if len(f.list) == 0 {
		if err := r.bind(f, s, p); err != nil {
			return nil, err
		}
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

// bind checks the stages against the columns that are known before any record is read: declared ones, and those of a
// decoder that makes no others. Only with such a decoder is it a mistake to name another column.
func (r *Registry) bind(f *found, s *Spec, p *connectors.Program) error {
	fixed, err := fixedColumns(p.Decoder, nil)
	if err != nil {
		return err
	}
	closed := fixed.NumFields() > 0
	if fixed, err = fixedColumns(p.Decoder, s.Declared); err != nil {
		f.fail(s.Decoder.node, s.Decoder.Path, err)
		return nil
	}
	schema := core.SchemaOf(fixed.Fields()...)
	for i, st := range p.Stages {
		var err error
		if c, ok := st.Transform.(connectors.Checker); ok && closed {
			err = c.Check(schema)
		}
		bound, berr := st.Transform.Bind(schema)
		if err == nil {
			err = berr
		}
		if err != nil {
			f.fail(s.Stages[i].node, s.Stages[i].Path, err) // the stages after it are looked at without what it makes
			continue
		}
		schema = bound.Schema()
	}
	return nil
}

// fixedColumns are declared columns and those that the decoder makes whatever the records are.
func fixedColumns(d connectors.Decoder, declared []arrow.Field) (*arrow.Schema, error) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, core.RawSchema())
	defer b.Release()
	nothing := core.Batch{Rows: b.NewRecord()}
	defer nothing.Release()
	var have *arrow.Schema
	pinned := map[string]bool{}
	if len(declared) > 0 {
		have = arrow.NewSchema(declared, nil)
		for _, f := range declared {
			pinned[f.Name] = true
		}
	}
	out, err := d.Widen(have, nothing, pinned)
	if err == nil && out == nil {
		out = arrow.NewSchema(nil, nil)
	}
	return out, err
}

// Stored opens a spec as it was stored, for plans that it left open.
func (r *Registry) Stored(ctx context.Context, text []byte, env func(string) (string, bool)) (*connectors.Program, error) {
	s, err := r.Load("stored pipeline", text, env)
	if err != nil {
		return nil, err
	}
	return r.Program(ctx, s)
}
