package postgres_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/sinktest"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/sinks/postgres"
)

// loader is a sink over a database of its own, into which plans are loaded one after another.
type loader struct {
	*postgres.Sink
	*sinktest.Loader
	url string
}

func load(t *testing.T, server *servers.Postgres, ddl string, cfg postgres.Config, columns ...arrow.Field) *loader {
	t.Helper()
	l := &loader{url: database(t, server, "d"+strings.ToLower(strconv.FormatInt(int64(len(t.Name()))*1000+next(), 36)))}
	l.exec(t, ddl)
	cfg.URL = core.NewSecret(l.url)
	var err error
	l.Sink, err = postgres.Open(t.Context(), cfg)
	require.NoError(t, err)
	l.Loader = sinktest.NewLoader(l.Sink, columns...)
	t.Cleanup(func() { require.NoError(t, l.Close(t.Context())) })
	return l
}

var serial int64

func next() int64 {
	serial++
	return serial
}

func (l *loader) exec(t *testing.T, sql string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), l.url)
	require.NoError(t, err)
	defer c.Close(t.Context()) //nolint:errcheck // it is done
	_, err = c.Exec(t.Context(), sql)
	require.NoError(t, err)
}

// rows asks for one text a row.
func (l *loader) rows(t *testing.T, sql string) []string {
	t.Helper()
	c, err := pgx.Connect(t.Context(), l.url)
	require.NoError(t, err)
	defer c.Close(t.Context()) //nolint:errcheck // it was only read
	rows, err := c.Query(t.Context(), sql)
	require.NoError(t, err)
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return out
}

var (
	text  = arrow.BinaryTypes.String
	whole = arrow.PrimitiveTypes.Int64
	truth = arrow.FixedWidthTypes.Boolean
)

func TestBadRowsAreFoundAndTheOthersGoIn(t *testing.T) {
	server := servers.PostgresFor(t)
	const ddl = `CREATE TABLE t (id bigint PRIMARY KEY, name text NOT NULL CHECK (name <> 'bad'), small smallint, doc jsonb);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.name = ''no'' THEN RAISE ''I do not like it''; END IF; RETURN NEW; END';
CREATE TRIGGER likes BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION refuse()`
	for _, cfg := range []postgres.Config{{Table: "t"}, {Table: "t", Mode: "upsert", Key: []string{"id"}}} {
		t.Run(cfg.Mode, func(t *testing.T) {
			l := load(t, server, ddl, cfg, sinktest.Column("id", whole), sinktest.Column("name", text), sinktest.Column("small", whole), sinktest.Column("doc", text))
			var lines []string
			bad := map[int]string{ // by id; its sequence number is one more
				0: `{"id":0,"name":"bad"}`, 17: `{"id":17}`, 18: `{"id":18,"name":"no"}`, 500: `{"id":500,"name":"x","small":70000}`,
				501: `{"id":501,"name":"x","doc":"{"}`, 777: `{"id":777,"name":"nul\u0000"}`, 999: `{"id":999,"name":"bad"}`,
			}
			for i := range 1000 {
				line, ok := bad[i]
				if !ok {
					line = fmt.Sprintf(`{"id":%d,"name":"n%d","small":7,"doc":"{\"a\":1}"}`, i, i)
				}
				lines = append(lines, line)
			}
			refused := l.Put(t, lines...)
			require.Len(t, refused, len(bad), refused)
			all := strings.Join(refused, "\n")
			for _, want := range []string{
				"1 postgres_23514 new row", "18 postgres_23502 null value", "19 postgres_P0001 I do not like it", `501 value column "small": 70000 is no integer of 16 bits`,
				"502 postgres_22P02 invalid input syntax", "778 value", "1000 postgres_23514",
			} {
				require.Contains(t, all, want)
			}
			require.Equal(t, []string{"993"}, l.rows(t, "SELECT count(*)::text FROM t"))
			require.Empty(t, l.Put(t, `{"id":2000,"name":"next"}`))
		})
	}
}

func TestOfEachKeyTheLastRowIsThere(t *testing.T) {
	server := servers.PostgresFor(t)
	l := load(t, server, "CREATE TABLE t (k text, part int, v bigint, PRIMARY KEY (part, k))",
		postgres.Config{Table: "t", Mode: "upsert", Key: []string{"k", "part"}, DeleteWhen: "gone"}, sinktest.Column("k", text), sinktest.Column("part", whole), sinktest.Column("v", whole), sinktest.Column("gone", truth))
	state := func() string {
		return strings.Join(l.rows(t, "SELECT k||part||'='||coalesce(v::text, '-') FROM t ORDER BY 1"), " ")
	}
	l.Put(t, `{"k":"a","part":1,"v":1}`, `{"k":"a","part":2,"v":2}`, `{"k":"a","part":1,"v":3}`, `{"k":"b","part":1,"v":4}`)
	require.Equal(t, "a1=3 a2=2 b1=4", state())
	l.Put(t, `{"k":"a","part":1,"gone":true}`, `{"k":"b","part":1,"v":null,"gone":false}`, `{"k":"c","part":1,"v":1}`, `{"k":"c","part":1,"gone":true}`)
	require.Equal(t, "a2=2 b1=-", state())
	l.Put(t, `{"k":"c","part":1,"gone":true}`, `{"k":"c","part":1,"v":9}`)
	require.Equal(t, "a2=2 b1=- c1=9", state())
	require.Equal(t, []string{`15 null_key column k of the key is null`}, append([]string{}, l.Put(t, `{"k":"d","part":1,"v":1}`, `{"k":"d","part":1,"v":2}`, `{"k":"e","part":1,"v":1}`, `{"k":"e","part":1,"v":1}`, `{"part":1,"v":1}`)...))
}

func TestTheNewestByOrderByStays(t *testing.T) {
	server := servers.PostgresFor(t)
	l := load(t, server, "CREATE TABLE t (k text PRIMARY KEY, at bigint, v text)",
		postgres.Config{Table: "t", Mode: "upsert", Key: []string{"k"}, OrderBy: "at"}, sinktest.Column("k", text), sinktest.Column("at", whole), sinktest.Column("v", text))
	state := func() string { return strings.Join(l.rows(t, "SELECT k||'='||v FROM t ORDER BY 1"), " ") }
	l.Put(t, `{"k":"a","at":5,"v":"new"}`, `{"k":"a","at":3,"v":"old"}`)
	require.Equal(t, "a=new", state())
	l.Put(t, `{"k":"a","at":4,"v":"old"}`, `{"k":"b","v":"no time"}`)
	require.Equal(t, "a=new b=no time", state())
	l.Put(t, `{"k":"a","at":5,"v":"as new"}`, `{"k":"b","at":1,"v":"a time"}`)
	require.Equal(t, "a=as new b=a time", state())
	// Of equal times of one flush the greater sequence number is the later, whatever the order in which shards come.
	st, p := l.Plan(t, map[core.ShardID][]string{"s1": {`{"k":"x","at":9,"v":"1"}`, `{"k":"x","at":9,"v":"2"}`}, "s2": {`{"k":"x","at":9,"v":"early"}`}})
	require.NoError(t, st.Publish(t.Context(), p, nil))
	require.Equal(t, "a=as new b=a time x=2", state())
}

func TestTheTableFollowsTheRows(t *testing.T) {
	server := servers.PostgresFor(t)
	columns := []arrow.Field{sinktest.Column("id", whole), sinktest.Column("a", arrow.PrimitiveTypes.Float64), sinktest.Column("geo", arrow.StructOf(sinktest.Column("city", text))), sinktest.Column("tags", arrow.ListOf(text)), sinktest.Column("_rescued", text)}
	row := `{"id":3000000000,"a":0.5,"geo":{"city":"x"},"tags":["t"],"_rescued":"{\"z\":1}"}`
	types := func(l *loader) string {
		return strings.Join(l.rows(t, "SELECT attname||' '||format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 ORDER BY attname"), ", ")
	}
	for _, x := range []struct {
		evolve, ddl, want string
		problem           string
	}{
		{evolve: "add", want: "_rescued jsonb, a double precision, geo jsonb, id bigint, tags text[]"},
		{evolve: "add", ddl: "CREATE TABLE t (id bigint)", want: "_rescued jsonb, a double precision, geo jsonb, id bigint, tags text[]"},
		{evolve: "widen", ddl: "CREATE TABLE t (id int, a bigint)", want: "_rescued jsonb, a numeric, geo jsonb, id bigint, tags text[]"},
		{evolve: "none", problem: "has no table t: make it, or have it made with evolve: add"},
		{evolve: "none", ddl: "CREATE TABLE t (id bigint, a float, geo json)", problem: `ALTER TABLE public.t ADD COLUMN "tags" text[]; or have it done with evolve: add`},
	} {
		t.Run(x.evolve+" "+x.ddl, func(t *testing.T) {
			l := load(t, server, x.ddl, postgres.Config{Table: "t", Evolve: x.evolve}, columns...)
			st, p := l.Plan(t, map[core.ShardID][]string{"s": {row}})
			err := st.Publish(t.Context(), p, nil)
			if x.problem != "" {
				require.ErrorContains(t, err, x.problem)
				require.False(t, connectors.IsPermanent(err), "somebody may mend it while the pipeline waits")
				return
			}
			require.NoError(t, err)
			require.Equal(t, x.want, types(l))
			require.Equal(t, []string{`3000000000 0.5 x {t} 1`}, l.rows(t, "SELECT concat_ws(' ', id, a, geo->>'city', tags, _rescued->>'z') FROM t"))
		})
	}
}

func TestFieldsThatTheTableCannotKeepAreNotLostSilently(t *testing.T) {
	l := load(t, servers.PostgresFor(t), "CREATE TABLE t (id bigint)", postgres.Config{Table: "t"}, sinktest.Column("id", whole), sinktest.Column("_rescued", text))
	refused := l.Put(t, `{"id":1}`, `{"id":2,"_rescued":"{\"z\":1}"}`, `{"id":3}`)
	require.Len(t, refused, 1)
	require.Contains(t, refused[0], `2 rescued the row has fields`)
	require.Equal(t, []string{"1", "3"}, l.rows(t, "SELECT id::text FROM t ORDER BY id"))
}

// TestADatabaseThatWasSetBackIsNoticed: rows between are missing in it, and loading on would hide that.
func TestADatabaseThatWasSetBackIsNoticed(t *testing.T) {
	l := load(t, servers.PostgresFor(t), "CREATE TABLE t (id bigint)", postgres.Config{Table: "t"}, sinktest.Column("id", whole))
	l.Put(t, `{"id":1}`)
	l.Put(t, `{"id":2}`)
	report, err := l.Verify(t.Context(), "p", false)
	require.NoError(t, err)
	require.Empty(t, report.Problems)
	require.EqualValues(t, 2, report.Rows)
	l.exec(t, "UPDATE _penstock.checkpoints SET seq = '1', plan = 1; DELETE FROM _penstock.plans WHERE plan = 2; DELETE FROM t WHERE id = 2")
	st, p := l.Plan(t, map[core.ShardID][]string{"shardId-000000000000": {`{"id":3}`}})
	err = st.Publish(t.Context(), p, nil)
	require.True(t, connectors.IsPermanent(err))
	require.ErrorContains(t, err, `it stands at "1" since plan 1, plan 3 begins after "2". Was the database restored from an older state?`)
	require.Equal(t, []string{"1"}, l.rows(t, "SELECT id::text FROM t"))
}

// TestAnothersVerdictStands: two workers may see a table in different states; one verdict is carried out.
func TestAnothersVerdictStands(t *testing.T) {
	l := load(t, servers.PostgresFor(t), "CREATE TABLE t (id smallint)", postgres.Config{Table: "t"}, sinktest.Column("id", whole))
	st, p := l.Plan(t, map[core.ShardID][]string{"s": {`{"id":1}`, `{"id":70000}`, `{"id":3}`}})
	asked := 0
	require.NoError(t, st.Publish(t.Context(), p, func(_ context.Context, rejects []connectors.Reject) ([]connectors.Reject, error) {
		asked++
		require.Len(t, rejects, 1)
		return []connectors.Reject{{Shard: "s", Seq: "1"}, rejects[0]}, nil
	}))
	require.Equal(t, 1, asked)
	require.Equal(t, []string{"3"}, l.rows(t, "SELECT id::text FROM t"))
}

func TestProbeSaysWhatIsWrong(t *testing.T) {
	server := servers.PostgresFor(t)
	for name, x := range map[string]struct {
		ddl, want string
		cfg       postgres.Config
	}{
		"no table":   {"", "has no table t", postgres.Config{Table: "t"}},
		"no index":   {"CREATE TABLE t (a int, b int UNIQUE)", `CREATE UNIQUE INDEX ON public.t ("a")`, postgres.Config{Table: "t", Mode: "upsert", Key: []string{"a"}}},
		"no column":  {"CREATE TABLE t (a int)", `no column "k"`, postgres.Config{Table: "t", Mode: "upsert", Key: []string{"k"}}},
		"all right":  {"CREATE TABLE t (a int, b int, UNIQUE (b, a))", "", postgres.Config{Table: "t", Mode: "upsert", Key: []string{"a", "b"}}},
		"to be made": {"", "", postgres.Config{Table: "t", Evolve: "add"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := load(t, server, x.ddl, x.cfg).Probe(t.Context())
			if x.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, x.want)
		})
	}
}
