package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/penstock/penstock/connectors"
)

// ledger is the quoted name of a table of the ledger.
func (s *Sink) ledger(table string) string { return quoted(s.cfg.Ledger) + "." + quoted(table) }

const makeLedger = `CREATE SCHEMA IF NOT EXISTS {schema};
CREATE TABLE IF NOT EXISTS {schema}.checkpoints (
	pipeline text COLLATE "C", incarnation text COLLATE "C", source text COLLATE "C", shard text COLLATE "C",
	seq text NOT NULL, plan bigint NOT NULL, moved_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (pipeline, incarnation, source, shard));
CREATE TABLE IF NOT EXISTS {schema}.plans (
	pipeline text COLLATE "C", incarnation text COLLATE "C", plan bigint,
	manifest json NOT NULL, committed_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (pipeline, incarnation, plan))`

func (s *Sink) ledgerIsThere(ctx context.Context) (found bool, err error) {
	err = s.pool.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", s.ledger("plans")).Scan(&found)
	if err != nil {
		err = fmt.Errorf("look for the ledger in schema %s: %w", s.cfg.Ledger, err)
	}
	return found, err
}

// ledgerSQL makes the ledger.
func (s *Sink) ledgerSQL() string {
	return strings.ReplaceAll(makeLedger, "{schema}", quoted(s.cfg.Ledger))
}

// openLedger makes the ledger where it is not there, in a transaction of its own. Whoever may not make schemas has it made.
func (s *Sink) openLedger(ctx context.Context) error {
	if there, err := s.ledgerIsThere(ctx); err != nil || there {
		return err
	}
	sql := s.ledgerSQL()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := lockName(ctx, tx, s.cfg.Ledger); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol) // several statements
		return err
	})
	if err != nil {
		return fmt.Errorf("make the tables of the ledger: %w; have somebody who may run:\n%s", err, sql)
	}
	return nil
}

// lockName has those who would make the same thing wait for each other, until the transaction ends.
func lockName(ctx context.Context, tx pgx.Tx, name string) error {
	_, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended('penstock ' || $1, 0))", name)
	return err
}

// claim locks the checkpoints of a plan's shards, in their order, and those that are new begin where the plan does. done says
// that the plan is in the database already; otherwise all checkpoints stand where it begins, or the error is errStanding.
func (s *Sink) claim(ctx context.Context, tx pgx.Tx, p connectors.Plan) (done bool, err error) {
	sources, shards, from, _ := columnsOf(p)
	_, err = tx.Exec(ctx, "INSERT INTO "+s.ledger("checkpoints")+` (pipeline, incarnation, source, shard, seq, plan)
SELECT $1, $2, source, shard, seq, $6 FROM unnest($3::text[], $4::text[], $5::text[]) AS of(source, shard, seq)
ORDER BY source COLLATE "C", shard COLLATE "C" ON CONFLICT DO NOTHING`, p.Pipeline, p.Incarnation, sources, shards, from, p.Number)
	if err != nil {
		return false, err
	}
	rows, err := tx.Query(ctx, "SELECT c.source, c.shard, c.seq, c.plan FROM "+s.ledger("checkpoints")+` c
JOIN unnest($3::text[], $4::text[]) AS of(source, shard) ON c.source = of.source AND c.shard = of.shard
WHERE c.pipeline = $1 AND c.incarnation = $2 ORDER BY c.source, c.shard FOR UPDATE OF c`, p.Pipeline, p.Incarnation, sources, shards)
	if err != nil {
		return false, err
	}
	type standing struct {
		Source, Shard, Seq string
		Plan               int64
	}
	stand, err := pgx.CollectRows(rows, pgx.RowToStructByPos[standing])
	if err != nil {
		return false, err
	}
	err = tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM "+s.ledger("plans")+" WHERE (pipeline, incarnation, plan) = ($1, $2, $3))",
		p.Pipeline, p.Incarnation, p.Number).Scan(&done)
	if err != nil || done {
		return done, err
	}
	for _, at := range stand {
		i := slices.IndexFunc(p.Spans, func(span connectors.PlanSpan) bool { return span.Source == at.Source && string(span.Shard) == at.Shard })
		if at.Seq != from[i] {
			return false, connectors.Permanent(fmt.Errorf("%s: %w: it stands at %q since plan %d, plan %d begins after %q. Was the database restored from an older state? "+
				"Then rows are missing in it: load the table anew with penstock pipelines reset", at.Shard, errStanding, at.Seq, at.Plan, p.Number, from[i]))
		}
	}
	return false, nil
}

// columnsOf are the spans of a plan as columns.
func columnsOf(p connectors.Plan) (sources, shards, from, through []string) {
	for _, span := range p.Spans {
		sources, shards = append(sources, span.Source), append(shards, string(span.Shard))
		from, through = append(from, string(span.ProofFrom)), append(through, string(span.Through))
	}
	return sources, shards, from, through
}

// settle moves the checkpoints to the plan's ends and writes its manifest.
func (s *Sink) settle(ctx context.Context, tx pgx.Tx, p connectors.Plan) error {
	manifest, err := json.Marshal(p)
	if err != nil {
		return err
	}
	sources, shards, _, through := columnsOf(p)
	_, err = tx.Exec(ctx, "UPDATE "+s.ledger("checkpoints")+` c SET seq = of.seq, plan = $6, moved_at = now()
FROM unnest($3::text[], $4::text[], $5::text[]) AS of(source, shard, seq)
WHERE c.pipeline = $1 AND c.incarnation = $2 AND c.source = of.source AND c.shard = of.shard`, p.Pipeline, p.Incarnation, sources, shards, through, p.Number)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO "+s.ledger("plans")+" (pipeline, incarnation, plan, manifest) VALUES ($1, $2, $3, $4::json)",
		p.Pipeline, p.Incarnation, p.Number, string(manifest))
	return err
}
