package csv

import (
	"context"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/transforms/internal/columns"
)

// Decoder decodes CSV. It is safe for concurrent use.
type Decoder struct{ dialect dialect }

var (
	_ connectors.Decoder = (*Decoder)(nil)
	_ connectors.Framer  = (*Decoder)(nil)
)

// New returns a decoder.
func New(cfg Config) (*Decoder, error) {
	d, err := cfg.dialect()
	if err != nil {
		return nil, err
	}
	return &Decoder{d}, nil
}

// Framing says how a text is split into records.
func (d *Decoder) Framing() connectors.Framing {
	return connectors.Framing{CSV: true, Header: d.dialect.header, Delimiter: d.dialect.delimiter, Quote: d.dialect.quote}
}

// decoding is the decoding of one batch.
type decoding struct {
	*reader
	rows  *columns.Rows
	cols  []target // by field
	turn  int      // of the names that cols are for
	seen  map[*columns.Column]*shape
	grown bool // a field would be a column of its own under a wider schema
}

// target is where a field goes.
type target struct {
	col  *columns.Column // nil where the schema has none
	name string
	own  bool   // a schema can have a column for it
	seen *shape // of a column of integers: what would make it one of doubles
}

func newDecoding(d dialect, schema *arrow.Schema, n int) (*decoding, error) {
	rows, err := columns.NewRows(schema, n)
	if err != nil {
		return nil, err
	}
	return &decoding{reader: newReader(d), rows: rows, turn: -1, seen: map[*columns.Column]*shape{}}, nil
}

// Decode parses raw into rows of schema.
func (d *Decoder) Decode(_ context.Context, raw core.Batch, schema *arrow.Schema, v *connectors.Verdicts) (core.Batch, bool, error) {
	data, err := columns.Data(raw)
	if err != nil {
		return core.Batch{}, false, err
	}
	p, err := newDecoding(d.dialect, schema, data.Len())
	if err != nil {
		return core.Batch{}, false, err
	}
	for i := range data.Len() {
		if err := p.read(data.Value(i)); err != nil {
			v.Refuse(raw, i, err.code, err.Error())
			continue
		}
		p.record(i)
	}
	return p.rows.Batch(raw), p.drift(), nil
}

// record puts the rows that were read into the columns.
func (p *decoding) record(index int) {
	from := 0
	for ord, to := range p.ends {
		for i, f := range p.fields[from:to] {
			if !p.isNull(f) {
				p.put(p.target(i), p.value(f, &p.buf))
			}
		}
		p.rows.End(index, ord)
		from = to
	}
}

// target is where the field at an index goes.
func (p *decoding) target(i int) target {
	p.name(i)
	if p.turn != p.reader.turn {
		p.cols, p.turn = p.cols[:0], p.reader.turn
		for i, name := range p.names {
			t := target{name: name}
			if p.own(i) {
				t.col, t.own = p.rows.Column(name), true
			}
			if t.col != nil && t.col.Type.ID() == arrow.INT64 {
				if t.seen = p.seen[t.col]; t.seen == nil {
					t.seen = &shape{}
					p.seen[t.col] = t.seen
				}
			}
			p.cols = append(p.cols, t)
		}
	}
	return p.cols[i]
}

// put puts a value into its column. What that cannot hold is rescued.
func (p *decoding) put(t target, text []byte) {
	switch {
	case t.col == nil:
		p.rows.Rescue(t.name, text)
		p.grown = p.grown || t.own && len(p.rows.Columns) < maxColumns
	case !t.col.Text(text):
		p.rows.Rescue(t.name, text)
	}
	if t.seen != nil {
		t.seen.see(text)
	}
}

// drift reports whether a wider schema would hold more.
func (p *decoding) drift() bool {
	for _, s := range p.seen {
		if s.widens() {
			return true
		}
	}
	return p.grown || p.rows.Drift
}
