package json

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// Config is `decode: {json: {}}`; there is nothing to set.
type Config struct{}

// Decoder decodes JSON. It is safe for concurrent use.
type Decoder struct{}

var _ connectors.Decoder = (*Decoder)(nil)

// New returns a decoder.
func New(Config) (*Decoder, error) { return &Decoder{}, nil }

// decoding is the decoding of one batch.
type decoding struct {
	scanner
	top     *column // a struct of the schema's columns but _rescued
	rescued *column // nil where the schema has none
	drift   bool
	left    []leftover // of the row in hand
	from    []int32    // which record each row came from
	ords    []int32
}

// leftover is a field that its row's columns cannot hold.
type leftover struct {
	name string
	text []byte
}

// Decode parses raw into rows of schema.
func (d *Decoder) Decode(_ context.Context, raw core.Batch, schema *arrow.Schema, v *connectors.Verdicts) (core.Batch, bool, error) {
	data, ok := raw.Rows.Column(core.HiddenColumns).(*array.Binary)
	if !ok {
		return core.Batch{}, false, fmt.Errorf("the data column has type %s, want binary: %w", raw.Rows.Column(core.HiddenColumns).DataType(), core.ErrInvalid)
	}
	for _, f := range schema.Fields() {
		if !supported(f.Type) {
			return core.Batch{}, false, connectors.Permanent(fmt.Errorf("column %s: JSON has no values of type %s: %w", f.Name, f.Type, core.ErrInvalid))
		}
	}
	p := newDecoding(schema)
	for i := range data.Len() {
		before, drift := p.top.n, p.drift
		p.b, p.i, p.depth = data.Value(i), 0, 0
		ord := int32(0)
		err := p.rows(func() *syntaxError {
			if err := p.row(); err != nil {
				return err
			}
			p.from = append(p.from, int32(i)) //nolint:gosec // an index in the batch
			p.ords = append(p.ords, ord)
			ord++
			return nil
		})
		if err != nil {
			p.undo(before)
			p.drift = drift // nothing of a refused record is wanted
			v.Refuse(raw, i, err.code, err.Error())
		}
	}
	return raw.WithRows(p.record(raw, schema)), p.drift, nil
}

func newDecoding(schema *arrow.Schema) *decoding {
	p := &decoding{}
	fields := schema.Fields()
	if i := len(fields) - 1; i >= 0 && fields[i].Name == core.RescuedColumn {
		p.rescued = newColumn(core.RescuedColumn, fields[i].Type)
		fields = fields[:i]
	}
	p.top = &column{typ: arrow.StructOf()}
	p.top.setFields(fields)
	return p
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

// row decodes one object into one row.
func (p *decoding) row() *syntaxError {
	p.left = p.left[:0]
	row := p.top.n
	p.top.next = 0
	err := p.object(func(key []byte) *syntaxError { return p.field(key, row) })
	if err != nil {
		return err
	}
	for _, k := range p.top.kids {
		if k.n == row {
			k.null()
		}
	}
	p.top.n++
	p.rescue()
	return nil
}

// field decodes one field of a row. Of fields with the same name the last one counts.
func (p *decoding) field(key []byte, row int) *syntaxError {
	k := p.top.kid(key)
	if len(p.left) > 0 {
		p.left = slices.DeleteFunc(p.left, func(l leftover) bool { return l.name == string(key) })
	}
	if k == nil {
		name := string(key) // the buffer behind key is used again
		text, err := p.skip()
		if err != nil || string(text) == "null" {
			return err
		}
		p.left = append(p.left, leftover{name, text})
		p.drift = p.drift || p.rescued == nil || !reserved(name) && typed(text)
		return nil
	}
	if k.n > row {
		k.truncate(row)
	}
	p.space()
	start, depth := p.i, p.depth
	fits, err := p.value(k)
	if err != nil || fits {
		return err
	}
	k.truncate(row)
	k.null()
	p.i, p.depth = start, depth
	text, err := p.skip()
	if err != nil {
		return err
	}
	p.left = append(p.left, leftover{k.name, text})
	p.drift = p.drift || p.rescued == nil || widens(k.typ, text)
	return nil
}

// value decodes a value into c, or reports that c cannot hold it; what it appended then is for the caller to drop, and
// where it stands in the text is not said.
func (p *decoding) value(c *column) (fits bool, err *syntaxError) {
	switch b := p.peek(); b {
	case '"':
		text, escaped, err := p.str()
		if err != nil {
			return false, err
		}
		return c.text(text, escaped), nil
	case '{':
		if _, ok := c.typ.(*arrow.StructType); !ok {
			return false, nil
		}
		return p.structure(c)
	case '[':
		if _, ok := c.typ.(*arrow.ListType); !ok {
			return false, nil
		}
		return p.list(c)
	case 't', 'f':
		if c.typ.ID() != arrow.BOOL {
			return false, nil
		}
		if b == 't' {
			err = p.word("true")
			c.bools = append(c.bools, 1)
		} else {
			err = p.word("false")
			c.bools = append(c.bools, 0)
		}
		c.set()
		return true, err
	case 'n':
		c.null()
		return true, p.word("null")
	default:
		if b != '-' && (b < '0' || b > '9') {
			return false, p.bad("a value is missing")
		}
		text, isInt, err := p.number()
		if err != nil {
			return false, err
		}
		return c.number(text, isInt), nil
	}
}

// structure decodes an object into a struct.
func (p *decoding) structure(c *column) (fits bool, err *syntaxError) {
	row := c.n
	fits = true
	c.next = 0
	err = p.object(func(key []byte) *syntaxError {
		k := c.kid(key)
		if k == nil {
			text, err := p.skip()
			fits = fits && string(text) == "null"
			return err
		}
		if !fits {
			_, err := p.skip()
			return err
		}
		if k.n > row {
			k.truncate(row)
		}
		ok, err := p.value(k)
		if err == nil && !ok {
			fits = false
			return errMisfit
		}
		return err
	})
	if err == errMisfit {
		err = nil
	}
	if err != nil || !fits {
		return false, err
	}
	for _, k := range c.kids {
		if k.n == row {
			k.null()
		}
	}
	c.set()
	return true, nil
}

// errMisfit ends the decoding of a value that its column cannot hold; the text is scanned again from its start.
var errMisfit = &syntaxError{code: "misfit"}

// list decodes an array into a list.
func (p *decoding) list(c *column) (fits bool, err *syntaxError) {
	err = p.array(func() *syntaxError {
		ok, err := p.value(c.kids[0])
		if err == nil && !ok {
			return errMisfit
		}
		return err
	})
	if err == errMisfit {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	c.offsets = append(c.offsets, int32(c.kids[0].n)) //nolint:gosec // bounded by the size of a batch
	c.set()
	return true, nil
}

// rescue writes the leftovers of a row.
func (p *decoding) rescue() {
	if p.rescued == nil {
		return
	}
	if len(p.left) == 0 {
		p.rescued.null()
		return
	}
	b := append(p.rescued.data, '{')
	for i, l := range p.left {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, l.name)
		b = append(b, ':')
		b = append(b, l.text...)
	}
	p.rescued.data = append(b, '}')
	p.rescued.offsets = append(p.rescued.offsets, int32(len(p.rescued.data))) //nolint:gosec // bounded by the size of a batch
	p.rescued.set()
}

// appendString appends s as a JSON string.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = fmt.Appendf(b, "\\u%04x", c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// record puts the hidden columns and the decoded ones together.
func (p *decoding) record(raw core.Batch, schema *arrow.Schema) arrow.Record {
	cols := p.hidden(raw)
	for _, k := range p.top.kids {
		cols = append(cols, k.array())
	}
	if p.rescued != nil {
		cols = append(cols, p.rescued.array())
	}
	rec := array.NewRecord(core.SchemaOf(schema.Fields()...), cols, int64(p.top.n))
	for _, c := range cols {
		c.Release()
	}
	return rec
}

// hidden are the hidden columns of the rows; those of raw itself where each record made one row.
func (p *decoding) hidden(raw core.Batch) []arrow.Array {
	n := int(raw.NumRows())
	if len(p.from) == n && !slices.ContainsFunc(p.ords, func(o int32) bool { return o != 0 }) {
		out := slices.Clone(raw.Rows.Columns()[:core.HiddenColumns])
		for _, c := range out {
			c.Retain()
		}
		return out
	}
	handles, arrivals := make([]int64, len(p.from)), make([]int64, len(p.from))
	keys := newColumn("", arrow.BinaryTypes.String)
	for i, r := range p.from {
		handles[i], arrivals[i] = raw.Handles().Value(int(r)), int64(raw.Arrivals().Value(int(r)))
		keys.text([]byte(raw.Keys().Value(int(r))), false)
	}
	flat := func(t arrow.DataType, b []byte) arrow.Array {
		d := array.NewData(t, len(p.from), []*memory.Buffer{nil, memory.NewBufferBytes(b)}, nil, 0, 0)
		defer d.Release()
		return array.MakeFromData(d)
	}
	return []arrow.Array{
		flat(arrow.PrimitiveTypes.Int64, arrow.Int64Traits.CastToBytes(handles)),
		flat(arrow.PrimitiveTypes.Int32, arrow.Int32Traits.CastToBytes(p.ords)),
		flat(core.ArrivalType, arrow.Int64Traits.CastToBytes(arrivals)),
		keys.array(),
	}
}
