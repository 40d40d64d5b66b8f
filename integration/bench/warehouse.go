package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/pipelines"
	"github.com/penstock/penstock/sinks/postgres"
	"github.com/penstock/penstock/transforms/json"
)

// The files that others than the sink load: what the sink loaded, as PostgreSQL wrote it down.
const (
	textFile   = "events.copy.txt"
	binaryFile = "events.copy.bin"
	database   = "DATABASE_URL"
)

// rowsOfFlush are the sizes of flushes; memory is not to follow them.
var rowsOfFlush = []int{50_000, 1_000_000}

// warehouse measures how fast a table of PostgreSQL is loaded, from the log and from prepared files.
func (b *bench) warehouse(ctx context.Context, out io.Writer) error {
	if err := os.Chmod(b.dir, 0o711); err != nil { //nolint:gosec // PostgreSQL's user has its cluster below
		return err
	}
	db, err := servers.StartPostgres(ctx, b.dir, "shared_buffers=512MB", "max_wal_size=8GB", "checkpoint_timeout=1h")
	if err != nil {
		return err
	}
	defer db.Kill()
	if err := os.Setenv(database, db.URL); err != nil { // the jobs have it from here
		return err
	}
	if _, err := b.child(ctx, "warehouse/prepare", 2); err != nil {
		return err
	}
	jobs := []struct{ name, what string }{
		{"binary", "prepared file -> COPY BINARY"},
		{"psql", "prepared file -> psql \\copy"},
		{"staging", "prepared file -> COPY BINARY to a temporary table, INSERT ON CONFLICT"},
	}
	for _, mode := range []string{"append", "upsert"} {
		for _, rows := range rowsOfFlush {
			jobs = append(jobs, struct{ name, what string }{fmt.Sprintf("%s/%d", mode, rows), fmt.Sprintf("stream of 4 shards -> %s, %d rows a flush", mode, rows)})
		}
	}
	runs := map[string][]figures{}
	for range b.rounds {
		for _, j := range jobs {
			f, err := b.child(ctx, "warehouse/"+j.name, 2)
			if err != nil {
				return err
			}
			runs[j.name] = append(runs[j.name], f)
		}
	}
	_, _ = fmt.Fprint(out, "\nPostgreSQL, 2 cores, beside its server; MB of JSON; ratios are those of each round, above 1 ours is faster:\n\n"+
		"| what | rows/s | MB/s | of its measure | peak memory, MB |\n|---|---|---|---|---|\n")
	for _, j := range jobs {
		measure, ratio := "", "–"
		switch mode, _, _ := strings.Cut(j.name, "/"); mode {
		case "append":
			measure = "binary"
		case "upsert":
			measure = "staging"
		}
		if measure != "" {
			pairs := make([]pair, b.rounds)
			for i := range pairs {
				pairs[i] = pair{runs[j.name][i], runs[measure][i]}
			}
			ratio = ratios(perSecond, pairs).with(2)
		}
		_, _ = fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", j.what, spreadOf(func(f figures) float64 { return float64(f.Records) / f.Wall }, runs[j.name]),
			spreadOf(perSecond, runs[j.name]), ratio, spreadOf(func(f figures) float64 { return float64(f.Peak) / 1e6 }, runs[j.name]))
	}
	return nil
}

// warehouseJob is one of warehouse.
func warehouseJob(ctx context.Context, f figures, name string, text []byte, dir, work string) (figures, error) {
	db, err := pgx.Connect(ctx, os.Getenv(database))
	if err != nil {
		return f, err
	}
	defer db.Close(ctx) //nolint:errcheck // the bench's own database
	job, rows, _ := strings.Cut(name, "/")
	if job == "prepare" {
		return f, prepare(ctx, db, f, text, dir, work)
	}
	if _, err := db.Exec(ctx, "TRUNCATE plain, keyed; CHECKPOINT"); err != nil {
		return f, err
	}
	switch job {
	case "binary":
		return measure(f, func() error { return copyFile(ctx, db, "plain", dir) })
	case "psql":
		return measure(f, func() error {
			return exec.CommandContext(ctx, "psql", "-q", "-c", `\copy plain from `+filepath.Join(dir, textFile), os.Getenv(database)).Run() //nolint:gosec // a path made here
		})
	case "staging":
		return measure(f, func() error { return staging(ctx, db, dir) })
	case "append":
		return loadJob(ctx, f, text, work, "table: plain, evolve: none", rows)
	case "upsert":
		return loadJob(ctx, f, text, work, "table: keyed, mode: upsert, key: [event_id], evolve: none", rows)
	}
	return f, fmt.Errorf("there is no such job: %w", core.ErrInvalid)
}

// prepare makes both tables and the files.
func prepare(ctx context.Context, db *pgx.Conn, f figures, text []byte, dir, work string) error {
	if _, err := loadJob(ctx, f, text, work, "table: plain, evolve: add", "100000"); err != nil {
		return err
	}
	if _, err := db.Exec(ctx, "CREATE TABLE keyed (LIKE plain, PRIMARY KEY (event_id))"); err != nil {
		return err
	}
	for name, form := range map[string]string{textFile: "text", binaryFile: "binary"} {
		out, err := os.Create(filepath.Join(dir, name)) //nolint:gosec // in the bench's folder
		if err != nil {
			return err
		}
		_, err = db.PgConn().CopyTo(ctx, out, "COPY plain TO STDOUT (FORMAT "+form+")")
		if err = errors.Join(err, out.Close()); err != nil {
			return err
		}
	}
	return nil
}

// copyFile sends the prepared rows to a table.
func copyFile(ctx context.Context, db *pgx.Conn, table, dir string) error {
	in, err := os.Open(filepath.Join(dir, binaryFile)) //nolint:gosec // in the bench's folder
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it was only read
	_, err = db.PgConn().CopyFrom(ctx, in, "COPY "+table+" FROM STDIN (FORMAT binary)")
	return err
}

// staging has the prepared rows take the places of those with their keys.
func staging(ctx context.Context, db *pgx.Conn, dir string) error {
	return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "CREATE TEMPORARY TABLE stage (LIKE keyed) ON COMMIT DROP"); err != nil {
			return err
		}
		if err := copyFile(ctx, tx.Conn(), "stage", dir); err != nil {
			return err
		}
		var sets string
		err := tx.QueryRow(ctx, "SELECT string_agg(format('%1$I = excluded.%1$I', attname), ', ') FROM pg_attribute WHERE attrelid = 'keyed'::regclass AND attnum > 0 AND attname <> 'event_id'").Scan(&sets)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO keyed SELECT * FROM stage ON CONFLICT (event_id) DO UPDATE SET "+sets)
		return err
	})
}

// loadJob puts the events into a stream, and measures how it is loaded.
func loadJob(ctx context.Context, f figures, text []byte, work, how, rows string) (figures, error) {
	r := pipelines.NewRegistry()
	pipelines.AddDecoder(r, "json", json.New)
	pipelines.AddSink(r, "postgres", postgres.Open)
	spec, err := r.Load("load.yaml", fmt.Appendf(nil, `version: 1
name: load-%d
source: {stream: events, decode: {json: {}}}
buffer: {max_records: %s, max_bytes: 1GiB}
sink: {postgres: {url: '${%s}', %s}}
`, os.Getpid(), rows, database, how), os.LookupEnv)
	if err != nil {
		return f, err
	}
	node, err := pipelines.OpenNode(ctx, filepath.Join(work, "data"))
	if err != nil {
		return f, err
	}
	if err := putAll(ctx, node, text); err != nil {
		return f, errors.Join(err, node.Close())
	}
	f, err = measure(f, func() error { return node.Run(ctx, r, spec, pipelines.RunOptions{UntilCaughtUp: true}) })
	return f, errors.Join(err, node.Close())
}
