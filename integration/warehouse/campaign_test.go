//go:build unix

package warehouse

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/laketest"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/integration/servetest"
)

// mortal is the folder of the command in a form that kills itself at a named step, once it is built: the test binary of
// cmd/penstock.
var mortal string

var build = sync.OnceValues(func() (string, error) {
	var err error
	if mortal, err = os.MkdirTemp("", "penstock-mortal-"); err != nil {
		return "", err
	}
	path := filepath.Join(mortal, "penstock")
	out, err := exec.Command("go", "test", "-c", "-o", path, "../../cmd/penstock").CombinedOutput() //nolint:gosec // a path made here
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := servetest.Main(m)
	if mortal != "" {
		_ = os.RemoveAll(mortal) // a temporary folder
	}
	os.Exit(code)
}

// input is what is put, and what the table is to be after it.
type input interface {
	ddl(table string) string
	query(table string) string
	next(t *testing.T, n int) []byte
	want() []string
	letters() []string
}

// lane is one stream and the pipeline that loads its table.
type lane struct {
	name   string
	in     input
	key    string // flags of put that say the partition key
	decode string
	sink   string
	pooled bool // through pgbouncer
	served bool // the log is another process's
}

func lanes(t *testing.T) []lane {
	t.Helper()
	return []lane{
		{name: "upsert", in: newOrders(1, false), key: "--json-key=order_id", decode: "{json: {}}", sink: "mode: upsert, key: [order_id], delete_when: deleted"},
		{name: "newest", in: newOrders(2, true), decode: "{json: {}}", sink: "mode: upsert, key: [order_id], order_by: version", pooled: true},
		{name: "documents", in: newJSON(t), decode: "{json: {}}", sink: "evolve: widen", pooled: true},
		{name: "access", in: newAccessLog(t), decode: "{logline: combined}", sink: "evolve: add"},
		{name: "served", in: newOrders(3, false), key: "--json-key=order_id", decode: "{json: {}}", sink: "mode: upsert, key: [order_id], delete_when: deleted", served: true},
	}
}

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// TestTablesAreWhatWasPut loads tables while, at every moment of a flush in turn, a worker, the server of the log, PostgreSQL
// or its pooler dies, or a connection. PENSTOCK_KILLS says how often, PENSTOCK_EVENTS how many events the first table is of,
// PENSTOCK_LANE which one is run.
func TestTablesAreWhatWasPut(t *testing.T) {
	c := &campaign{db: servers.PostgresFor(t), rng: rand.New(rand.NewPCG(3, uint64(number("PENSTOCK_SEED", 5)))), died: map[string]int{}} //nolint:gosec // repeatable
	c.pool = servers.PgbouncerFor(t, c.db)
	all := lanes(t)
	if only := os.Getenv("PENSTOCK_LANE"); only != "" {
		all = slices.DeleteFunc(all, func(l lane) bool { return l.name != only })
	}
	kills, events := number("PENSTOCK_KILLS", 30), number("PENSTOCK_EVENTS", 100_000)
	for i, l := range all {
		share := kills / len(all)
		n := events / share
		if i > 0 {
			n /= 5
		}
		t.Run(l.name, func(t *testing.T) { c.run(t, l, share, n) })
	}
	t.Logf("who died, and when: %v", c.died)
	t.Logf("campaign=warehouse kills=%d rows_expected=%d rows_got=%d missing=%d extra=%d", c.kills, c.want, c.got, c.missing, c.extra)
	require.Zero(t, c.missing+c.extra)
}

type campaign struct {
	db   *servers.Postgres
	pool *servers.Pgbouncer
	rng  *rand.Rand
	turn int
	died map[string]int
	mu   sync.Mutex // held while somebody dies at any time, and is started again

	kills, want, got, missing, extra int
}

// run puts n events at a time and has somebody die while they are loaded, kills times.
func (c *campaign) run(t *testing.T, l lane, kills, n int) {
	r := newRunner(t, c, l, n)
	for done := 0; done < kills; {
		r.put(t, l.in.next(t, n))
		r.events += n
		for range 3 { // a moment may not come, as rows to be merged do not in a table that is appended to
			if r.kill(t) {
				done++
				break
			}
		}
		if done%24 == 0 && done < kills {
			r.compare(t)
		}
	}
	want, got := r.compare(t)
	c.want, c.got = c.want+want, c.got+got
}

// runner is a lane that is run.
type runner struct {
	lane
	c    *campaign
	dir  string
	url  string // of the database, without the proxy
	wire *wire
	node *servetest.Server // nil: the worker holds the log itself
	file string

	events int // that were put
}

func newRunner(t *testing.T, c *campaign, l lane, n int) *runner {
	t.Helper()
	r := &runner{lane: l, c: c, dir: t.TempDir()}
	cfg, err := pgx.ParseConfig(c.db.URL)
	require.NoError(t, err)
	direct := fmt.Sprintf("%s:%d", cfg.Host, cfg.Port)
	c.exec(t, c.db.URL, "CREATE DATABASE "+l.name)
	r.url = fmt.Sprintf("postgres://penstock@%s/%s?sslmode=disable", direct, l.name)
	c.exec(t, r.url, l.in.ddl(l.name))
	target := direct
	if l.pooled {
		cfg, err := pgx.ParseConfig(c.pool.URL)
		require.NoError(t, err)
		target = fmt.Sprintf("%s:%d", cfg.Host, cfg.Port)
	}
	r.wire = newWire(t, strings.Replace(r.url, direct, target, 1), target)
	source := "stream: " + l.name
	if l.served {
		r.node = servetest.New(t, "--state-delay", "50ms")
		r.dir = r.node.Dir
		source = fmt.Sprintf("kinesis: {stream: %s, endpoint: '%s', access_key: key, secret_key: '${SECRET}'}", l.name, r.node.Endpoint)
	}
	r.file = filepath.Join(r.dir, "p.yaml")
	require.NoError(t, os.WriteFile(r.file, []byte(fmt.Sprintf(`version: 1
name: %[1]s
source: {%[2]s, start: trim_horizon, decode: %[3]s}
buffer: {max_records: %[4]d}
sink: {postgres: {url: '${DATABASE_URL}', table: %[1]s, %[5]s}}
`, l.name, source, l.decode, n/3+1, l.sink)), 0o600))
	r.penstock(t, nil, "streams", "create", l.name, "--shards", "3")
	return r
}

func (c *campaign) exec(t *testing.T, url, sql string) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	_, err = db.Exec(t.Context(), sql)
	require.NoError(t, err)
	require.NoError(t, db.Close(t.Context()))
}

func (r *runner) command(ctx context.Context, t *testing.T, dieAt string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := build()
	require.NoError(t, err)
	cmd := exec.CommandContext(ctx, path, args...) //nolint:gosec // the binary built above
	cmd.Dir, cmd.Env = r.dir, append(os.Environ(), "PENSTOCK_TEST_DIE_AT="+dieAt, "DATABASE_URL="+r.wire.URL, "SECRET=secret",
		"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret", "AWS_REGION=us-east-1")
	return cmd
}

// penstock runs a command that must succeed.
func (r *runner) penstock(t *testing.T, in []byte, args ...string) string {
	t.Helper()
	cmd := r.command(t.Context(), t, "never:1", args...)
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &said
	require.NoError(t, cmd.Run(), "penstock %v\n%s%s", args, &out, &said)
	return out.String()
}

// put puts lines, and one that is no document where the lane knows of refused ones.
func (r *runner) put(t *testing.T, lines []byte) {
	t.Helper()
	args := []string{"put", r.name}
	if r.key != "" {
		args = append(args, r.key)
	}
	r.penstock(t, lines, args...)
	if o, ok := r.in.(*orders); ok {
		broken := fmt.Sprintf(`{"order_id":%d`, o.made)
		o.refused = append(o.refused, broken)
		r.penstock(t, []byte(broken+"\n"), "put", r.name, "--key=broken")
	}
}

func (r *runner) load() []string {
	if r.served {
		return []string{"run", r.file, "--state", r.node.Endpoint, "--failover", "2s"}
	}
	return []string{"run", r.file, "--until-caught-up"}
}

// stop stops a worker of another process's log, which goes on until it is told, once it delivered everything.
func (r *runner) stop(ctx context.Context, worker *os.Process) {
	if !r.served {
		return
	}
	wantN, wantSum := r.in.(*orders).sum()
	go func() {
		for ctx.Err() == nil {
			time.Sleep(200 * time.Millisecond)
			if db, err := pgx.Connect(ctx, r.url); err == nil {
				var n, sum int64
				err := db.QueryRow(ctx, "SELECT count(*), coalesce(sum(version), 0)::bigint FROM "+r.name).Scan(&n, &sum)
				_ = db.Close(ctx) // it was only read
				if err == nil && n == wantN && sum == wantSum {
					_ = worker.Signal(syscall.SIGTERM) // it may have been killed
					return
				}
			}
		}
	}()
}

// The steps that a worker names itself, from the close of a flush to the move of its checkpoint.
var steps = []string{"flush-closed", "plan-committed", "dead-letters-put", "decided", "written", "published", "done"}

// kill runs a worker while somebody dies at the moment whose turn it is, and reports whether that came.
func (r *runner) kill(t *testing.T) bool {
	t.Helper()
	turn := r.c.turn % (len(steps) + 2*len(messages) + 3)
	r.c.turn++
	at, when := "never:1", ""
	var struck atomic.Bool
	var worker atomic.Pointer[os.Process]
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	asked := false // whether it may come before the worker knows that the table is there: a run to an end does not wait for one
	later := func(what string, kill func()) {
		when, asked = what, true
		time.AfterFunc(time.Duration(100+r.c.rng.IntN(1200))*time.Millisecond, func() {
			r.c.mu.Lock()
			defer r.c.mu.Unlock()
			if worker.Load() != nil {
				kill()
				struck.Store(true)
			}
		})
	}
	switch own := len(steps); {
	case turn < own:
		when = steps[turn]
		at = fmt.Sprint(when, ":", 1+r.c.rng.IntN(2))
	case turn < own+2*len(messages):
		message, after := (turn-own)/2, turn%2 == 0
		who, strike := r.victim(t, &worker)
		when = fmt.Sprintf("%s at %s, after %t", who, messages[message].name, after)
		r.wire.arm(message, after, 1+r.c.rng.IntN(2), func() {
			strike()
			struck.Store(true)
		})
	case turn == own+2*len(messages):
		later("worker at any time", func() { kill9(&worker) })
	case turn == own+2*len(messages)+1:
		later("PostgreSQL at any time", func() { r.c.restart(t) })
	case r.served:
		later("the log's server at any time", func() {
			r.node.Kill()
			r.node.Restart(t)
		})
	default:
		later("worker at any time", func() { kill9(&worker) })
	}
	cmd := r.command(ctx, t, at, r.load()...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	worker.Store(cmd.Process)
	r.stop(ctx, cmd.Process)
	_ = cmd.Wait() // how it ended is looked at next
	worker.Store(nil)
	r.wire.disarm()
	r.c.mu.Lock() // who dies at any time is up again
	defer r.c.mu.Unlock()
	require.NoError(t, ctx.Err(), "the run hung: %s: %s", when, &said)
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	dead := status.Signaled() && status.Signal() == syscall.SIGKILL
	away := asked && struck.Load() && cmd.ProcessState.ExitCode() == 3
	require.True(t, dead || away || cmd.ProcessState.Success(), "the run failed by itself: %s: %s", when, &said)
	if !dead && !struck.Load() {
		return false
	}
	r.c.kills++
	r.c.died[when]++
	return true
}

func kill9(worker *atomic.Pointer[os.Process]) {
	if p := worker.Load(); p != nil {
		_ = p.Kill() // it may have ended
	}
}

// victim chooses who dies with the connection.
func (r *runner) victim(t *testing.T, worker *atomic.Pointer[os.Process]) (string, func()) {
	t.Helper()
	switch r.c.rng.IntN(4) {
	case 0:
		return "PostgreSQL", func() { r.c.restart(t) }
	case 1:
		if r.pooled {
			return "pgbouncer", func() {
				r.c.pool.Kill()
				if err := r.c.pool.Restart(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
		return "connection", func() {}
	case 2:
		return "connection", func() {}
	}
	return "worker", func() { kill9(worker) }
}

// restart kills PostgreSQL and starts it again.
func (c *campaign) restart(t *testing.T) {
	c.db.Kill()
	if err := c.db.Restart(t.Context()); err != nil {
		t.Error(err)
	}
}

// compare lets the pipeline come to its end, and holds the table against the fold of what was put.
func (r *runner) compare(t *testing.T) (rows, found int) {
	t.Helper()
	want := r.in.want()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	cmd := r.command(ctx, t, "never:1", r.load()...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	r.stop(ctx, cmd.Process)
	require.NoError(t, cmd.Wait(), "%s", &said)
	got := r.rows(t)
	missing, extra := laketest.Differ(want, got)
	r.c.missing, r.c.extra = r.c.missing+missing, r.c.extra+extra
	require.Zero(t, missing+extra, "missing %d, extra %d of %d rows, the first %v", missing, extra, len(want), first(want, got))
	require.Contains(t, r.penstock(t, nil, "verify", r.file), "clean")
	letters := r.letters(t)
	require.Equal(t, append([]string{}, r.in.letters()...), letters)
	t.Logf("%d events, %d rows, %d dead letters; %d died so far", r.events, len(want), len(letters), r.c.kills)
	return len(want), len(got)
}

// rows are those of the table, in order.
func (r *runner) rows(t *testing.T) []string {
	t.Helper()
	db, err := pgx.Connect(t.Context(), r.url)
	require.NoError(t, err)
	rows, err := db.Query(t.Context(), r.in.query(r.name))
	require.NoError(t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.NoError(t, db.Close(t.Context()))
	for i := range got {
		if strings.HasPrefix(got[i], "{") {
			got[i] = canonical(t, got[i])
		}
	}
	slices.Sort(got)
	return got
}

// letters are the records of the dead letters, in order.
func (r *runner) letters(t *testing.T) []string {
	t.Helper()
	var answer struct{ Result []struct{ Raw []byte } }
	text := r.penstock(t, nil, "dlq", "list", r.name+".dead", "--limit", "0", "--json")
	require.NoError(t, json.Unmarshal([]byte(text), &answer), text)
	out := []string{}
	for _, l := range answer.Result {
		out = append(out, string(l.Raw))
	}
	slices.Sort(out)
	return out
}

// first is the first of two sorted multisets that is not in both.
func first(want, have []string) string {
	for i := range min(len(want), len(have)) {
		if want[i] != have[i] {
			return fmt.Sprintf("%s, not %s", have[i], want[i])
		}
	}
	return "the last ones"
}
