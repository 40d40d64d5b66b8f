package compute

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/take"
	"github.com/penstock/penstock/transforms/internal/expr"
	"github.com/penstock/penstock/transforms/internal/rows"
)

// Transform computes columns.
type Transform struct {
	names []string
	exprs []*expr.Expr
	mem   memory.Allocator
}

var _ connectors.Transform = (*Transform)(nil)

// Option changes a Transform.
type Option func(*Transform)

// WithAllocator takes memory for columns from mem.
func WithAllocator(mem memory.Allocator) Option { return func(t *Transform) { t.mem = mem } }

// New parses the expressions.
func New(cfg Config, opts ...Option) (*Transform, error) {
	if len(cfg) == 0 {
		return nil, fmt.Errorf("compute names no column: %w", core.ErrInvalid)
	}
	t := &Transform{mem: memory.DefaultAllocator}
	var errs []error
	for _, c := range cfg {
		if c.Name == "" || core.IsHidden(c.Name) {
			errs = append(errs, fmt.Errorf("compute: %q cannot be a column's name: %w", c.Name, core.ErrInvalid))
			continue
		}
		e, err := expr.Parse(c.Expr)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.Name, err))
		}
		t.names, t.exprs = append(t.names, c.Name), append(t.exprs, e)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, o := range opts {
		o(t)
	}
	return t, nil
}

// Columns names the columns of the input that the expressions use, but for those computed before.
func (t *Transform) Columns() []string {
	var out []string
	for i, e := range t.exprs {
		for _, c := range e.Columns() {
			if !slices.Contains(t.names[:i], c) && !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	return out
}

// Check is the error of each expression on a column that neither in, which has all that there can be, has nor an
// expression before makes.
func (t *Transform) Check(in *arrow.Schema) error {
	var errs []error
	for i, e := range t.exprs {
		field := anything(t.names[i])
		err := e.Check(in)
		if err == nil {
			var p *expr.Program
			if p, err = e.Bind(in); err == nil {
				field, _, err = result(t.names[i], p, in)
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", t.names[i], err))
			field = anything(t.names[i])
		}
		in, _ = rows.With(in, field)
	}
	return errors.Join(errs...)
}

// anything stands for the column of an expression that is wrong, so that those on it are looked at, too.
func anything(name string) arrow.Field {
	return arrow.Field{Name: name, Type: arrow.Null, Nullable: true}
}

// Bind checks the expressions against in. A column that neither in has nor an expression before makes is null. The
// result of an expression on such a column is left out as long as its type is not known.
func (t *Transform) Bind(in *arrow.Schema) (connectors.Stage, error) {
	s := &stage{mem: t.mem, schema: in}
	var errs []error
	for i, e := range t.exprs {
		if err := s.add(t.names[i], e); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", t.names[i], err))
			s.schema, _ = rows.With(s.schema, anything(t.names[i]))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

// add binds one expression more.
func (s *stage) add(name string, e *expr.Expr) error {
	p, err := e.Bind(s.schema)
	if err != nil {
		return err
	}
	field, known, err := result(name, p, s.schema)
	if err != nil || !known {
		return err
	}
	x := step{program: p, path: p.Column()}
	s.schema, x.at = rows.With(s.schema, field)
	x.schema = s.schema
	s.steps = append(s.steps, x)
	return nil
}

// result is the column that an expression makes of those in in; known is false where too little is known of these.
func result(name string, p *expr.Program, in *arrow.Schema) (field arrow.Field, known bool, err error) {
	field = arrow.Field{Name: name, Nullable: true}
	if path := p.Column(); path != nil {
		field.Type = fieldAt(in, path).Type
		return field, true, nil
	}
	field.Type, err = p.Type()
	switch {
	case p.Absent() && (err != nil || field.Type.ID() == arrow.NULL):
		return field, false, nil //nolint:nilerr // the type will be known when the column is
	case err != nil:
		return field, false, err
	}
	return field, true, nil
}

func fieldAt(s *arrow.Schema, path []int) arrow.Field {
	f := s.Field(path[0])
	for _, k := range path[1:] {
		f = f.Type.(*arrow.StructType).Field(k)
	}
	return f
}

type step struct {
	program *expr.Program
	path    []int // set where the expression is a column or a field: its values are passed on as they are
	schema  *arrow.Schema
	at      int
}

type stage struct {
	mem    memory.Allocator
	schema *arrow.Schema
	steps  []step
}

func (s *stage) Schema() *arrow.Schema { return s.schema }

func (s *stage) Apply(ctx context.Context, b core.Batch, v *connectors.Verdicts) (core.Batch, error) {
	b.Retain()
	for _, x := range s.steps {
		next, err := s.apply(ctx, x, b, v)
		b.Release()
		if err != nil {
			return core.Batch{}, err
		}
		b = next
	}
	return b, nil
}

// apply computes one column and takes out the rows that failed, which later expressions do not see.
func (s *stage) apply(ctx context.Context, x step, b core.Batch, v *connectors.Verdicts) (core.Batch, error) {
	var failures []expr.Failure
	col := pass(b, x.path, s.mem)
	if col == nil {
		var err error
		if col, failures, err = x.program.Eval(b, s.mem); err != nil {
			return core.Batch{}, err
		}
	}
	out := rows.Put(b, x.schema, x.at, col)
	if len(failures) == 0 {
		return out, nil
	}
	defer out.Release()
	bad := make([]bool, b.NumRows())
	for _, f := range failures {
		v.Refuse(b, f.Row, f.Code, f.Reason)
		bad[f.Row] = true
	}
	return take.Without(ctx, s.mem, out, bad)
}

// pass is the column at a path, or nil where there is no path.
func pass(b core.Batch, path []int, mem memory.Allocator) arrow.Array {
	if path == nil {
		return nil
	}
	col := b.Rows.Column(path[0])
	col.Retain()
	for _, k := range path[1:] {
		next := rows.Field(mem, col.(*array.Struct), k)
		col.Release()
		col = next
	}
	return col
}
