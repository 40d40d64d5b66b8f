package integration

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
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
)

// mortal builds the command in a form that kills itself at a named step: the test binary of cmd/penstock.
var mortal = sync.OnceValues(func() (string, error) {
	path, err := binary()
	if err != nil {
		return "", err
	}
	path += "-mortal"
	out, err := exec.Command("go", "test", "-c", "-o", path, "../cmd/penstock").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// The moments at which a worker dies: steps that it names itself, and requests to the bucket, before, in and after which
// it dies. After: the bucket did what it was asked, and nobody heard of it.
var (
	ownSteps = []string{"flush-closed", "plan-committed", "dead-letters-put", "outputs-written", "manifest-written", "published", "done"}
	requests = []string{"begin", "part", "complete", "put", "manifest"}
	phases   = []string{"before", "in the middle of", "after"}
)

// killer kills a worker at a request that its proxy sees.
type killer struct {
	victim atomic.Pointer[os.Process]
	kind   string
	phase  string
	left   atomic.Int64
}

func (k *killer) spoil(w http.ResponseWriter, r *http.Request, pass http.Handler) {
	if kindOf(r) != k.kind || k.left.Add(-1) != 0 {
		pass.ServeHTTP(w, r)
		return
	}
	switch k.phase {
	case "after":
		pass.ServeHTTP(httptest.NewRecorder(), r)
	case "in the middle of":
		_, _ = io.CopyN(io.Discard, r.Body, 100)
	}
	if p := k.victim.Load(); p != nil {
		_ = p.Kill()
	}
	panic(http.ErrAbortHandler)
}

// TestAnArchiveInABucketSurvivesItsWorkersDeaths kills workers at every moment in turn, some at random, until each round
// of a pipeline has had its share of deaths; the rows are those of an undisturbed run. PENSTOCK_KILLS says how often.
func TestAnArchiveInABucketSurvivesItsWorkersDeaths(t *testing.T) {
	kills := 20
	if n, err := strconv.Atoi(os.Getenv("PENSTOCK_KILLS")); err == nil {
		kills = n
	}
	names := servers.S3Names()
	var all struct{ done, want, got, missing, extra int }
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			c := newCampaign(t, name)
			for done := 0; done < kills/len(names); {
				done += c.round(t, kills/len(names)-done)
			}
			all.done, all.want, all.got = all.done+c.done, all.want+c.rows, all.got+c.got
			all.missing, all.extra = all.missing+c.missing, all.extra+c.extra
		})
	}
	t.Logf("campaign=archive-kill kills=%d rows_expected=%d rows_got=%d missing=%d extra=%d moments=%d", all.done, all.want, all.got, all.missing, all.extra, len(ownSteps)+len(requests)*len(phases)+2)
	require.Zero(t, all.missing+all.extra)
}

type campaign struct {
	server *servers.S3
	u      *user
	killer *killer
	proxy  *proxy
	rng    *rand.Rand
	want   [2][]string // by kind of pipeline

	rounds, done, turn, rows, got, missing, extra int
}

func newCampaign(t *testing.T, name string) *campaign {
	t.Helper()
	server := servers.S3For(t, name)
	c := &campaign{server: server, u: newUser(t, "S3_SECRET="+server.SecretKey), killer: &killer{}, rng: rand.New(rand.NewPCG(7, 7))} //nolint:gosec // repeatable
	c.proxy = newProxy(t, server.Endpoint)
	c.proxy.every = c.killer.spoil
	c.u.run(t, "streams", "create", "log", "--shards", "4")
	log, err := os.ReadFile(filepath.Join(realData(t), "apache_access.log"))
	require.NoError(t, err)
	log = bytes.Repeat(log, 1+12<<20/len(log)/4) // one file of it is more than a part
	log = append(log, "no access log\n"...)
	code, _, errOut := c.u.try(t, log, "put", "log")
	require.Zero(t, code, errOut)
	for kind := range c.want {
		file, b := c.pipeline(t, kind)
		c.u.run(t, "run", file, "--until-caught-up")
		c.want[kind] = c.lake(t, b)
		require.NotEmpty(t, c.want[kind])
	}
	return c
}

// pipeline writes a new pipeline of one of two kinds: Parquet by the day, or one large NDJSON.
func (c *campaign) pipeline(t *testing.T, kind int) (file, bucketName string) {
	t.Helper()
	bucketName = bucket(t, c.server)
	layout := "prefix: 'dt=!{timestamp:yyyy-MM-dd}/', partition_by: time, format: {parquet: {}}"
	if kind == 1 {
		layout = "format: {ndjson: {compression: none}}"
	}
	return c.u.write(t, bucketName+".yaml", fmt.Sprintf(`version: 1
name: %s
source: {stream: log, decode: {logline: combined}}
stages:
  - filter: 'status != 304'
  - hash: {columns: [client_ip], algorithm: sha256}
buffer: {max_records: %d}
sink: {s3: {endpoint: %q, bucket: %s, access_key: %s, secret_key: '${S3_SECRET}', %s}}
`, bucketName, []int{12_000, 60_000}[kind], c.proxy.URL, bucketName, c.server.AccessKey, layout)), bucketName
}

func (c *campaign) lake(t *testing.T, b string) []string {
	t.Helper()
	found, err := objects(t.Context(), c.server, b)
	require.NoError(t, err)
	return laketest.Rows(t, found)
}

// round kills the workers of one pipeline up to 12 times, lets it end, and compares. It returns how many died.
func (c *campaign) round(t *testing.T, most int) (done int) {
	t.Helper()
	kind := c.rounds % 2
	c.rounds++
	file, b := c.pipeline(t, kind)
	for range 12 {
		if done < min(most, 8) && c.kill(t, file) {
			done++
		}
	}
	c.u.run(t, "run", file, "--until-caught-up")
	require.Contains(t, c.u.run(t, "verify", file), "clean")
	letters := strings.Split(strings.TrimSpace(c.u.run(t, "dlq", "list", b+".dead")), "\n")
	require.Len(t, letters, 2, "the names of the columns and one letter")
	got := c.lake(t, b)
	missing, extra := laketest.Differ(c.want[kind], got)
	c.done, c.rows, c.got, c.missing, c.extra = c.done+done, c.rows+len(c.want[kind]), c.got+len(got), c.missing+missing, c.extra+extra
	require.Zero(t, missing+extra, "missing %d, extra %d of %d rows", missing, extra, len(got))
	return done
}

// kill runs a worker that dies at the moment whose turn it is, and reports whether it did.
func (c *campaign) kill(t *testing.T, file string) bool {
	t.Helper()
	c.turn++
	turn := c.turn % (len(ownSteps) + len(requests)*len(phases) + 2)
	at, after := "never:1", time.Minute
	c.killer.kind, c.killer.phase = "", ""
	switch {
	case turn < len(ownSteps):
		at = fmt.Sprint(ownSteps[turn], ":", 1+c.rng.IntN(2))
	case turn < len(ownSteps)+len(requests)*len(phases):
		turn -= len(ownSteps)
		c.killer.kind, c.killer.phase = requests[turn/len(phases)], phases[turn%len(phases)]
		c.killer.left.Store(int64(1 + c.rng.IntN(2)))
	default:
		after = time.Duration(20+c.rng.IntN(600)) * time.Millisecond
	}
	path, err := mortal()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "run", file, "--until-caught-up") //nolint:gosec // the binary built above
	cmd.Dir, cmd.Env = c.u.dir, append(append(os.Environ(), c.u.env...), "PENSTOCK_TEST_DIE_AT="+at)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	c.killer.victim.Store(cmd.Process)
	_ = cmd.Wait() // how it ended is looked at next
	c.killer.victim.Store(nil)
	if cmd.ProcessState.Success() {
		return false
	}
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, status.Signaled() && status.Signal() == syscall.SIGKILL, "the run failed by itself: %s", said.String())
	require.False(t, after == time.Minute && ctx.Err() != nil, "the run hung: %s", said.String())
	return true
}
