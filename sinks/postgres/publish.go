package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
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
		refused, err := st.write(ctx, tx, *p)
		if err != nil {
			return err
		}
		if err := settleVerdict(ctx, p, refused, decide); err != nil {
			return err
		}
		connectors.Step(ctx, "written")
		return st.sink.settle(ctx, tx, *p)
	})
}

// settleVerdict makes durable which rows the database refused, before the transaction commits without them.
func settleVerdict(ctx context.Context, p *connectors.Plan, refused []connectors.Reject, decide connectors.Decide) error {
	switch {
	case len(refused) == 0:
		return nil
	case p.Decided:
		return fmt.Errorf("plan %d: which rows the database refuses was decided before, and now it refuses %d more, the first %s %s: %s",
			p.Number, len(refused), refused[0].Shard, refused[0].Seq, refused[0].Reason)
	}
	stands, err := decide(ctx, refused)
	if err != nil {
		return err
	}
	p.Decided, p.Rejects = true, stands
	if !slices.EqualFunc(stands, refused, func(a, b connectors.Reject) bool { return identityOf(a) == identityOf(b) }) {
		return errAnother
	}
	return nil
}

// identity tells a row from all others.
type identity struct {
	shard core.ShardID
	seq   core.SequenceNumber
	ord   int32
}

func identityOf(r connectors.Reject) identity { return identity{r.Shard, r.Seq, r.Ord} }

// write writes the rows and returns those that the database refused, beside those that the plan has as refused already.
func (st *staging) write(ctx context.Context, tx pgx.Tx, p connectors.Plan) ([]connectors.Reject, error) {
	if st.rows.Len() == 0 {
		return nil, nil
	}
	t, err := st.sink.evolve(ctx, tx, st.schema)
	if err != nil {
		return nil, err
	}
	into, err := st.sink.into(t, st.schema)
	if err != nil {
		return nil, err
	}
	w := &writer{cfg: st.sink.cfg, tx: tx, rows: st.rows, table: t, columns: into, skip: map[identity]bool{}}
	for _, r := range p.Rejects {
		w.skip[identityOf(r)] = true
	}
	if st.sink.cfg.Mode == modeUpsert {
		err = w.upsert(ctx)
	} else {
		err = w.copy(ctx, t.name, into)
	}
	return w.refused, err
}
