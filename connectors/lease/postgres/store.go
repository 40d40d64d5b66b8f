package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
)

// Config says where the rows are.
type Config struct {
	Pool   *pgxpool.Pool
	Schema string // that has the table, made if it is not there. Default _penstock
	// Unreachable is told of each try that failed and will be made again. May be nil.
	Unreachable func(attempt int, wait time.Duration, err error)
}

// Store is rows in a table. Its methods mean what those of control.Store do. While the database cannot be reached, reading
// waits for it, and a commit's outcome is unknown. It is safe for concurrent use.
type Store struct {
	cfg                        Config
	sequence                   string // of versions
	getSQL, listSQL, commitSQL string
}

// Open makes the table if it is not there. While the database cannot be reached it waits.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Schema == "" {
		cfg.Schema = "_penstock"
	}
	if cfg.Unreachable == nil {
		cfg.Unreachable = func(int, time.Duration, error) {}
	}
	schema := pgx.Identifier{cfg.Schema}.Sanitize()
	in := strings.NewReplacer("{schema}", schema)
	s := &Store{cfg: cfg, sequence: schema + ".control_version", getSQL: in.Replace(getSQL), listSQL: in.Replace(listSQL), commitSQL: in.Replace(commitSQL)}
	if err := s.ask(ctx, func() error { return s.make(ctx, in.Replace(makeSQL)) }); err != nil {
		return nil, fmt.Errorf("make the table of rows in schema %s: %w", schema, err)
	}
	return s, nil
}

// make makes the table, one process at a time: IF NOT EXISTS alone fails where two do it at once.
func (s *Store) make(ctx context.Context, sql string) error {
	return pgx.BeginFunc(ctx, s.cfg.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext('penstock control rows'))"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, sql)
		return err
	})
}

// Versions come from one sequence, so that a row that is made again never has one that it had before.
const (
	makeSQL = `CREATE SCHEMA IF NOT EXISTS {schema};
CREATE SEQUENCE IF NOT EXISTS {schema}.control_version;
CREATE TABLE IF NOT EXISTS {schema}.control (
	key text COLLATE "C" PRIMARY KEY, value bytea NOT NULL, version bigint NOT NULL)`
	getSQL  = `SELECT value, version FROM {schema}.control WHERE key = $1`
	listSQL = `SELECT key, value, version FROM {schema}.control WHERE key >= $1 AND starts_with(key, $1) ORDER BY key`
	// The one statement of a commit: its checks and its writes see one state of the table, and the transaction around it is
	// serializable, so that a check holds also of rows that are not there.
	commitSQL = `WITH wrong AS (
	SELECT c.key FROM unnest($1::text[], $2::bigint[]) AS c(key, version) LEFT JOIN {schema}.control t ON t.key = c.key
	WHERE coalesce(t.version, 0) <> c.version
), now AS (
	SELECT nextval($6::text::regclass) AS version WHERE NOT EXISTS (SELECT 1 FROM wrong)
), gone AS (
	DELETE FROM {schema}.control t USING now WHERE t.key = ANY($3::text[])
), written AS (
	INSERT INTO {schema}.control AS t (key, value, version) SELECT w.key, w.value, now.version FROM unnest($4::text[], $5::bytea[]) AS w(key, value), now
	ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version
)
SELECT coalesce((SELECT version FROM now), 0), coalesce((SELECT min(key) FROM wrong), '')`
)

// Get reads a row; false if there is none.
func (s *Store) Get(ctx context.Context, key string) (control.Row, bool, error) {
	r := control.Row{Key: key}
	found := false
	err := s.ask(ctx, func() error {
		err := s.cfg.Pool.QueryRow(ctx, s.getSQL, key).Scan(&r.Value, &r.Version)
		found = err == nil
		if errors.Is(err, pgx.ErrNoRows) {
			err = nil
		}
		return err
	})
	if err != nil || !found {
		return control.Row{}, false, wrap(err, "read row "+key)
	}
	return r, true, nil
}

// List reads the rows whose keys begin with prefix, in order of their keys.
func (s *Store) List(ctx context.Context, prefix string) (out []control.Row, err error) {
	err = s.ask(ctx, func() error {
		rows, err := s.cfg.Pool.Query(ctx, s.listSQL, prefix)
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[control.Row])
		return err
	})
	return out, wrap(err, "list rows "+prefix)
}

// Commit makes t happen and returns the version of the rows it wrote. Errors mean what those of control.Store.Commit do.
func (s *Store) Commit(ctx context.Context, t control.Txn) (int64, error) {
	for attempt := 1; ; attempt++ {
		version, err := s.commit(ctx, t)
		switch refused := (*pgconn.PgError)(nil); {
		case err == nil, errors.Is(err, control.ErrConflict):
			return version, err
		case !errors.As(err, &refused) || transient(refused): // the database cannot be reached, or ended
			return 0, fmt.Errorf("%w: %w", control.ErrUnknown, err)
		case !serialization(refused):
			return 0, fmt.Errorf("commit %d rows: %w", len(t.Writes), err)
		case attempt == 10: // nothing was written, and the rows may have changed
			return 0, fmt.Errorf("%w: %w", control.ErrConflict, err)
		}
		if core.Pause(ctx, core.Jitter(time.Duration(attempt)*5*time.Millisecond)) != nil {
			return 0, fmt.Errorf("%w: %w", control.ErrConflict, err)
		}
	}
}

func (s *Store) commit(ctx context.Context, t control.Txn) (version int64, err error) {
	var checks, gone, written []string
	var versions []int64
	var values [][]byte
	for _, c := range t.Checks {
		checks, versions = append(checks, c.Key), append(versions, c.Version)
	}
	for _, w := range t.Writes {
		if w.Value == nil {
			gone = append(gone, w.Key)
		} else {
			written, values = append(written, w.Key), append(values, w.Value)
		}
	}
	err = pgx.BeginTxFunc(ctx, s.cfg.Pool, pgx.TxOptions{IsoLevel: pgx.Serializable}, func(tx pgx.Tx) error {
		var wrong string
		if err := tx.QueryRow(ctx, s.commitSQL, checks, versions, gone, written, values, s.sequence).Scan(&version, &wrong); err != nil {
			return err
		}
		if version == 0 {
			return fmt.Errorf("%s: %w", wrong, control.ErrConflict)
		}
		return nil
	})
	return version, err
}

// serialization reports whether a transaction met another and can be tried again.
func serialization(e *pgconn.PgError) bool { return e.Code == "40001" || e.Code == "40P01" }

// transient reports whether an error is of a server that ends, starts, or has no room now: classes 53, 57P and 58, and 08.
func transient(e *pgconn.PgError) bool {
	return strings.HasPrefix(e.Code, "53") || strings.HasPrefix(e.Code, "57P") || strings.HasPrefix(e.Code, "58") || strings.HasPrefix(e.Code, "08")
}

// Bounds of the wait between two tries.
const (
	firstWait = 50 * time.Millisecond
	maxWait   = 5 * time.Second
)

// ask calls f, which changes nothing, until it is answered, refused, or ctx ends.
func (s *Store) ask(ctx context.Context, f func() error) error {
	return core.Asking{First: firstWait, Most: maxWait, Told: s.cfg.Unreachable, Final: func(err error) bool {
		refused := (*pgconn.PgError)(nil)
		return errors.As(err, &refused) && !transient(refused)
	}}.Ask(ctx, f)
}

func wrap(err error, what string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
