// Package rename gives columns other names. A column that the schema does not have is passed over, since it may appear
// later. Values do not change.
package rename

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

// Config maps old names to new ones: {ip: client_ip}. All renames happen at once, so that names can be swapped.
type Config map[string]string

// Transform renames columns.
type Transform struct{ names map[string]string }

var _ connectors.Transform = (*Transform)(nil)

// New checks the names.
func New(cfg Config) (*Transform, error) {
	if len(cfg) == 0 {
		return nil, fmt.Errorf("rename names no column: %w", core.ErrInvalid)
	}
	taken := map[string]string{}
	for _, from := range sorted(cfg) {
		to := cfg[from]
		switch other, twice := taken[to]; {
		case from == "" || to == "" || core.IsHidden(from) || core.IsHidden(to):
			return nil, fmt.Errorf("rename %q to %q: not a column's name: %w", from, to, core.ErrInvalid)
		case twice:
			return nil, fmt.Errorf("rename: both %s and %s would be called %s: %w", other, from, to, core.ErrInvalid)
		}
		taken[to] = from
	}
	return &Transform{cfg}, nil
}

func sorted(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// Columns is empty: types do not matter here.
func (*Transform) Columns() []string { return nil }

// Bind returns an error when a new name is that of a column that keeps its own.
func (t *Transform) Bind(in *arrow.Schema) (connectors.Stage, error) {
	fields := slices.Clone(in.Fields())
	seen := map[string]string{}
	indexes := make([]int, len(fields))
	for i, f := range fields {
		indexes[i] = i
		if to, ok := t.names[f.Name]; ok {
			fields[i].Name = to
		}
		if other, ok := seen[fields[i].Name]; ok {
			return nil, fmt.Errorf("rename: columns %s and %s would both be called %s; drop one or choose another name: %w", other, f.Name, fields[i].Name, core.ErrInvalid)
		}
		seen[fields[i].Name] = f.Name
	}
	meta := in.Metadata()
	return &stage{arrow.NewSchema(fields, &meta), indexes, t.names, sorted(t.names)}, nil
}

type stage struct {
	schema  *arrow.Schema
	indexes []int
	names   map[string]string
	from    []string
}

func (s *stage) Schema() *arrow.Schema { return s.schema }

func (s *stage) Apply(_ context.Context, b core.Batch, _ *connectors.Verdicts) (core.Batch, error) {
	b = rows.Rescued(b, memory.DefaultAllocator, s.from, func(name string, v json.RawMessage) (string, json.RawMessage) {
		return s.names[name], v
	})
	defer b.Release()
	return rows.Project(b, s.schema, s.indexes), nil
}
