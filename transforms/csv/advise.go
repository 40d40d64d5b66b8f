package csv

import (
	"fmt"
	"slices"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/transforms/internal/columns"
)

var _ connectors.Adviser = (*Decoder)(nil)

// advised is how many records are looked at.
const advised = 100

// Advise says that the first row looks like the names of the columns: where no header was asked for, it is a row, and makes
// every column text. It looks so where its fields are texts, all different, and some field of the rows after it never is.
func (d *Decoder) Advise(raw core.Batch) string {
	data, err := columns.Data(raw)
	if err != nil || d.dialect.header || len(d.dialect.columns) > 0 {
		return ""
	}
	r := newReader(d.dialect)
	var names []string
	var rest []shape
	for i := range min(data.Len(), advised) {
		if r.read(data.Value(i)) != nil {
			return ""
		}
		from := 0
		for _, to := range r.ends {
			row := r.fields[from:to]
			from = to
			if rest == nil {
				if names = r.texts(row); names == nil {
					return ""
				}
				rest = make([]shape, len(names))
				continue
			}
			for j, f := range row[:min(len(row), len(rest))] {
				if !r.isNull(f) {
					rest[j].see(r.value(f, &r.buf))
				}
			}
		}
	}
	if !slices.ContainsFunc(rest, func(h shape) bool { return h.any && !h.text }) {
		return ""
	}
	return fmt.Sprintf("the first row looks like the names of the columns (%s, ...): set header: true in source.decode.csv", names[0])
}

// texts are the fields of a row, or nil where one is no text or stands twice.
func (r *reader) texts(row []field) []string {
	var out []string
	for _, f := range row {
		var h shape
		text := r.value(f, &r.buf)
		if h.see(text); r.isNull(f) || !h.text || len(text) == 0 || slices.Contains(out, string(text)) {
			return nil
		}
		out = append(out, string(text))
	}
	return out
}
