package logline

import (
	"bytes"
	"context"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/transforms/internal/columns"
)

// columnsOf are the columns by field.
var columnsOf = [fields]arrow.Field{
	clientIP:  {Name: "client_ip", Type: arrow.BinaryTypes.String, Nullable: true},
	ident:     {Name: "ident", Type: arrow.BinaryTypes.String, Nullable: true},
	user:      {Name: "user", Type: arrow.BinaryTypes.String, Nullable: true},
	at:        {Name: "time", Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true},
	method:    {Name: "method", Type: arrow.BinaryTypes.String, Nullable: true},
	path:      {Name: "path", Type: arrow.BinaryTypes.String, Nullable: true},
	protocol:  {Name: "protocol", Type: arrow.BinaryTypes.String, Nullable: true},
	request:   {Name: "request", Type: arrow.BinaryTypes.String, Nullable: true},
	status:    {Name: "status", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	size:      {Name: "bytes", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	referrer:  {Name: "referrer", Type: arrow.BinaryTypes.String, Nullable: true},
	userAgent: {Name: "user_agent", Type: arrow.BinaryTypes.String, Nullable: true},
}

// restField is the name under which what follows a line's fields is rescued.
const restField = "rest"

// Decoder decodes access logs. It is safe for concurrent use.
type Decoder struct{ format string }

var _ connectors.Decoder = (*Decoder)(nil)

// New returns a decoder.
func New(cfg Config) (*Decoder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Format == "" {
		cfg.Format = combined
	}
	return &Decoder{cfg.Format}, nil
}

// fields are those that lines of the format have.
func (d *Decoder) fields() []arrow.Field {
	if d.format == common {
		return columnsOf[:referrer]
	}
	return columnsOf[:]
}

// decoding is the decoding of one batch.
type decoding struct {
	line
	rows *columns.Rows
	cols [fields]*columns.Column // nil where the schema has none
	buf  []byte
}

func (d *Decoder) newDecoding(schema *arrow.Schema, n int) (*decoding, error) {
	rows, err := columns.NewRows(schema, n)
	if err != nil {
		return nil, err
	}
	p := &decoding{rows: rows}
	for i, f := range d.fields() {
		p.cols[i] = rows.Column(f.Name)
	}
	return p, nil
}

// Decode parses the lines of raw into rows of schema.
func (d *Decoder) Decode(_ context.Context, raw core.Batch, schema *arrow.Schema, v *connectors.Verdicts) (core.Batch, bool, error) {
	data, err := columns.Data(raw)
	if err != nil {
		return core.Batch{}, false, err
	}
	p, err := d.newDecoding(schema, data.Len())
	if err != nil {
		return core.Batch{}, false, err
	}
	for i := range data.Len() {
		before, drift := p.rows.Len(), p.rows.Drift
		if err := d.record(p, data.Value(i), i); err != nil {
			p.rows.Undo(before, drift)
			v.Refuse(raw, i, err.code, err.Error())
		}
	}
	return p.rows.Batch(raw), p.rows.Drift, nil
}

// record decodes the lines of the record at an index.
func (d *Decoder) record(p *decoding, b []byte, index int) *lineError {
	if !utf8.Valid(b) {
		return &lineError{"bad_utf8", firstBad(b), "the line is not UTF-8"}
	}
	ord := 0
	for start := 0; start < len(b); {
		end := len(b)
		if i := bytes.IndexByte(b[start:], '\n'); i >= 0 {
			end = start + i
		}
		if text := bytes.TrimSuffix(b[start:end], []byte("\r")); len(text) > 0 {
			if err := p.scan(text, d.format); err != nil {
				err.offset += start
				return err
			}
			p.row()
			p.rows.End(index, ord)
			ord++
		}
		start = end + 1
	}
	if ord == 0 {
		return &lineError{"empty", 0, "the record is empty"}
	}
	return nil
}

// firstBad is where b stops being UTF-8.
func firstBad(b []byte) int {
	i := 0
	for i < len(b) {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		i += n
	}
	return i
}

// row puts the line into the columns. What they cannot hold is rescued as it stands in the line.
func (p *decoding) row() {
	for f, text := range p.text {
		if text == nil {
			continue
		}
		c := p.cols[f]
		if f >= method && f != status && f != size && bytes.IndexByte(text, '\\') >= 0 {
			p.buf = unescape(p.buf[:0], text)
			text = p.buf
		}
		switch {
		case c == nil:
			p.rows.Rescue(columnsOf[f].Name, text)
		case f == at && c.Type.ID() == arrow.TIMESTAMP:
			if !c.Micros(p.micros) {
				p.rows.Rescue(c.Name, text)
			}
		case !c.Text(plain(f, c, text)):
			p.rows.Rescue(c.Name, text)
		}
	}
	if p.rest != nil {
		p.rows.Rescue(restField, p.rest)
	}
}

// plain takes the zeros that lead a number, such as nginx's status 000, off, where a column of numbers is to hold it.
func plain(f int, c *columns.Column, text []byte) []byte {
	if f != status && f != size || c.Type.ID() == arrow.STRING || c.Type.ID() == arrow.BINARY {
		return text
	}
	for len(text) > 1 && text[0] == '0' {
		text = text[1:]
	}
	return text
}

// Widen returns schema with the columns of the format that it lacks. _rescued joins them when a line has what they
// cannot hold.
func (d *Decoder) Widen(schema *arrow.Schema, raw core.Batch, _ map[string]bool) (*arrow.Schema, error) {
	data, err := columns.Data(raw)
	if err != nil {
		return nil, err
	}
	return columns.Extend(schema, d.fields(), func(next *arrow.Schema) (bool, error) { return d.leavesOver(data, next) })
}

// leavesOver reports whether some line has what the schema cannot hold.
func (d *Decoder) leavesOver(data *array.Binary, schema *arrow.Schema) (bool, error) {
	p, err := d.newDecoding(schema, data.Len())
	if err != nil {
		return false, err
	}
	for i := range data.Len() {
		if d.record(p, data.Value(i), i) == nil && p.rows.Drift {
			return true, nil
		}
		p.rows.Undo(0, false)
	}
	return false, nil
}
