package pipelines

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// Program opens what a spec names. Mistakes that only opening shows, such as an expression that does not parse, are
// Errors too. Where the schema is declared, the stages are checked against it.
func (r *Registry) Program(ctx context.Context, s *Spec) (*connectors.Program, error) {
	f := &found{file: s.File, refs: s.refs}
	p, err := r.open(ctx, f, s)
	if p.Sink != nil && (err != nil || len(f.list) > 0) {
		err = errors.Join(err, p.Sink.Close(ctx))
	}
	if said := f.err(); said != nil {
		return nil, said
	}
	if err != nil {
		return nil, err
	}
	if c, ok := p.Sink.(interface{ Columns() []string }); ok {
		p.Pinned = append(p.Pinned, c.Columns()...)
	}
	return p, nil
}

// look adds to the mistakes of a file those that only opening its other parts shows.
func (r *Registry) look(f *found, s *Spec) {
	ctx := context.Background() // opening asks nothing of the network
	if p, err := r.open(ctx, f, s); err == nil && p.Sink != nil {
		_ = p.Sink.Close(ctx) // it wrote nothing
	}
}

// open opens the parts of a spec that are not broken, and says of each what is wrong with it. The error is of the machine,
// not of the file.
func (r *Registry) open(ctx context.Context, f *found, s *Spec) (p *connectors.Program, err error) {
	p = &connectors.Program{Spec: s.Hash, SpecText: s.Text, Declared: s.Declared, Unpack: s.Source.Unpack}
	if start := s.Source.Start; start.Sub != nil {
		p.Skip = connectors.Sub{Seq: start.After, Index: *start.Sub}
	}
	if !s.Decoder.broken {
		if p.Decoder, err = r.decoders[s.Decoder.Kind].open(ctx, s.Decoder.Config); err != nil {
			p.Decoder = nil
			f.fail(s.Decoder.node, s.Decoder.Path, err)
		}
	}
	for _, st := range s.Stages {
		nt := connectors.NamedTransform{Name: st.Path, Hide: s.refs.within(st.node)}
		if !st.broken {
			t, err := r.transforms[st.Kind].open(ctx, st.Config)
			if err != nil {
				f.fail(st.node, st.Path, err)
			} else {
				nt.Transform = t
				p.Pinned = append(p.Pinned, t.Columns()...)
			}
		}
		p.Stages = append(p.Stages, nt)
	}
	if err := r.bind(f, s, p); err != nil {
		return p, err
	}
	if s.Sink.broken {
		return p, nil
	}
	sink, err := r.sinks[s.Sink.Kind].open(ctx, s.Sink.Config)
	switch {
	case err == nil:
		p.Sink = sink
		if o, ok := sink.(interface{ OrdersBySequence() bool }); ok && s.Source.File != nil && o.OrdersBySequence() {
			f.fail(s.Sink.node, s.Sink.Path, fmt.Errorf("rows of several files have no order among each other: name the column whose greatest value is the newest with order_by: %w", core.ErrInvalid))
		}
	case errors.Is(err, core.ErrInvalid):
		f.fail(s.Sink.node, s.Sink.Path, err)
	default:
		return p, fmt.Errorf("open the sink of pipeline %s: %w", s.Name, err)
	}
	return p, nil
}

// bind checks the stages against the columns that are known before any record is read: declared ones, and those of a
// decoder that makes no others. Only with such a decoder is it a mistake to name another column.
func (r *Registry) bind(f *found, s *Spec, p *connectors.Program) error {
	schema, closed := core.SchemaOf(s.Declared...), false
	if p.Decoder != nil {
		fixed, err := fixedColumns(p.Decoder, nil)
		if err != nil {
			return err
		}
		closed = fixed.NumFields() > 0
		if fixed, err = fixedColumns(p.Decoder, s.Declared); err != nil {
			f.fail(s.Decoder.node, s.Decoder.Path, err)
		} else {
			schema = core.SchemaOf(fixed.Fields()...)
		}
	}
	for i, st := range p.Stages {
		if st.Transform == nil {
			schema = obscure(schema, s.Stages[i].node)
			continue
		}
		var err error
		if c, ok := st.Transform.(connectors.Checker); ok && closed {
			err = c.Check(schema)
		}
		bound, berr := st.Transform.Bind(schema)
		if err == nil {
			err = berr
		}
		if err != nil {
			f.fail(s.Stages[i].node, s.Stages[i].Path, err)
			schema = obscure(schema, s.Stages[i].node)
			continue
		}
		schema = bound.Schema()
	}
	return nil
}

// obscure is the schema after a broken stage: a column that the stage names is there, and may be anything.
func obscure(s *arrow.Schema, stage *yaml.Node) *arrow.Schema {
	columns := slices.Clone(s.Fields())
	var name func(n *yaml.Node)
	name = func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode && n.Value != "" && !core.IsHidden(n.Value) {
			columns = slices.DeleteFunc(columns, func(c arrow.Field) bool { return c.Name == n.Value })
			columns = append(columns, arrow.Field{Name: n.Value, Type: arrow.Null, Nullable: true})
		}
		for _, c := range n.Content {
			name(c)
		}
	}
	name(stage)
	return arrow.NewSchema(columns, nil)
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
