package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/sinktest"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/sinks/postgres"
)

var routed = postgres.Config{Route: "kind", Evolve: "add", Tables: map[string]postgres.Table{
	"order": {Table: "orders", Mode: "upsert", Key: []string{"id"}, DeleteWhen: "gone"},
	"item":  {Table: "items", Mode: "upsert", Key: []string{"id", "line"}},
	"click": {Table: "public.clicks"},
}}

func TestRowsGoToTheTableOfTheirRoute(t *testing.T) {
	l := load(t, servers.PostgresFor(t), "", routed, sinktest.Column("kind", text), sinktest.Column("id", whole), sinktest.Column("line", whole), sinktest.Column("note", text), sinktest.Column("url", text), sinktest.Column("gone", truth))
	types := func(table string) string {
		return strings.Join(l.rows(t, "SELECT attname||' '||format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '"+table+"'::regclass AND attnum > 0 ORDER BY attnum"), ", ")
	}
	require.Empty(t, l.Put(t,
		`{"kind":"order","id":1,"note":"a"}`, `{"kind":"click","id":7,"url":"/"}`, `{"kind":"order","id":2,"note":"b"}`, `{"kind":"click","id":7,"url":"/"}`, `{"kind":"order","id":1,"note":"c","gone":false}`))
	require.Equal(t, "id bigint, note text", types("orders"))
	require.Equal(t, "id bigint, url text", types("clicks"))
	require.Equal(t, []string{"1c", "2b"}, l.rows(t, "SELECT id||note FROM orders ORDER BY 1"))
	require.Equal(t, []string{"7/", "7/"}, l.rows(t, "SELECT id||url FROM clicks"))
	// A table comes with its first row; a column that only others' rows have is not made, and one that no row of a flush has is
	// made null all the same.
	require.Empty(t, l.Put(t, `{"kind":"item","id":1,"line":1,"url":"x"}`, `{"kind":"order","id":1}`, `{"kind":"order","id":2,"gone":true}`, `{"kind":"item","id":1,"line":1,"url":"y"}`))
	require.Equal(t, "id bigint, line bigint, url text", types("items"))
	require.Equal(t, []string{"1-"}, l.rows(t, "SELECT id||coalesce(note, '-') FROM orders"))
	require.Equal(t, []string{"11y"}, l.rows(t, "SELECT concat(id, line, url) FROM items"))
	report, err := l.Verify(t.Context(), "p", false)
	require.NoError(t, err)
	require.Empty(t, report.Problems)
	require.EqualValues(t, 9, report.Rows)
	require.Equal(t, 3, report.Outputs)
}

func TestRowsWithoutARouteAreRefusedBeforeTheyAreWritten(t *testing.T) {
	l := load(t, servers.PostgresFor(t), "", routed, sinktest.Column("kind", text), sinktest.Column("id", whole), sinktest.Column("line", whole), sinktest.Column("note", text))
	st, err := l.Stage(t.Context(), connectors.Flush{Pipeline: "p", Incarnation: "00000000000000aa", Number: 1, Schema: l.Schema})
	require.NoError(t, err)
	var v connectors.Verdicts
	require.NoError(t, st.Add(t.Context(), l.Batch(t, "s", []string{
		`{"kind":"order","id":1}`, `{"kind":"refund","id":2}`, `{"id":3}`, `{"kind":"click","id":4,"note":"\u0000"}`, `{"kind":"order"}`, `{"kind":"click","id":6,"note":"x"}`,
	}), &v))
	require.Len(t, v.Refused, 2)
	require.Equal(t, `no table is named for "refund", which column kind has`, v.Refused[0].Reason)
	require.Equal(t, "column kind, which says the table, is null", v.Refused[1].Reason)
	require.Equal(t, "no_table", v.Refused[1].Code)
	p := connectors.Plan{Pipeline: "p", Incarnation: "00000000000000aa", Number: 1, Spans: []connectors.PlanSpan{{Source: "s", Shard: "s", Through: "6"}}}
	p.Outputs, err = st.Outputs(t.Context())
	require.NoError(t, err)
	require.Len(t, p.Outputs, 2)
	require.EqualValues(t, 2, p.Outputs[0].Rows)
	var refused []string
	decide := func(_ context.Context, rejects []connectors.Reject) ([]connectors.Reject, error) {
		for _, r := range rejects {
			refused = append(refused, string(r.Seq)+" "+r.Code)
		}
		return rejects, nil
	}
	for range 2 { // another worker finds it done
		require.NoError(t, st.Publish(t.Context(), p, decide))
	}
	require.NoError(t, st.Discard())
	require.Equal(t, []string{"5 null_key", "4 value"}, refused) // in the order of the tables' names
	require.Equal(t, []string{"1"}, l.rows(t, "SELECT id::text FROM orders"))
	require.Equal(t, []string{"6"}, l.rows(t, "SELECT id::text FROM clicks"))
}

func TestRoutesAreChecked(t *testing.T) {
	for problem, change := range map[string]func(*postgres.Config){
		"the tables of its values":          func(c *postgres.Config) { c.Tables = nil },
		"name the column":                   func(c *postgres.Config) { c.Route = "" },
		"stand under tables, for each":      func(c *postgres.Config) { c.Table = "t" },
		"tables: x: key: with mode: upsert": func(c *postgres.Config) { c.Tables = map[string]postgres.Table{"x": {Table: "t", Mode: "upsert"}} },
		"tables: x: table: want a name":     func(c *postgres.Config) { c.Tables = map[string]postgres.Table{"x": {}} },
		"x and y are the same table":        func(c *postgres.Config) { c.Tables = map[string]postgres.Table{"x": {Table: "t"}, "y": {Table: "t"}} },
	} {
		cfg := routed
		cfg.URL = core.NewSecret("postgres://localhost/x")
		change(&cfg)
		err := cfg.Validate()
		require.ErrorIs(t, err, core.ErrInvalid)
		require.ErrorContains(t, err, problem)
	}
	require.Equal(t, []string{"gone", "id", "kind", "line"}, routed.Columns())
}

func TestATableIsMadeWithItsKeyThoughNoRowHasOne(t *testing.T) {
	l := load(t, servers.PostgresFor(t), "", postgres.Config{Route: "r", Evolve: "add", Tables: map[string]postgres.Table{
		"a": {Table: "a"}, "b": {Table: "b", Mode: "upsert", Key: []string{"id"}},
	}}, sinktest.Column("r", text), sinktest.Column("id", whole), sinktest.Column("v", text))
	st, p := l.Plan(t, map[core.ShardID][]string{"s": {`{"r":"a","id":1,"v":"x"}`, `{"r":"b","id":null,"v":"y"}`}})
	err := st.Publish(t.Context(), p, func(_ context.Context, r []connectors.Reject) ([]connectors.Reject, error) { return r, nil })
	require.NoError(t, err)
}
