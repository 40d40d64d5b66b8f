package postgres

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/sinks/internal/copybinary"
	"github.com/penstock/penstock/sinks/internal/hold"
)

// writer writes the rows of one plan in its transaction.
type writer struct {
	*hold.Refusals

	cfg     Config
	tx      pgx.Tx
	rows    *hold.Rows
	table   *table
	columns []copybinary.Column                 // of the table, that the rows have
	stage   string                              // the name of its temporary table
	mine    func(core.Batch) func(row int) bool // nil: every row is this table's
	split   func(context.Context) error         // has parts of the rows be found fast, before they are looked for; nil: they are
}

// copy writes all rows to a table.
func (w *writer) copy(ctx context.Context, into string, columns []copybinary.Column) error {
	return w.apply(ctx, 0, w.rows.Len(), func(ctx context.Context, tx pgx.Tx, lo, hi int64) (bad int64, err error) {
		in := newCopyReader(ctx, w, tx.Conn().TypeMap(), columns, lo, hi)
		_, err = tx.Conn().PgConn().CopyFrom(ctx, in, "COPY "+into+" ("+list(quotedNames(columns))+") FROM STDIN (FORMAT binary)")
		in.Close() // before what it noted is looked at
		if in.err != nil {
			return 0, in.err
		}
		return in.at(line(err)), err
	})
}

// fan is into how many parts rows are split when one of them is refused and the database does not say which. Parts that are
// split again were written for nothing, so few large steps are better than many small ones.
const fan = 8

// apply does something to the rows from lo to, and without, hi, each of which may be refused. do says which row is to
// blame, -1 where it does not know. When the database refuses one, what stands before it is written first, then it is tried
// alone, then the rest.
func (w *writer) apply(ctx context.Context, lo, hi int64, do func(ctx context.Context, tx pgx.Tx, lo, hi int64) (bad int64, err error)) error {
	for lo < hi {
		var bad int64
		err := pgx.BeginFunc(ctx, w.tx, func(tx pgx.Tx) (err error) {
			bad, err = do(ctx, tx, lo, hi)
			return err
		})
		said := ofData(err)
		switch {
		case said == nil:
			return err
		case hi-lo == 1:
			return w.blame(ctx, lo, said)
		case bad < lo || bad >= hi:
			return w.parts(ctx, lo, hi, do)
		}
		if err := w.apply(ctx, lo, bad, do); err != nil {
			return err
		}
		if err := w.apply(ctx, bad, bad+1, do); err != nil {
			return err
		}
		lo = bad + 1
	}
	return nil
}

// parts does to parts of the rows what could not be done to all of them.
func (w *writer) parts(ctx context.Context, lo, hi int64, do func(ctx context.Context, tx pgx.Tx, lo, hi int64) (bad int64, err error)) error {
	if w.split != nil {
		if err := w.split(ctx); err != nil {
			return fmt.Errorf("look for the rows that are refused: %w", err)
		}
		w.split = nil
	}
	for step := (hi - lo + fan - 1) / fan; lo < hi; lo += step {
		if err := w.apply(ctx, lo, min(lo+step, hi), do); err != nil {
			return err
		}
	}
	return nil
}

// blame refuses the row that the database refused alone.
func (w *writer) blame(ctx context.Context, at int64, said *pgconn.PgError) error {
	reason := said.Message
	if said.Detail != "" {
		reason += " (" + said.Detail + ")"
	}
	for p, err := range w.rows.Between(ctx, at, at+1) {
		if err != nil {
			return err
		}
		return w.Refuse(p.Batch, p.From, "postgres_"+said.Code, reason)
	}
	return nil
}

// ofData is what the database said when it refused a row for what the row is, and would again: classes 22 and 23, what a
// trigger raises, and what is too large for an index.
func ofData(err error) *pgconn.PgError {
	var said *pgconn.PgError
	if !errors.As(err, &said) {
		return nil
	}
	switch {
	case strings.HasPrefix(said.Code, "22"), strings.HasPrefix(said.Code, "23"), said.Code == "P0001", strings.HasPrefix(said.Code, "54"):
		return said
	}
	return nil
}

var lineOf = regexp.MustCompile(`^COPY .*, line ([0-9]+)`)

// line is the row of a COPY that an error is about, counted from 1; 0 if it does not say.
func line(err error) int64 {
	var said *pgconn.PgError
	if !errors.As(err, &said) {
		return 0
	}
	for text := range strings.SplitSeq(said.Where, "\n") {
		if m := lineOf.FindStringSubmatch(text); m != nil {
			n, _ := strconv.ParseInt(m[1], 10, 64) // digits; too many are no line
			return n
		}
	}
	return 0
}
