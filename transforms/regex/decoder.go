package regex

import (
	"bytes"
	"context"
	"regexp"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/transforms/internal/columns"
)

// Decoder decodes by a regular expression. It is safe for concurrent use.
type Decoder struct {
	re    *regexp.Regexp
	names []string // of the groups; the first is the whole match
}

var _ connectors.Decoder = (*Decoder)(nil)

// New returns a decoder.
func New(cfg Config) (*Decoder, error) {
	re, names, err := cfg.compile()
	if err != nil {
		return nil, err
	}
	return &Decoder{re, names}, nil
}

// Decode parses raw into rows of schema.
func (d *Decoder) Decode(_ context.Context, raw core.Batch, schema *arrow.Schema, v *connectors.Verdicts) (core.Batch, bool, error) {
	data, err := columns.Data(raw)
	if err != nil {
		return core.Batch{}, false, err
	}
	rows, err := columns.NewRows(schema, data.Len())
	if err != nil {
		return core.Batch{}, false, err
	}
	cols := d.columns(rows)
	for i := range data.Len() {
		if code, reason := d.record(rows, cols, data.Value(i), i); code != "" {
			v.Refuse(raw, i, code, reason)
		}
	}
	return rows.Batch(raw), rows.Drift, nil
}

// columns are those of the groups; nil where the schema has none.
func (d *Decoder) columns(rows *columns.Rows) []*columns.Column {
	out := make([]*columns.Column, len(d.names))
	for i, name := range d.names {
		if name != "" {
			out[i] = rows.Column(name)
		}
	}
	return out
}

// record decodes one record, or says why not.
func (d *Decoder) record(rows *columns.Rows, cols []*columns.Column, text []byte, index int) (code, reason string) {
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	if !utf8.Valid(text) {
		return "bad_utf8", "the record is not UTF-8"
	}
	m := d.re.FindSubmatchIndex(text)
	if m == nil {
		return "no_match", "the record does not match the regular expression"
	}
	for i, name := range d.names {
		if name == "" || m[2*i] < 0 {
			continue
		}
		if value := text[m[2*i]:m[2*i+1]]; cols[i] == nil || !cols[i].Text(value) {
			rows.Rescue(name, value)
		}
	}
	rows.End(index, 0)
	return "", ""
}

// Widen returns schema with a column for each group that it lacks. _rescued joins them when a record has what they
// cannot hold.
func (d *Decoder) Widen(schema *arrow.Schema, raw core.Batch, _ map[string]bool) (*arrow.Schema, error) {
	data, err := columns.Data(raw)
	if err != nil {
		return nil, err
	}
	var made []arrow.Field
	for _, name := range d.names {
		if name != "" {
			made = append(made, arrow.Field{Name: name, Type: arrow.BinaryTypes.String, Nullable: true})
		}
	}
	return columns.Extend(schema, made, func(next *arrow.Schema) (bool, error) { return d.leavesOver(data, next) })
}

// leavesOver reports whether some record has what the schema cannot hold: only declared types may not.
func (d *Decoder) leavesOver(data *array.Binary, schema *arrow.Schema) (bool, error) {
	rows, err := columns.NewRows(schema, data.Len())
	if err != nil {
		return false, err
	}
	cols := d.columns(rows)
	for i := range data.Len() {
		if d.record(rows, cols, data.Value(i), i); rows.Drift {
			return true, nil
		}
	}
	return false, nil
}
