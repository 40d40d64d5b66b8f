package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/jackc/pgx/v5"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/sinks/internal/copybinary"
)

// table is the table as the database has it.
type table struct {
	name    string // quoted, with its schema
	columns []column
	unique  [][]string // the columns of each unique index that has no condition
}

type column struct {
	name     string
	oid      uint32 // of the type; that of the base type of a domain
	typ      string // for people
	enum     bool
	computed bool // the database makes its values
}

func (t *table) column(name string) *column {
	if i := slices.IndexFunc(t.columns, func(c column) bool { return c.name == name }); i >= 0 {
		return &t.columns[i]
	}
	return nil
}

const (
	findTable   = "SELECT c.oid, format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)"
	findColumns = `WITH RECURSIVE base(attnum, typ) AS (
	SELECT attnum, atttypid FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped
	UNION ALL SELECT b.attnum, t.typbasetype FROM base b JOIN pg_type t ON t.oid = b.typ WHERE t.typtype = 'd')
SELECT a.attname, t.oid, format_type(a.atttypid, a.atttypmod), t.typtype = 'e', a.attgenerated <> '' OR a.attidentity = 'a'
FROM pg_attribute a JOIN base b USING (attnum) JOIN pg_type t ON t.oid = b.typ AND t.typtype <> 'd'
WHERE a.attrelid = $1 ORDER BY a.attnum`
	findIndexes = `SELECT array_agg(a.attname::text) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL GROUP BY i.indexrelid`
)

// look reads what the database says of the table; nil where it is not there.
func (s *Sink) look(ctx context.Context, tx pgx.Tx) (*table, error) {
	t := &table{}
	var oid uint32
	err := tx.QueryRow(ctx, findTable, ident(s.cfg.Table)).Scan(&oid, &t.name)
	if err == pgx.ErrNoRows { //nolint:errorlint // never wrapped
		return nil, nil //nolint:nilnil // there is none
	} else if err != nil {
		return nil, fmt.Errorf("look for table %s: %w", s.cfg.Table, err)
	}
	rows, err := tx.Query(ctx, findColumns, oid)
	if err != nil {
		return nil, err
	}
	t.columns, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c column, err error) {
		return c, row.Scan(&c.name, &c.oid, &c.typ, &c.enum, &c.computed)
	})
	if err != nil {
		return nil, err
	}
	if rows, err = tx.Query(ctx, findIndexes, oid); err != nil {
		return nil, err
	}
	t.unique, err = pgx.CollectRows(rows, pgx.RowTo[[]string])
	return t, err
}

// into are the columns of the table that rows of a schema are written to, in the table's order. What the table has no column
// for of those that are needed, and what it cannot take, is an error with its cure.
func (s *Sink) into(t *table, schema, needed *arrow.Schema) ([]copybinary.Column, error) {
	var out []copybinary.Column
	for _, c := range t.columns {
		if !schema.HasField(c.name) || s.cfg.marks(c.name) && c.computed {
			continue
		}
		if c.computed {
			return nil, fmt.Errorf("table %s makes the values of column %q itself: drop it from the rows, with drop: [%s]", s.cfg.Table, c.name, c.name)
		}
		out = append(out, copybinary.Column{Name: c.name, From: c.name, OID: c.oid, Type: c.typ, Text: c.enum})
	}
	var missing []string
	for _, f := range core.VisibleFields(needed) {
		if t.column(f.Name) == nil && !s.cfg.marks(f.Name) && f.Name != core.RescuedColumn && f.Type.ID() != arrow.NULL {
			missing = append(missing, "ADD COLUMN "+quoted(f.Name)+" "+typeOf(f.Type))
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("table %s lacks columns that the rows have; the pipeline waits for: ALTER TABLE %s %s; or have it done with evolve: add, or drop them in a stage",
			s.cfg.Table, t.name, strings.Join(missing, ", "))
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("table %s has none of the rows' columns", s.cfg.Table)
	}
	return out, nil
}

// list joins names that are quoted.
func list(names []string) string { return strings.Join(names, ", ") }

func quotedNames(columns []copybinary.Column) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = quoted(c.Name)
	}
	return out
}
