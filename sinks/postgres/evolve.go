package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// typeOf is the type that a column of an Arrow type is made with.
func typeOf(t arrow.DataType) string {
	switch t := t.(type) {
	case *arrow.BooleanType:
		return "boolean"
	case *arrow.Int8Type, *arrow.Int16Type, *arrow.Uint8Type:
		return "smallint"
	case *arrow.Int32Type, *arrow.Uint16Type:
		return "integer"
	case *arrow.Int64Type, *arrow.Uint32Type:
		return "bigint"
	case *arrow.Uint64Type:
		return "numeric(20,0)"
	case *arrow.Float32Type:
		return "real"
	case *arrow.Float64Type:
		return "double precision"
	case *arrow.TimestampType:
		return "timestamptz"
	case *arrow.Date32Type, *arrow.Date64Type:
		return "date"
	case *arrow.BinaryType, *arrow.LargeBinaryType, *arrow.FixedSizeBinaryType:
		return "bytea"
	case *arrow.Decimal128Type:
		return fmt.Sprintf("numeric(%d,%d)", t.Precision, t.Scale)
	case *arrow.Decimal256Type:
		return fmt.Sprintf("numeric(%d,%d)", t.Precision, t.Scale)
	case *arrow.ListType:
		switch t.Elem().(type) {
		case *arrow.StructType, *arrow.ListType, *arrow.NullType:
			return "jsonb"
		}
		return typeOf(t.Elem()) + "[]"
	case *arrow.StringType, *arrow.LargeStringType:
		return "text"
	}
	return "jsonb"
}

// wider is the type that a column becomes so that it holds what an Arrow type does; empty where it holds that, or no type
// is wider. Every value that the column has stays what it is.
func wider(c column, t arrow.DataType) string {
	switch t.(type) {
	case *arrow.Int32Type, *arrow.Uint16Type:
		if c.oid == pgtype.Int2OID {
			return "integer"
		}
	case *arrow.Int64Type, *arrow.Uint32Type:
		if c.oid == pgtype.Int2OID || c.oid == pgtype.Int4OID {
			return "bigint"
		}
	case *arrow.Float64Type:
		switch c.oid {
		case pgtype.Int2OID, pgtype.Int4OID, pgtype.Float4OID:
			return "double precision"
		case pgtype.Int8OID:
			return "numeric"
		}
	case *arrow.TimestampType:
		if c.oid == pgtype.DateOID {
			return "timestamptz"
		}
	case *arrow.StringType, *arrow.LargeStringType:
		if c.oid == pgtype.VarcharOID && c.typ != "character varying" {
			return "text"
		}
	}
	return ""
}

// Changes are the statements that the ledger and the table need, as they are now.
func (s *Sink) Changes(ctx context.Context, schema *arrow.Schema) (out []connectors.Change, err error) {
	if s.cfg.Route != "" {
		return nil, errors.New("which columns each table of a route needs is known when rows come")
	}
	there, err := s.ledgerIsThere(ctx)
	if err != nil {
		return nil, err
	}
	if !there {
		out = append(out, connectors.Change{Statement: s.ledgerSQL(), Made: true})
	}
	var t *table
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		t, err = s.look(ctx, tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	evolve := s.cfg.Evolve
	if evolve == evolveNone { // what is missing has to be there all the same
		evolve = evolveAdd
	}
	for _, sql := range s.changes(t, schema, evolve) {
		out = append(out, connectors.Change{Statement: sql, Made: s.cfg.Evolve != evolveNone})
	}
	return out, nil
}

// changes are the statements that make the table hold rows of a schema, as far as evolve lets them.
func (s *Sink) changes(t *table, schema *arrow.Schema, evolve string) []string {
	fields := slices.DeleteFunc(slices.Clone(core.VisibleFields(schema)), func(f arrow.Field) bool {
		return s.cfg.marks(f.Name) && (t == nil || t.column(f.Name) == nil) || f.Type.ID() == arrow.NULL
	})
	typ := func(f arrow.Field) string {
		if f.Name == core.RescuedColumn {
			return "jsonb"
		}
		return typeOf(f.Type)
	}
	switch {
	case evolve == evolveNone:
		return nil
	case t == nil:
		return []string{s.create(fields, typ)}
	}
	var steps []string
	for _, f := range fields {
		c := t.column(f.Name)
		if c == nil {
			steps = append(steps, "ADD COLUMN "+quoted(f.Name)+" "+typ(f))
		} else if to := wider(*c, f.Type); to != "" && evolve == evolveWiden {
			steps = append(steps, "ALTER COLUMN "+quoted(f.Name)+" TYPE "+to+using(*c, to))
		}
	}
	if len(steps) == 0 {
		return nil
	}
	return []string{"ALTER TABLE " + t.name + " " + strings.Join(steps, ", ")}
}

// using has dates become the beginnings of days in UTC, whatever the session's time zone.
func using(c column, to string) string {
	if to == "timestamptz" {
		return " USING " + quoted(c.name) + "::timestamp AT TIME ZONE 'UTC'"
	}
	return ""
}

func (s *Sink) create(fields []arrow.Field, typ func(arrow.Field) string) string {
	defs := make([]string, 0, len(fields)+1)
	for _, f := range fields {
		defs = append(defs, quoted(f.Name)+" "+typ(f))
	}
	if s.cfg.Mode == modeUpsert {
		keys := make([]string, len(s.cfg.Key))
		for i, k := range s.cfg.Key {
			keys[i] = quoted(k)
		}
		defs = append(defs, "PRIMARY KEY ("+list(keys)+")")
	}
	return "CREATE TABLE " + ident(s.cfg.Table) + " (" + list(defs) + ")"
}

// evolve makes the table hold rows of a schema, within the transaction that writes them, and returns it as it is then.
func (s *Sink) evolve(ctx context.Context, tx pgx.Tx, schema *arrow.Schema) (*table, error) {
	t, err := s.look(ctx, tx)
	if err != nil {
		return nil, err
	}
	if len(s.changes(t, schema, s.cfg.Evolve)) > 0 {
		if err := lockName(ctx, tx, s.cfg.Table); err != nil { // another worker may be at it
			return nil, err
		}
		if t, err = s.look(ctx, tx); err != nil {
			return nil, err
		}
		for _, sql := range s.changes(t, schema, s.cfg.Evolve) {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return nil, fmt.Errorf("%s: %w", sql, err)
			}
		}
		if t, err = s.look(ctx, tx); err != nil {
			return nil, err
		}
	}
	if t == nil {
		if err := s.missing(ctx, tx); err != nil {
			return nil, err
		}
		return nil, connectors.Permanent(fmt.Errorf("table %s was not made", s.cfg.Table))
	}
	return t, s.usable(t)
}
