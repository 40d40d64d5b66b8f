package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/sinktest"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/sinks/postgres"
)

// database is a new one on a server.
func database(t *testing.T, server *servers.Postgres, name string) string {
	t.Helper()
	c, err := pgx.Connect(t.Context(), server.URL)
	require.NoError(t, err)
	_, err = c.Exec(t.Context(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	require.NoError(t, c.Close(t.Context()))
	cfg, err := pgx.ParseConfig(server.URL)
	require.NoError(t, err)
	return fmt.Sprintf("postgres://penstock@%s:%d/%s?sslmode=disable", cfg.Host, cfg.Port, name)
}

// rowsOf reads the rows of a table as JSON; none of one that is not there.
func rowsOf(t *testing.T, url, table string) []string {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer c.Close(t.Context()) //nolint:errcheck // it was only read
	var there bool
	require.NoError(t, c.QueryRow(t.Context(), "SELECT to_regclass($1) IS NOT NULL", table).Scan(&there))
	if !there {
		return []string{}
	}
	rows, err := c.Query(t.Context(), "SELECT row_to_json(t)::text FROM "+table+" t")
	require.NoError(t, err)
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return out
}

// hasKey reports whether a row has an id.
func hasKey(line string) bool {
	return strings.Contains(line, `"id":`) && !strings.Contains(line, `"id":null`)
}

func TestTheSinkKeepsItsContract(t *testing.T) {
	server := servers.PostgresFor(t)
	n := 0
	for name, cfg := range map[string]postgres.Config{
		"append": {Table: "public.rows", Evolve: "add"},
		"upsert": {Table: "rows", Evolve: "widen", Mode: "upsert", Key: []string{"id"}},
	} {
		t.Run(name, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Target {
				n++
				url := database(t, server, fmt.Sprintf("suite%d", n))
				return sinktest.Target{
					Open: func(t *testing.T) connectors.Sink {
						cfg.URL = core.NewSecret(url)
						s, err := postgres.Open(t.Context(), cfg)
						require.NoError(t, err)
						t.Cleanup(func() { require.NoError(t, s.Close(t.Context())) })
						return s
					},
					Rows: func(t *testing.T) []string { return rowsOf(t, url, "public.rows") },
					Refuses: func(line string) bool {
						return strings.Contains(line, `\u0000`) || cfg.Mode == "upsert" && !hasKey(line)
					},
				}
			})
		})
	}
}
