package json

import (
	"context"
	"fmt"
	"sync"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// Config is `decode: {json: {}}`; there is nothing to set.
type Config struct{}

// Decoder decodes JSON. It is safe for concurrent use.
type Decoder struct {
	idle sync.Pool // of *decoding
}

var _ connectors.Decoder = (*Decoder)(nil)

// New returns a decoder.
func New(Config) (*Decoder, error) { return &Decoder{}, nil }

// decoding is the decoding of one batch. Its buffers serve many, one after the other.
type decoding struct {
	scanner
	schema  *arrow.Schema
	out     *arrow.Schema // with the hidden columns
	top     *column       // a struct of the schema's columns but _rescued
	rescued *column       // nil where the schema has none
	drift   bool
	left    []leftover // of the row in hand
	from    []int32    // which record each row came from
	ords    []int32
}

// Decode parses raw into rows of schema.
func (d *Decoder) Decode(_ context.Context, raw core.Batch, schema *arrow.Schema, v *connectors.Verdicts) (core.Batch, bool, error) {
	data, ok := raw.Rows.Column(core.HiddenColumns).(*array.Binary)
	if !ok {
		return core.Batch{}, false, fmt.Errorf("the data column has type %s, want binary: %w", raw.Rows.Column(core.HiddenColumns).DataType(), core.ErrInvalid)
	}
	p, _ := d.idle.Get().(*decoding)
	if p == nil || p.schema != schema {
		for _, f := range schema.Fields() {
			if !supported(f.Type) {
				return core.Batch{}, false, connectors.Permanent(fmt.Errorf("column %s: JSON has no values of type %s: %w", f.Name, f.Type, core.ErrInvalid))
			}
		}
		p = newDecoding(schema)
	}
	p.records(data, func(i int, err *syntaxError) { v.Refuse(raw, i, err.code, err.Error()) })
	rows, drift := raw.WithRows(p.record(raw)), p.drift
	p.reset()
	d.idle.Put(p)
	return rows, drift, nil
}

func newDecoding(schema *arrow.Schema) *decoding {
	p := &decoding{schema: schema, out: core.SchemaOf(schema.Fields()...)}
	fields := schema.Fields()
	if i := len(fields) - 1; i >= 0 && fields[i].Name == core.RescuedColumn {
		p.rescued = newColumn(core.RescuedColumn, fields[i].Type)
		fields = fields[:i]
	}
	p.top = &column{typ: arrow.StructOf(), store: structs}
	p.top.setFields(fields)
	return p
}

// records decodes every record of data, and calls refuse for each that is refused, of which nothing stays.
func (p *decoding) records(data *array.Binary, refuse func(i int, err *syntaxError)) {
	values, offsets := data.ValueBytes(), data.ValueOffsets()
	record, ord := 0, int32(0)
	one := func() *syntaxError {
		if err := p.row(); err != nil {
			return err
		}
		p.from, p.ords = append(p.from, int32(record)), append(p.ords, ord) //nolint:gosec // an index in the batch
		ord++
		return nil
	}
	for record = range data.Len() {
		before, drift := p.top.n, p.drift
		p.to(values, int(offsets[record]-offsets[0]), int(offsets[record+1]-offsets[0]))
		ord = 0
		if err := p.rows(one); err != nil {
			p.undo(before)
			p.drift = drift // nothing of a refused record is wanted
			refuse(record, err)
		}
	}
}

// undo drops the rows from n on.
func (p *decoding) undo(n int) {
	for _, k := range p.top.kids {
		k.truncate(n)
	}
	if p.rescued != nil {
		p.rescued.truncate(n)
	}
	p.top.n, p.from, p.ords = n, p.from[:n], p.ords[:n]
}

// reset makes p ready for another batch. It keeps no record alive.
func (p *decoding) reset() {
	p.undo(0)
	p.scanner = scanner{key: p.key}
	p.drift = false
	clear(p.left[:cap(p.left)])
}
