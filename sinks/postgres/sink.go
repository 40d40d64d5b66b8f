package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/sinks/internal/hold"
)

// Sink loads a table, or those of a route. It is safe for concurrent use.
type Sink struct {
	cfg    Config
	pool   *pgxpool.Pool
	tables []*Sink // one of each table, in the order of their names; this one itself without a route
	value  string  // of the route's column, that leads to this table
}

var (
	_ connectors.Sink      = (*Sink)(nil)
	_ connectors.Prober    = (*Sink)(nil)
	_ connectors.Adopter   = (*Sink)(nil)
	_ connectors.Publisher = (*Sink)(nil)
	_ connectors.Verifier  = (*Sink)(nil)
	_ connectors.Former    = (*Sink)(nil)
)

// Open returns a sink over a table. Connections are made when they are needed.
func Open(ctx context.Context, cfg Config) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	p, err := cfg.pool()
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, p)
	if err != nil {
		return nil, err
	}
	s := &Sink{cfg: cfg, pool: pool}
	for value, t := range cfg.Tables {
		s.tables = append(s.tables, &Sink{cfg: cfg.to(t), pool: pool, value: value})
	}
	slices.SortFunc(s.tables, func(a, b *Sink) int { return strings.Compare(a.cfg.Table, b.cfg.Table) })
	if s.tables == nil {
		s.tables = []*Sink{s}
	}
	return s, nil
}

// name is what rows are refused by.
func (s *Sink) name() string {
	if s.cfg.Route != "" {
		return "the table of route " + s.cfg.Route
	}
	return "table " + s.cfg.Table
}

// Columns are those whose types matter to the sink.
func (s *Sink) Columns() []string { return s.cfg.Columns() }

// Close ends the connections.
func (s *Sink) Close(context.Context) error {
	s.pool.Close()
	return nil
}

// Probe returns a clear error when the table is not there and is not to be made, or cannot be written as the mode needs.
func (s *Sink) Probe(ctx context.Context) error {
	return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		for _, to := range s.tables {
			t, err := to.look(ctx, tx)
			if err == nil && t == nil {
				err = to.missing(ctx, tx)
			} else if err == nil {
				err = to.usable(t)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// missing is the error of a table that is not there and is not to be made; it may be made before the first rows come.
func (s *Sink) missing(ctx context.Context, tx pgx.Tx) error {
	if s.cfg.Evolve != evolveNone {
		return nil
	}
	var database string
	if err := tx.QueryRow(ctx, "SELECT current_database()").Scan(&database); err != nil {
		return err
	}
	return fmt.Errorf("database %s has no table %s: make it, or have it made with evolve: add", database, s.cfg.Table)
}

// Incarnations are those of the pipeline that left plans in the ledger.
func (s *Sink) Incarnations(ctx context.Context, pipeline string) ([]string, error) {
	if there, err := s.ledgerIsThere(ctx); err != nil || !there {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, "SELECT DISTINCT incarnation FROM "+s.ledger("plans")+" WHERE pipeline = $1 ORDER BY 1", pipeline)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Repeats says what a table has of rows that are written again.
func (s *Sink) Repeats() string {
	if s.cfg.Route != "" {
		return "each table by its mode: with append, rows that are read again are there twice; with upsert, they take the place of those of their keys"
	}
	if s.cfg.Mode == modeUpsert {
		return "the table has a row once for each key: rows that are read again take the place of those that are there, also of later ones until these are read again too, unless order_by tells which is later"
	}
	return "mode: append: rows that are read again are in the table twice. Remove them first, if they are to be there once"
}

// Published reports whether the plan stands in the ledger.
func (s *Sink) Published(ctx context.Context, p connectors.Plan) (found bool, err error) {
	if there, err := s.ledgerIsThere(ctx); err != nil || !there {
		return false, err
	}
	err = s.pool.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM "+s.ledger("plans")+" WHERE (pipeline, incarnation, plan) = ($1, $2, $3))",
		p.Pipeline, p.Incarnation, p.Number).Scan(&found)
	return found, err
}

// Verify proves from the ledger that spans follow each other and end at the checkpoints. What others did to the table's
// rows it cannot know, so deep adds nothing.
func (s *Sink) Verify(ctx context.Context, pipeline string, _ bool) (connectors.VerifyReport, error) {
	proof := connectors.NewProof(pipeline)
	if there, err := s.ledgerIsThere(ctx); err != nil || !there {
		return proof.Report(), err
	}
	var plans []connectors.Plan
	var stands map[string]string
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		if plans, err = s.plans(ctx, tx, pipeline); err == nil {
			stands, err = s.stands(ctx, tx, pipeline)
		}
		return err
	})
	if err != nil {
		return proof.Report(), err
	}
	proof = hold.ProofOf(pipeline, plans)
	for _, shard := range proof.Report().Shards {
		key := shard.Incarnation + "/" + shard.Source + "/" + string(shard.Shard)
		if at, ok := stands[key]; !ok || at != string(shard.Through) {
			proof.Problem("%s: its plans end at %q, its checkpoint in the database stands at %q", shard.Shard, shard.Through, at)
		}
	}
	return hold.ReportOf(proof, plans), nil
}

// plans reads the plans of a pipeline in order.
func (s *Sink) plans(ctx context.Context, tx pgx.Tx, pipeline string) ([]connectors.Plan, error) {
	rows, err := tx.Query(ctx, "SELECT manifest::text FROM "+s.ledger("plans")+" WHERE pipeline = $1 ORDER BY incarnation, plan", pipeline)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (p connectors.Plan, err error) {
		var text string
		if err := row.Scan(&text); err != nil {
			return p, err
		}
		return p, json.Unmarshal([]byte(text), &p)
	})
}

// stands reads where the checkpoints of a pipeline stand, by incarnation, source and shard.
func (s *Sink) stands(ctx context.Context, tx pgx.Tx, pipeline string) (map[string]string, error) {
	rows, err := tx.Query(ctx, "SELECT incarnation || '/' || source || '/' || shard, seq FROM "+s.ledger("checkpoints")+" WHERE pipeline = $1", pipeline)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	var key, seq string
	_, err = pgx.ForEachRow(rows, []any{&key, &seq}, func() error {
		out[key] = seq
		return nil
	})
	return out, err
}

// usable returns what keeps a table from being loaded as the mode needs.
func (s *Sink) usable(t *table) error {
	if s.cfg.Mode != modeUpsert || slices.ContainsFunc(t.unique, func(of []string) bool { return sameSet(of, s.cfg.Key) }) {
		return nil
	}
	columns := make([]string, len(s.cfg.Key))
	for i, k := range s.cfg.Key {
		if t.column(k) == nil {
			return fmt.Errorf("table %s has no column %q, which the key names", s.cfg.Table, k)
		}
		columns[i] = quoted(k)
	}
	return fmt.Errorf("table %s has no unique index of the key, which tells rows apart: CREATE UNIQUE INDEX ON %s (%s)", s.cfg.Table, t.name, list(columns))
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

// errStanding says that the checkpoints in the database are not where a plan begins.
var errStanding = errors.New("the database's checkpoint is not where the plan begins")
