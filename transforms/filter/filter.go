package filter

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/take"
	"github.com/penstock/penstock/transforms/internal/expr"
)

// Config is the condition, in CEL: 'event_type != "heartbeat" && bytes > 0'.
type Config string

// Transform is a filter.
type Transform struct {
	cond *expr.Expr
	mem  memory.Allocator
}

var _ connectors.Transform = (*Transform)(nil)

// Option changes a Transform.
type Option func(*Transform)

// WithAllocator takes memory for rows from mem.
func WithAllocator(mem memory.Allocator) Option { return func(t *Transform) { t.mem = mem } }

// New parses the condition.
func New(cfg Config, opts ...Option) (*Transform, error) {
	cond, err := expr.Parse(string(cfg))
	if err != nil {
		return nil, fmt.Errorf("filter: %w", err)
	}
	t := &Transform{cond: cond, mem: memory.DefaultAllocator}
	for _, o := range opts {
		o(t)
	}
	return t, nil
}

// Columns names the columns that the condition uses.
func (t *Transform) Columns() []string { return t.cond.Columns() }

// Check is the error of a condition on a column that in, which has all that there can be, does not have.
func (t *Transform) Check(in *arrow.Schema) error { return t.cond.Check(in) }

// Bind checks the condition against in. A column that in does not have is null.
func (t *Transform) Bind(in *arrow.Schema) (connectors.Stage, error) {
	p, err := t.cond.Bind(in)
	if err != nil {
		return nil, err
	}
	if !p.IsBool() {
		return nil, fmt.Errorf("filter %q is no condition; compare it with something: %w", t.cond, core.ErrInvalid)
	}
	return &stage{t.mem, p, in}, nil
}

type stage struct {
	mem    memory.Allocator
	cond   *expr.Program
	schema *arrow.Schema
}

func (s *stage) Schema() *arrow.Schema { return s.schema }

func (s *stage) Apply(ctx context.Context, b core.Batch, v *connectors.Verdicts) (core.Batch, error) {
	if b.NumRows() == 0 {
		b.Retain()
		return b, nil
	}
	test := s.cond.Test(b)
	for _, f := range test.Failures {
		v.Refuse(b, f.Row, f.Code, f.Reason)
	}
	v.Filter(test.False, test.Null)
	return take.Rows(ctx, s.mem, b, test.Keep)
}
