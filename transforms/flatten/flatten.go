// Package flatten turns a column of structs into one column per field, in its place. Fields that are structs stay so;
// flatten them in a stage after. A column that the schema does not have is passed over, since it may appear later.
package flatten

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/transforms/internal/rows"
)

// Config says which column.
type Config struct {
	Column    string `yaml:"column" json:"column" jsonschema:"description=The column of objects."`
	Separator string `yaml:"separator,omitempty" json:"separator,omitempty" jsonschema:"description=Stands between the column's name and the field's. Default _."`
}

// Transform flattens one column.
type Transform struct {
	cfg Config
	mem memory.Allocator
}

var _ connectors.Transform = (*Transform)(nil)

// Option changes a Transform.
type Option func(*Transform)

// WithAllocator takes memory for columns from mem.
func WithAllocator(mem memory.Allocator) Option { return func(t *Transform) { t.mem = mem } }

// New checks the configuration.
func New(cfg Config, opts ...Option) (*Transform, error) {
	if cfg.Column == "" || core.IsHidden(cfg.Column) {
		return nil, fmt.Errorf("flatten: column %q is not a column's name: %w", cfg.Column, core.ErrInvalid)
	}
	if cfg.Separator == "" {
		cfg.Separator = "_"
	}
	t := &Transform{cfg, memory.DefaultAllocator}
	for _, o := range opts {
		o(t)
	}
	return t, nil
}

// Columns is empty: new fields may join the column.
func (*Transform) Columns() []string { return nil }

// Bind returns an error when the column holds no structs or a field's new name is taken.
func (t *Transform) Bind(in *arrow.Schema) (connectors.Stage, error) {
	s := &stage{mem: t.mem, at: -1, schema: in}
	at := in.FieldIndices(t.cfg.Column)
	if len(at) == 0 || in.Field(at[0]).Type.ID() == arrow.NULL {
		return s, nil
	}
	st, ok := in.Field(at[0]).Type.(*arrow.StructType)
	if !ok {
		return nil, fmt.Errorf("flatten: column %s is %s, not an object: %w", t.cfg.Column, in.Field(at[0]).Type, core.ErrInvalid)
	}
	s.at, s.fields = at[0], st.NumFields()
	parts := make([]arrow.Field, s.fields)
	for i, f := range st.Fields() {
		name := t.cfg.Column + t.cfg.Separator + f.Name
		if in.HasField(name) {
			return nil, fmt.Errorf("flatten: there is a column %s already; choose another separator: %w", name, core.ErrInvalid)
		}
		parts[i] = arrow.Field{Name: name, Type: f.Type, Nullable: true}
	}
	meta := in.Metadata()
	s.schema = arrow.NewSchema(slices.Replace(slices.Clone(in.Fields()), s.at, s.at+1, parts...), &meta)
	return s, nil
}

type stage struct {
	mem    memory.Allocator
	schema *arrow.Schema
	at     int // -1: nothing to do
	fields int
}

func (s *stage) Schema() *arrow.Schema { return s.schema }

func (s *stage) Apply(_ context.Context, b core.Batch, _ *connectors.Verdicts) (core.Batch, error) {
	if s.at < 0 {
		b.Retain()
		return b, nil
	}
	column := b.Rows.Column(s.at).(*array.Struct)
	parts := make([]arrow.Array, s.fields)
	for i := range parts {
		parts[i] = rows.Field(s.mem, column, i)
		defer parts[i].Release()
	}
	cols := slices.Replace(slices.Clone(b.Rows.Columns()), s.at, s.at+1, parts...)
	return b.WithRows(array.NewRecord(s.schema, cols, b.NumRows())), nil
}
