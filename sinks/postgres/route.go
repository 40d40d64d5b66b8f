package postgres

import (
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/sinks/internal/rowhash"
)

// part is what of a flush goes to one table. Without a route there is one, and only its table is said.
type part struct {
	to    *Sink
	count int64
	sum   uint64          // of the rows' hashes
	has   map[string]bool // the columns that any row has
}

// needs is the schema of the columns that the table needs: with a route, those of other tables are not among them.
func (p *part) needs(schema *arrow.Schema) *arrow.Schema {
	if p.to.cfg.Route == "" {
		return schema
	}
	var fields []arrow.Field
	for _, f := range core.VisibleFields(schema) {
		if cfg := p.to.cfg; p.has[f.Name] || slices.Contains(cfg.Key, f.Name) || f.Name == cfg.OrderBy { // null though they are
			fields = append(fields, f)
		}
	}
	return core.SchemaOf(fields...)
}

// addRouted takes rows, and notes which table each belongs to and what that needs.
func (st *staging) addRouted(b core.Batch, v *connectors.Verdicts) (err error) {
	if b.NumRows() == 0 {
		return nil
	}
	if st.hashes, err = rowhash.Rows(st.hashes, b.Rows); err != nil {
		return err
	}
	route := st.route(b)
	st.of = st.of[:0]
	for i, h := range st.hashes {
		to := route(i)
		st.of = append(st.of, to)
		if to == nil {
			v.Refuse(b, i, "no_table", st.sink.nowhere(b, i))
			continue
		}
		to.count++
		to.sum += h
	}
	for i, f := range st.Schema.Fields() {
		see(f.Name, b.Rows.Column(i), st.of)
	}
	st.Rows.Add(b)
	return nil
}

// route says which part each row of a batch belongs to; nil for none.
func (st *staging) route(b core.Batch) func(row int) *part {
	values := st.sink.routed(b)
	if values == nil {
		return func(int) *part { return nil }
	}
	parts := make(map[string]*part, len(st.parts))
	for _, p := range st.parts {
		parts[p.to.value] = p
	}
	text, ok := values.(*array.String)
	return func(row int) *part {
		switch {
		case values.IsNull(row):
			return nil
		case ok:
			return parts[text.Value(row)]
		}
		return parts[values.ValueStr(row)]
	}
}

// routed is the column of the route; nil where the rows have none.
func (s *Sink) routed(b core.Batch) arrow.Array {
	if at := b.Rows.Schema().FieldIndices(s.cfg.Route); len(at) > 0 {
		return b.Rows.Column(at[0])
	}
	return nil
}

// nowhere says why a row belongs to no table.
func (s *Sink) nowhere(b core.Batch, row int) string {
	if values := s.routed(b); values != nil && values.IsValid(row) {
		return fmt.Sprintf("no table is named for %.60q, which column %s has", values.ValueStr(row), s.cfg.Route)
	}
	return fmt.Sprintf("column %s, which says the table, is null", s.cfg.Route)
}

// see notes which parts have a value of a column, of rows that belong to these.
func see(name string, a arrow.Array, of []*part) {
	for row, p := range of {
		if p == nil || p.has[name] || a.IsNull(row) {
			continue
		}
		if p.has == nil {
			p.has = map[string]bool{}
		}
		p.has[name] = true
	}
}
