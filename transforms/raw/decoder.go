package raw

import (
	"context"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/transforms/internal/columns"
)

// Config is `decode: {raw: {}}`.
type Config struct {
	As string `yaml:"as" json:"as,omitempty" jsonschema:"enum=binary,enum=text,description=The type of the column data. Default binary."`
}

// Validate returns what is wrong with c.
func (c Config) Validate() error {
	switch c.As {
	case "", "binary", "text":
		return nil
	}
	return fmt.Errorf("as: unknown %q (have binary, text): %w", c.As, core.ErrInvalid)
}

// Decoder passes records on. It is safe for concurrent use.
type Decoder struct{ field arrow.Field }

var _ connectors.Decoder = (*Decoder)(nil)

// New returns a decoder.
func New(cfg Config) (*Decoder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	f := arrow.Field{Name: core.DataColumn, Type: arrow.BinaryTypes.Binary, Nullable: true}
	if cfg.As == "text" {
		f.Type = arrow.BinaryTypes.String
	}
	return &Decoder{f}, nil
}

// Decode makes each record a row of schema.
func (d *Decoder) Decode(_ context.Context, raw core.Batch, schema *arrow.Schema, v *connectors.Verdicts) (core.Batch, bool, error) {
	data, err := columns.Data(raw)
	if err != nil {
		return core.Batch{}, false, err
	}
	if schema.NumFields() == 1 && schema.Field(0).Name == core.DataColumn && isShared(data, schema.Field(0).Type) {
		return share(raw, data, schema), false, nil
	}
	rows, err := columns.NewRows(schema, data.Len())
	if err != nil {
		return core.Batch{}, false, err
	}
	c := rows.Column(core.DataColumn)
	for i := range data.Len() {
		value := data.Value(i)
		if (c == nil || c.Type.ID() != arrow.BINARY) && !utf8.Valid(value) {
			v.Refuse(raw, i, "bad_utf8", "the record is not UTF-8: {raw: {as: binary}} takes any")
			continue
		}
		if c == nil || !c.Text(value) {
			rows.Rescue(core.DataColumn, value)
		}
		rows.End(i, 0)
	}
	return rows.Batch(raw), rows.Drift, nil
}

// isShared reports whether the records as they are are a column of type t.
func isShared(data *array.Binary, t arrow.DataType) bool {
	switch t.ID() { //nolint:exhaustive // of the others a record is none
	case arrow.BINARY:
		return true
	case arrow.STRING:
		for i := range data.Len() {
			if !utf8.Valid(data.Value(i)) {
				return false
			}
		}
		return true
	}
	return false
}

// share makes the bytes of the records a column, without a copy.
func share(raw core.Batch, data *array.Binary, schema *arrow.Schema) core.Batch {
	from := data.Data()
	to := array.NewData(schema.Field(0).Type, from.Len(), from.Buffers(), nil, from.NullN(), from.Offset())
	defer to.Release()
	col := array.MakeFromData(to)
	defer col.Release()
	cols := append(slices.Clone(raw.Rows.Columns()[:core.HiddenColumns]), col)
	return raw.WithRows(array.NewRecord(core.SchemaOf(schema.Fields()...), cols, raw.NumRows()))
}

// Widen returns schema with the column data.
func (d *Decoder) Widen(schema *arrow.Schema, raw core.Batch, _ map[string]bool) (*arrow.Schema, error) {
	data, err := columns.Data(raw)
	if err != nil {
		return nil, err
	}
	have, rescued := columns.Split(schema)
	out := slices.Clone(have)
	if !slices.ContainsFunc(have, func(f arrow.Field) bool { return f.Name == core.DataColumn }) {
		out = append(out, d.field)
	}
	next := columns.Join(schema, out, rescued != nil)
	if rescued != nil {
		return next, nil
	}
	rows, err := columns.NewRows(next, data.Len())
	if err != nil {
		return nil, err
	}
	c := rows.Column(core.DataColumn)
	for i := range data.Len() {
		if c.Type.ID() != arrow.BINARY && utf8.Valid(data.Value(i)) && !c.Text(data.Value(i)) {
			return columns.Join(schema, out, true), nil
		}
	}
	return next, nil
}
