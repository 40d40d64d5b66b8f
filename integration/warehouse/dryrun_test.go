//go:build unix

package warehouse

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/servers"
)

// TestADryRunShowsWhatTheTableNeeds has what it shows be run, by the sink where it may and by hand where it may not, after
// which nothing more is shown and the rows go in.
func TestADryRunShowsWhatTheTableNeeds(t *testing.T) {
	db := servers.PostgresFor(t)
	for i, x := range []struct{ evolve, ddl, shown string }{
		{"none", "", `CREATE TABLE "t" ("id" bigint, "total" double precision, "tags" text[], "geo" jsonb);`},
		{"none", `CREATE TABLE t (id bigint, "total" real)`, `ALTER TABLE public.t ADD COLUMN "tags" text[], ADD COLUMN "geo" jsonb;`},
		{"add", "", `CREATE TABLE "t" ("id" bigint, "total" double precision, "tags" text[], "geo" jsonb);`},
		{"add", "CREATE TABLE t (id bigint, total float, tags text[])", `ALTER TABLE public.t ADD COLUMN "geo" jsonb;`},
		{"widen", "CREATE TABLE t (id int, total int, tags text[], geo json)", `ALTER TABLE public.t ALTER COLUMN "id" TYPE bigint, ALTER COLUMN "total" TYPE double precision;`},
	} {
		t.Run(x.evolve+" "+x.ddl, func(t *testing.T) {
			c := &campaign{}
			name := fmt.Sprint("dry", i)
			c.exec(t, db.URL, "CREATE DATABASE "+name)
			url := strings.Replace(db.URL, "/postgres?", "/"+name+"?", 1)
			c.exec(t, url, x.ddl)
			r := &runner{c: c, dir: t.TempDir(), wire: &wire{URL: url}}
			for name, text := range map[string]string{
				"samples": `{"id":3000000000,"total":0.5,"tags":["a"],"geo":{"city":"x"}}` + "\n",
				"p.yaml":  "version: 1\nname: p\nsource: {file: {paths: [samples]}, decode: {json: {}}}\nsink: {postgres: {url: '${DATABASE_URL}', table: t, evolve: " + x.evolve + "}}\n",
			} {
				require.NoError(t, os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600))
			}
			said := r.penstock(t, nil, "dry-run", "p.yaml")
			head := "the destination would be changed with the first rows\n  CREATE SCHEMA IF NOT EXISTS \"_penstock\";"
			require.Contains(t, said, head)
			require.Contains(t, said, "  "+x.shown+"\n")
			if x.evolve == "none" {
				require.Contains(t, said, "the pipeline would wait until somebody has run\n  "+x.shown)
				c.exec(t, url, x.shown)
			}
			r.penstock(t, nil, "run", "p.yaml")
			require.NotContains(t, r.penstock(t, nil, "dry-run", "p.yaml"), "destination")
			conn, err := pgx.Connect(t.Context(), url)
			require.NoError(t, err)
			var row string
			require.NoError(t, conn.QueryRow(t.Context(), "SELECT concat_ws(' ', id, total, tags, geo) FROM t").Scan(&row))
			require.NoError(t, conn.Close(t.Context()))
			require.Equal(t, `3000000000 0.5 {a} {"city":"x"}`, strings.ReplaceAll(row, `": "`, `":"`))
		})
	}
	t.Run("a database that is away", func(t *testing.T) {
		r := &runner{dir: t.TempDir(), wire: &wire{URL: "postgres://u:canary@127.0.0.1:1/none"}}
		require.NoError(t, os.WriteFile(filepath.Join(r.dir, "p.yaml"), []byte("version: 1\nname: p\nsource: {stream: s, decode: {json: {}}}\nsink: {postgres: {url: '${DATABASE_URL}', table: t}}\n"), 0o600))
		cmd := r.command(t.Context(), t, "never:1", "dry-run", "p.yaml", "--from", "-")
		cmd.Stdin = bytes.NewReader([]byte("{\"id\":1}\n"))
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "the destination was not asked what it lacks: ")
		require.Contains(t, string(out), `"id":1`)
		require.NotContains(t, string(out), "canary")
	})
}
