package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/penstock/penstock/sinks/internal/copybinary"
)

// stage is the temporary table that rows pass on their way; its columns beside the table's own.
const (
	stageName    = "_penstock_stage"
	stageN       = "_penstock_n"
	stageSeq     = "_penstock_seq"
	stageDeletes = "_penstock_deletes"
)

// upsert copies the rows to a temporary table, and has the last of each key take its place.
func (w *writer) upsert(ctx context.Context) error {
	into := slices.Clone(w.columns)
	beside := "NULL::bigint AS " + stageN
	into = append(into, copybinary.Column{Name: stageN, From: besideN, OID: pgtype.Int8OID, Type: "bigint"})
	if w.cfg.OrderBy != "" {
		beside += ", NULL::numeric AS " + stageSeq
		into = append(into, copybinary.Column{Name: stageSeq, From: besideSeq, OID: pgtype.NumericOID, Type: "numeric"})
	}
	if w.cfg.DeleteWhen != "" {
		beside += ", NULL::boolean AS " + stageDeletes
		into = append(into, copybinary.Column{Name: stageDeletes, From: w.cfg.DeleteWhen, OID: pgtype.BoolOID, Type: "boolean"})
	}
	for _, name := range append(slices.Clone(w.cfg.Key), w.cfg.OrderBy) {
		if name != "" && !slices.ContainsFunc(w.columns, func(c copybinary.Column) bool { return c.Name == name }) {
			return fmt.Errorf("the rows have no column %q, which the key or order_by of table %s names", name, w.cfg.Table)
		}
	}
	_, err := w.tx.Exec(ctx, fmt.Sprintf("CREATE TEMPORARY TABLE %s ON COMMIT DROP AS SELECT %s, %s FROM %s WITH NO DATA",
		w.stage, list(quotedNames(w.columns)), beside, w.table.name))
	if err != nil {
		return fmt.Errorf("make a temporary table: %w", err)
	}
	if err := w.copy(ctx, w.stage, into); err != nil {
		return err
	}
	w.split = func(ctx context.Context) error {
		_, err := w.tx.Exec(ctx, fmt.Sprintf("CREATE INDEX ON %s (%s); ANALYZE %s (%s)", w.stage, stageN, w.stage, stageN), pgx.QueryExecModeSimpleProtocol)
		return err
	}
	merge := w.merge()
	return w.apply(ctx, 0, w.rows.Len(), func(ctx context.Context, tx pgx.Tx, lo, hi int64) (int64, error) {
		_, err := tx.Exec(ctx, merge, lo, hi)
		return -1, err
	})
}

// merge is the statement that has rows of the temporary table, from the $1-th to before the $2-th, take their places: of
// each key the last one, by the column of order_by where there is one.
func (w *writer) merge() string {
	keys := make([]string, len(w.cfg.Key))
	var same []string
	for i, k := range w.cfg.Key {
		keys[i] = quoted(k)
		same = append(same, "t."+quoted(k)+" = l."+quoted(k))
	}
	order, newer, newerThan := stageN+" DESC", "", ""
	if by := quoted(w.cfg.OrderBy); w.cfg.OrderBy != "" {
		order = by + " DESC NULLS LAST, " + stageSeq + " DESC, " + order
		newer = " WHERE t." + by + " IS NULL OR excluded." + by + " >= t." + by
		newerThan = " AND (t." + by + " IS NULL OR l." + by + " >= t." + by + ")"
	}
	var sets []string
	for _, c := range w.columns {
		if !slices.Contains(w.cfg.Key, c.Name) {
			sets = append(sets, quoted(c.Name)+" = excluded."+quoted(c.Name))
		}
	}
	onConflict := "DO NOTHING"
	if len(sets) > 0 {
		onConflict = "DO UPDATE SET " + list(sets) + newer
	}
	names := list(quotedNames(w.columns))
	var sql strings.Builder
	fmt.Fprintf(&sql, "WITH latest AS (SELECT DISTINCT ON (%s) * FROM %s WHERE %s >= $1 AND %s < $2 ORDER BY %s, %s)", list(keys), w.stage, stageN, stageN, list(keys), order)
	kept := ""
	if w.cfg.DeleteWhen != "" {
		fmt.Fprintf(&sql, ", gone AS (DELETE FROM %s t USING latest l WHERE l.%s AND %s%s)", w.table.name, stageDeletes, strings.Join(same, " AND "), newerThan)
		kept = " WHERE " + stageDeletes + " IS NOT TRUE"
	}
	fmt.Fprintf(&sql, " INSERT INTO %s AS t (%s) SELECT %s FROM latest%s ON CONFLICT (%s) %s", w.table.name, names, names, kept, list(keys), onConflict)
	return sql.String()
}
