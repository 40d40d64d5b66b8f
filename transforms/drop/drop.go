// Package drop drops the named columns. A name that the schema does not have is ignored, since
// the column may appear later.
package drop

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/transforms/internal/rows"
)

// Config names the columns.
type Config []string

// Transform drops the named columns.
type Transform struct{ names []string }

var _ connectors.Transform = (*Transform)(nil)

// New checks the names.
func New(cfg Config) (*Transform, error) {
	if len(cfg) == 0 {
		return nil, fmt.Errorf("drop names no column: %w", core.ErrInvalid)
	}
	for _, name := range cfg {
		if name == "" || core.IsHidden(name) {
			return nil, fmt.Errorf("drop: %q is not a column's name: %w", name, core.ErrInvalid)
		}
	}
	return &Transform{cfg}, nil
}

// Columns is empty: types do not matter here.
func (*Transform) Columns() []string { return nil }

// Bind finds the columns; hidden ones always stay.
func (t *Transform) Bind(in *arrow.Schema) (connectors.Stage, error) {
	s := &stage{names: t.names}
	var fields []arrow.Field
	for i, f := range in.Fields() {
		if core.IsHidden(f.Name) || !slices.Contains(t.names, f.Name) {
			s.indexes, fields = append(s.indexes, i), append(fields, f)
		}
	}
	meta := in.Metadata()
	s.schema = arrow.NewSchema(fields, &meta)
	return s, nil
}

type stage struct {
	schema  *arrow.Schema
	indexes []int
	names   []string
}

func (s *stage) Schema() *arrow.Schema { return s.schema }

func (s *stage) Apply(_ context.Context, b core.Batch, _ *connectors.Verdicts) (core.Batch, error) {
	b = rows.Rescued(b, memory.DefaultAllocator, s.names, func(string, json.RawMessage) (string, json.RawMessage) { return "", nil })
	defer b.Release()
	return rows.Project(b, s.schema, s.indexes), nil
}
