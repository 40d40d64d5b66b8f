package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/laketest"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/integration/tabletest"
)

// TestATableIsTheFoldOfTheLogThroughDeaths kills workers at every step and at writes, before the server hears of them and after
// they are done, and the server at writes too, until each pipeline has had its share of deaths. The table is what the
// rows come to by themselves, and the dead letters are the rows that cannot be items. PENSTOCK_KILLS says how often.
func TestATableIsTheFoldOfTheLogThroughDeaths(t *testing.T) {
	kills := 12
	if n, err := strconv.Atoi(os.Getenv("PENSTOCK_KILLS")); err == nil {
		kills = n
	}
	c := newTables(t)
	for c.deaths() < kills {
		c.round(t, kills-c.deaths())
	}
	t.Logf("campaign=dynamodb kills=%d of_workers=%d of_the_server=%d pipelines=%d rows_expected=%d rows_got=%d missing=%d extra=%d dead=%d moments=%d",
		c.deaths(), c.workers, c.servers, c.rounds, c.rows, c.got, c.missing, c.extra, c.dead, len(tableSteps)+len(tableMoments)+1)
	require.Zero(t, c.missing+c.extra)
}

// The moments of a death: steps of the worker, and its n-th write.
var (
	tableSteps   = []string{"flush-closed", "plan-committed", "dead-letters-put", "written", "published", "done"}
	tableMoments = []struct {
		server bool // it dies, not the worker
		after  bool // what was asked was done, and nobody heard of it
	}{{false, false}, {false, true}, {true, false}, {true, true}}
	tableModes = []string{
		"mode: put, key: {partition: k}, delete_when: gone, sets: [tags]",
		"mode: update, key: {partition: k}, delete_when: gone, sets: [tags], counters: [n]",
		"mode: append, key: {partition: k, sort: _id}, sets: [tags]",
	}
)

// tables is a campaign: a log, a server and the proxy before it.
type tables struct {
	u      *user
	server *servers.DynamoDB
	proxy  *httptest.Server
	rng    *rand.Rand
	want   [3][]string // by mode
	bad    int         // rows that cannot be items

	victim                                                 atomic.Pointer[os.Process]
	rounds, turn, workers, rows, got, missing, extra, dead int

	mu      sync.Mutex // guards what follows
	left    int        // writes until a death; 0: none is due
	die     func()     // at that write
	after   bool
	servers int // deaths
}

func newTables(t *testing.T) *tables {
	t.Helper()
	c := &tables{
		u:      newUser(t, "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret"),
		server: servers.DynaliteFor(t), rng: rand.New(rand.NewPCG(9, 9)), //nolint:gosec // repeatable
	}
	target, err := url.Parse(c.server.Endpoint)
	require.NoError(t, err)
	pass := &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // the server is away at times, and so are workers
	}
	c.proxy = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.serve(w, r, pass) }))
	t.Cleanup(c.proxy.Close)
	c.u.run(t, "streams", "create", "log", "--shards", "4")
	var text bytes.Buffer
	all := tabletest.Random(c.rng, "key-", 150, 2500)
	for i, e := range all {
		line, err := json.Marshal(struct {
			tabletest.Event
			P string `json:"p"`
		}{e, e.K})
		require.NoError(t, err)
		text.Write(append(line, '\n'))
		if i%500 == 0 {
			text.WriteString(`{"k":"","p":"bad"}` + "\n")
			c.bad++
		}
	}
	code, _, errOut := c.u.try(t, text.Bytes(), "put", "log", "--json-key", "p")
	require.Zero(t, code, errOut)
	for kind, mode := range []string{"put", "update", "append"} {
		c.want[kind] = tabletest.Fold(mode, all)
	}
	return c
}

// serve passes a request on, unless it is the write at which somebody is to die.
func (c *tables) serve(w http.ResponseWriter, r *http.Request, pass http.Handler) {
	_, what, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	c.mu.Lock()
	due := false
	if what == "PutItem" || what == "UpdateItem" || what == "BatchWriteItem" {
		due = c.left == 1
		c.left = max(0, c.left-1)
	}
	after, die := c.after, c.die
	c.mu.Unlock()
	if !due {
		pass.ServeHTTP(w, r)
		return
	}
	if after {
		pass.ServeHTTP(httptest.NewRecorder(), r)
	}
	die()
	panic(http.ErrAbortHandler)
}

// round kills workers and the server under one pipeline, lets it end, and compares.
func (c *tables) round(t *testing.T, most int) {
	t.Helper()
	kind := c.rounds % len(tableModes)
	c.rounds++
	name := fmt.Sprint("orders", c.rounds)
	file := c.u.write(t, name+".yaml", fmt.Sprintf(`version: 1
name: %s
source: {stream: log, decode: {json: {}}}
stages: [{drop: [p]}]
buffer: {max_records: 300}
sink: {dynamodb: {endpoint: %q, table: %s, ledger: %s.ledger, create: on_demand, %s}}
`, name, c.proxy.URL, name, name, tableModes[kind]))
	before := c.deaths()
	for died := true; died && c.deaths()-before < min(most, 15); {
		died = c.kill(t, file, []int{60, 60, 6}[kind])
	}
	c.plan(0, false, nil)
	c.u.run(t, "run", file, "--until-caught-up")
	require.Contains(t, c.u.run(t, "verify", file), "clean")
	dead := strings.Count(strings.TrimSpace(c.u.run(t, "dlq", "list", name+".dead")), "\n") // the first line names the columns
	got, err := tabletest.Items(t.Context(), tabletest.Client(c.server.Endpoint), name)
	require.NoError(t, err)
	missing, extra := laketest.Differ(c.want[kind], got)
	c.rows, c.got, c.missing, c.extra, c.dead = c.rows+len(c.want[kind]), c.got+len(got), c.missing+missing, c.extra+extra, c.dead+dead
	require.Zero(t, missing+extra, "%s: missing %d, extra %d of %d rows", tableModes[kind], missing, extra, len(got))
	require.Equal(t, c.bad, dead, "dead letters")
}

// deaths are those of workers and of the server so far.
func (c *tables) deaths() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.workers + c.servers
}

// plan has somebody die at the n-th write from now.
func (c *tables) plan(n int, after bool, die func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.after, c.die = n, after, die
}

// kill runs a worker to its death or, past those of the server, to its end, as the turn has it. A death is at one of the next
// few writes. It reports whether the worker died, so that something is left to do.
func (c *tables) kill(t *testing.T, file string, few int) bool {
	t.Helper()
	c.turn++
	turn := c.turn % (len(tableSteps) + len(tableMoments) + 1)
	at, most := "never:1", 3*time.Minute
	c.plan(0, false, nil)
	switch {
	case turn < len(tableSteps):
		at = fmt.Sprint(tableSteps[turn], ":", 1+c.rng.IntN(2))
	case turn < len(tableSteps)+len(tableMoments):
		m := tableMoments[turn-len(tableSteps)]
		die := func() {
			if p := c.victim.Load(); p != nil {
				_ = p.Kill() // it may have ended
			}
		}
		if again := 3; m.server {
			die = func() {
				c.server.Kill()
				if err := c.server.Restart(context.WithoutCancel(t.Context())); err != nil {
					t.Errorf("the server does not come back: %v", err)
				}
				c.mu.Lock()
				defer c.mu.Unlock()
				c.servers++
				if again--; again > 0 {
					c.left = 2 * few
				}
			}
		}
		c.plan(1+c.rng.IntN(few), m.after, die)
	default:
		most = time.Duration(100+c.rng.IntN(2000)) * time.Millisecond
	}
	died := c.run(t, file, at, most)
	if died {
		c.workers++
	}
	return died
}

// run runs a worker, and reports whether it was killed.
func (c *tables) run(t *testing.T, file, at string, most time.Duration) bool {
	t.Helper()
	path, err := mortal()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "run", file, "--until-caught-up") //nolint:gosec // the binary built above
	cmd.Dir, cmd.Env = c.u.dir, append(append(os.Environ(), c.u.env...), "PENSTOCK_TEST_DIE_AT="+at)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	c.victim.Store(cmd.Process)
	_ = cmd.Wait() // how it ended is looked at next
	c.victim.Store(nil)
	if cmd.ProcessState.Success() {
		return false
	}
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, status.Signaled() && status.Signal() == syscall.SIGKILL, "the run failed by itself: %s", said.String())
	require.False(t, most > time.Minute && ctx.Err() != nil, "the run hung: %s", said.String())
	return true
}
