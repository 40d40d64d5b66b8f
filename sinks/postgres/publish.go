package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/jackc/pgx/v5"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/sinks/internal/hold"
)

// Publish carries the plan out in one transaction, unless that was done.
func (st *staging) Publish(ctx context.Context, p connectors.Plan, decide connectors.Decide) error {
	if err := st.sink.openLedger(ctx); err != nil {
		return err
	}
	for {
		err := st.try(ctx, &p, decide)
		if !errors.Is(err, errAnother) {
			return err
		}
	}
}

// errAnother says that another verdict than ours stands, under which the rows are written anew.
var errAnother = errors.New("another worker's verdict on the rows stands")

// try runs the transaction. The plan's verdict on its rows is in p afterwards.
func (st *staging) try(ctx context.Context, p *connectors.Plan, decide connectors.Decide) error {
	return pgx.BeginFunc(ctx, st.sink.pool, func(tx pgx.Tx) error {
		// What a deferred constraint or trigger says of a row has to be said while the row can be told.
		if _, err := tx.Exec(ctx, "SET CONSTRAINTS ALL IMMEDIATE"); err != nil {
			return err
		}
		done, err := st.sink.claim(ctx, tx, *p)
		if err != nil || done {
			return err
		}
		refused := hold.NewRefusals(st.sink.name(), *p)
		if err := st.write(ctx, tx, refused); err != nil {
			return err
		}
		if same, err := refused.Settle(ctx, p, decide); err != nil {
			return err
		} else if !same {
			return errAnother
		}
		connectors.Step(ctx, "written")
		return st.sink.settle(ctx, tx, *p)
	})
}

// write writes the rows but those that are refused, to which it adds.
func (st *staging) write(ctx context.Context, tx pgx.Tx, refused *hold.Refusals) error {
	for i, p := range st.parts {
		if st.count(p) == 0 {
			continue
		}
		w := &writer{Refusals: refused, cfg: p.to.cfg, tx: tx, rows: st.Rows, stage: fmt.Sprint(stageName, i)}
		if st.sink.cfg.Route != "" {
			w.mine = func(b core.Batch) func(int) bool {
				route := st.route(b)
				return func(row int) bool { return route(row) == p }
			}
		}
		if err := w.write(ctx, p.to, st.Schema, p.needs(st.Schema)); err != nil {
			return err
		}
	}
	return nil
}

// write writes the rows of one table, which is made to hold them first, as far as that is allowed.
func (w *writer) write(ctx context.Context, to *Sink, schema, needed *arrow.Schema) (err error) {
	if w.table, err = to.evolve(ctx, w.tx, needed); err != nil {
		return err
	}
	if w.columns, err = to.into(w.table, schema, needed); err != nil {
		return err
	}
	if w.cfg.Mode == modeUpsert {
		return w.upsert(ctx)
	}
	return w.copy(ctx, w.table.name, w.columns)
}
