// Package parsetimestamp turns a column of texts or numbers into times. A row whose value is no time of the format is
// refused; null stays null. A column that the schema does not have is passed over, since it may appear later.
package parsetimestamp

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/take"
	"github.com/penstock/penstock/transforms/internal/rows"
	"github.com/penstock/penstock/transforms/internal/timefmt"
)

// Config says which column and how it is written.
type Config struct {
	Column   string `yaml:"column" json:"column" jsonschema:"description=The column that becomes a time."`
	Format   string `yaml:"format,omitempty" json:"format,omitempty" jsonschema:"description=rfc3339 (the default); apache; epoch_s; epoch_ms; epoch_us; epoch_ns; a Java pattern such as yyyy-MM-dd HH:mm:ss; a strptime pattern; a Go layout."`
	Timezone string `yaml:"timezone,omitempty" json:"timezone,omitempty" jsonschema:"description=Of texts that name none. Default UTC."`
}

// Transform parses one column.
type Transform struct {
	column string
	format *timefmt.Format
	mem    memory.Allocator
}

var _ connectors.Transform = (*Transform)(nil)

// Option changes a Transform.
type Option func(*Transform)

// WithAllocator takes memory for columns from mem.
func WithAllocator(mem memory.Allocator) Option { return func(t *Transform) { t.mem = mem } }

// New checks the configuration.
func New(cfg Config, opts ...Option) (*Transform, error) {
	if cfg.Column == "" || core.IsHidden(cfg.Column) {
		return nil, fmt.Errorf("parse_timestamp: column %q is not a column's name: %w", cfg.Column, core.ErrInvalid)
	}
	zone, err := time.LoadLocation(cfg.Timezone)
	if err != nil {
		return nil, fmt.Errorf("parse_timestamp: timezone %q: %w: %w", cfg.Timezone, err, core.ErrInvalid)
	}
	f, err := timefmt.New(cfg.Format, zone)
	if err != nil {
		return nil, fmt.Errorf("parse_timestamp: %w", err)
	}
	t := &Transform{cfg.Column, f, memory.DefaultAllocator}
	for _, o := range opts {
		o(t)
	}
	return t, nil
}

// Columns names the column.
func (t *Transform) Columns() []string { return []string{t.column} }

// Bind returns an error when the column can hold no time of the format. A column of times stays as it is.
func (t *Transform) Bind(in *arrow.Schema) (connectors.Stage, error) {
	s := &stage{t: t, schema: in, at: -1}
	at := in.FieldIndices(t.column)
	if len(at) == 0 {
		return s, nil
	}
	unit := arrow.Microsecond
	switch dt := in.Field(at[0]).Type; dt.ID() {
	case arrow.TIMESTAMP:
		return s, nil
	case arrow.STRING, arrow.NULL:
	case arrow.INT64, arrow.FLOAT64:
		if t.format.Epoch() == 0 {
			return nil, fmt.Errorf("parse_timestamp: column %s is %s; use the format epoch_s or epoch_ms: %w", t.column, dt, core.ErrInvalid)
		}
	default:
		return nil, fmt.Errorf("parse_timestamp: column %s is %s, which is no time: %w", t.column, dt, core.ErrInvalid)
	}
	s.dt = &arrow.TimestampType{Unit: unit, TimeZone: "UTC"}
	s.schema, s.at = rows.With(in, arrow.Field{Name: t.column, Type: s.dt, Nullable: true})
	return s, nil
}

type stage struct {
	t      *Transform
	schema *arrow.Schema
	at     int // -1: nothing to do
	dt     *arrow.TimestampType
}

func (s *stage) Schema() *arrow.Schema { return s.schema }

func (s *stage) Apply(ctx context.Context, b core.Batch, v *connectors.Verdicts) (core.Batch, error) {
	if s.at < 0 {
		b.Retain()
		return b, nil
	}
	col := b.Rows.Column(s.at)
	tb := array.NewTimestampBuilder(s.t.mem, s.dt)
	defer tb.Release()
	bad := make([]bool, col.Len())
	refused := false
	for i := range col.Len() {
		if col.IsNull(i) {
			tb.AppendNull()
			continue
		}
		t, err := s.parse(col, i)
		if err != nil {
			v.Refuse(b, i, "bad_timestamp", fmt.Sprintf("column %s: %v", s.t.column, err))
			bad[i], refused = true, true
			tb.AppendNull()
			continue
		}
		tb.Append(arrow.Timestamp(t.UnixMicro()))
	}
	out := rows.Put(b, s.schema, s.at, tb.NewArray())
	if !refused {
		return out, nil
	}
	defer out.Release()
	return take.Without(ctx, s.t.mem, out, bad)
}

func (s *stage) parse(col arrow.Array, i int) (time.Time, error) {
	switch c := col.(type) {
	case *array.String:
		return s.t.format.Parse(c.Value(i))
	case *array.Int64:
		return s.t.format.FromInt(c.Value(i))
	case *array.Float64:
		return s.t.format.FromDouble(c.Value(i))
	default:
		return time.Time{}, fmt.Errorf("%s is no time", col.DataType())
	}
}
