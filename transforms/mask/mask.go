// Package mask replaces the characters of texts by *, but for the last few. Null stays null. A column that the schema
// does not have is passed over, since it may appear later.
package mask

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/transforms/internal/rows"
)

// Config says which columns, and what stays readable.
type Config struct {
	Columns  []string `yaml:"columns" json:"columns" jsonschema:"description=Columns of text."`
	KeepLast int      `yaml:"keep_last,omitempty" json:"keep_last,omitempty" jsonschema:"description=How many characters at the end stay. A text no longer than this is masked whole. Default 0."`
}

// Transform masks columns.
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
	if len(cfg.Columns) == 0 || cfg.KeepLast < 0 || slices.ContainsFunc(cfg.Columns, core.IsHidden) {
		return nil, fmt.Errorf("mask wants columns, and keep_last of 0 or more: %w", core.ErrInvalid)
	}
	t := &Transform{cfg, memory.DefaultAllocator}
	for _, o := range opts {
		o(t)
	}
	return t, nil
}

// Columns names the columns that are masked.
func (t *Transform) Columns() []string { return slices.Clone(t.cfg.Columns) }

// Bind returns an error when a column does not hold text.
func (t *Transform) Bind(in *arrow.Schema) (connectors.Stage, error) {
	s := &stage{mem: t.mem, schema: in, names: t.cfg.Columns, keep: t.cfg.KeepLast}
	for _, name := range t.cfg.Columns {
		for _, at := range in.FieldIndices(name) {
			switch dt := in.Field(at).Type; dt.ID() {
			case arrow.STRING:
				s.at = append(s.at, at)
			case arrow.NULL:
			default:
				return nil, fmt.Errorf("mask: column %s is %s, not text; hash it, or make it text by compute: %w", name, dt, core.ErrInvalid)
			}
		}
	}
	return s, nil
}

type stage struct {
	mem    memory.Allocator
	schema *arrow.Schema
	names  []string
	at     []int
	keep   int
}

func (s *stage) Schema() *arrow.Schema { return s.schema }

func (s *stage) Apply(_ context.Context, b core.Batch, _ *connectors.Verdicts) (core.Batch, error) {
	b = rows.Rescued(b, s.mem, s.names, func(name string, v json.RawMessage) (string, json.RawMessage) {
		if string(v) == "null" {
			return name, v
		}
		return name, rows.Quoted(maskText(rows.Plain(v), s.keep))
	})
	for _, at := range s.at {
		next := rows.Put(b, s.schema, at, s.mask(b.Rows.Column(at).(*array.String)))
		b.Release()
		b = next
	}
	return b, nil
}

func (s *stage) mask(col *array.String) arrow.Array {
	sb := array.NewStringBuilder(s.mem)
	defer sb.Release()
	for i := range col.Len() {
		if col.IsNull(i) {
			sb.AppendNull()
			continue
		}
		sb.Append(maskText(col.Value(i), s.keep))
	}
	return sb.NewArray()
}

func maskText(text string, keep int) string {
	n := utf8.RuneCountInString(text)
	if n <= keep {
		return strings.Repeat("*", n)
	}
	tail := len(text)
	for range keep {
		_, size := utf8.DecodeLastRuneInString(text[:tail])
		tail -= size
	}
	return strings.Repeat("*", n-keep) + text[tail:]
}
