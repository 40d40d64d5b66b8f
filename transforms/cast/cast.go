// Package cast changes the types of columns where that is exact; a row whose value does not fit is refused, never
// rounded. Null stays null. A column that the schema does not have is passed over, since it may appear later.
package cast

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/take"
	"github.com/penstock/penstock/transforms/internal/rows"
)

// Config maps columns to types: string, int64, double, bool or timestamp.
type Config map[string]string

// Transform casts columns.
type Transform struct {
	names []string
	types map[string]arrow.DataType
	mem   memory.Allocator
}

var _ connectors.Transform = (*Transform)(nil)

// Option changes a Transform.
type Option func(*Transform)

// WithAllocator takes memory for columns from mem.
func WithAllocator(mem memory.Allocator) Option { return func(t *Transform) { t.mem = mem } }

// New checks the names and types.
func New(cfg Config, opts ...Option) (*Transform, error) {
	t := &Transform{types: map[string]arrow.DataType{}, mem: memory.DefaultAllocator}
	for name, to := range cfg {
		dt := typeNamed(to)
		if dt == nil || name == "" || core.IsHidden(name) {
			return nil, fmt.Errorf("cast %s to %q: unknown type (have bool, double, int64, string, timestamp): %w", name, to, core.ErrInvalid)
		}
		t.types[name] = dt
		t.names = append(t.names, name)
	}
	if len(t.names) == 0 {
		return nil, fmt.Errorf("cast names no column: %w", core.ErrInvalid)
	}
	slices.Sort(t.names)
	for _, o := range opts {
		o(t)
	}
	return t, nil
}

func typeNamed(name string) arrow.DataType {
	switch name {
	case "string":
		return arrow.BinaryTypes.String
	case "int64", "int", "long":
		return arrow.PrimitiveTypes.Int64
	case "double", "float64", "float":
		return arrow.PrimitiveTypes.Float64
	case "bool", "boolean":
		return arrow.FixedWidthTypes.Boolean
	case "timestamp":
		return arrow.FixedWidthTypes.Timestamp_us
	default:
		return nil
	}
}

// Columns names the columns that are cast.
func (t *Transform) Columns() []string { return slices.Clone(t.names) }

// Bind returns an error when no value of a column could be cast.
func (t *Transform) Bind(in *arrow.Schema) (connectors.Stage, error) {
	s := &stage{mem: t.mem, schema: in}
	for _, name := range t.names {
		at := in.FieldIndices(name)
		if len(at) == 0 || arrow.TypeEqual(in.Field(at[0]).Type, t.types[name]) {
			continue
		}
		from, to := in.Field(at[0]).Type, t.types[name]
		if !castable(from, to) {
			return nil, fmt.Errorf("cast: column %s is %s and cannot become %s: %w", name, from, to, core.ErrInvalid)
		}
		x := step{name: name, at: at[0], to: to}
		s.schema, _ = rows.With(s.schema, arrow.Field{Name: name, Type: to, Nullable: true})
		x.schema = s.schema
		s.steps = append(s.steps, x)
	}
	return s, nil
}

type step struct {
	name   string
	at     int
	to     arrow.DataType
	schema *arrow.Schema
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

func (s *stage) apply(ctx context.Context, x step, b core.Batch, v *connectors.Verdicts) (core.Batch, error) {
	col := b.Rows.Column(x.at)
	builder := array.NewBuilder(s.mem, x.to)
	defer builder.Release()
	bad := make([]bool, col.Len())
	refused := false
	for i := range col.Len() {
		if col.IsNull(i) {
			builder.AppendNull()
			continue
		}
		if !appendCast(builder, col, i) {
			bad[i], refused = true, true
			builder.AppendNull()
			v.Refuse(b, i, "bad_cast", fmt.Sprintf("column %s: %.100s is no %s exactly", x.name, col.ValueStr(i), x.to))
		}
	}
	out := rows.Put(b, x.schema, x.at, builder.NewArray())
	if !refused {
		return out, nil
	}
	defer out.Release()
	return take.Without(ctx, s.mem, out, bad)
}
