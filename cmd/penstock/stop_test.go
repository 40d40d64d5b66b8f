//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
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

	"github.com/stretchr/testify/require"
)

// child is a command that runs in a process of its own.
type child struct {
	t    *testing.T
	cmd  *exec.Cmd
	said *syncBuffer
	done chan struct{} // closed when it has ended
}

type syncBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func spawn(t *testing.T, args ...string) *child {
	t.Helper()
	c := &child{t: t, cmd: exec.CommandContext(t.Context(), os.Args[0], args...), said: &syncBuffer{}, done: make(chan struct{})} //nolint:gosec // this very binary
	c.cmd.Env = append(os.Environ(), "PENSTOCK_TEST_DIE_AT=never:1")
	c.cmd.Stdout, c.cmd.Stderr = c.said, c.said
	require.NoError(t, c.cmd.Start())
	go func() {
		_ = c.cmd.Wait() // its state says how it ended
		close(c.done)
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.done
	})
	return c
}

// serves waits until the process has the data directory, so that who comes after is sent to it.
func (c *child) serves(data string) {
	c.t.Helper()
	require.Eventually(c.t, func() bool {
		_, err := os.Stat(filepath.Join(data, socketName))
		return err == nil
	}, 10*time.Second, 2*time.Millisecond, "%s", c.said)
}

func (c *child) signal(s syscall.Signal) { require.NoError(c.t, c.cmd.Process.Signal(s)) }

func (c *child) running() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// ends waits until the process has ended and returns how long that took.
func (c *child) ends(within time.Duration) time.Duration {
	c.t.Helper()
	began := time.Now()
	select {
	case <-c.done:
	case <-time.After(within):
		c.t.Fatalf("still running after %s: %s", within, c.said)
	}
	return time.Since(began)
}

// TestRestartsUnderLoad stops a pipeline by SIGTERM again and again while it delivers. PENSTOCK_RESTARTS says how often.
func TestRestartsUnderLoad(t *testing.T) {
	restarts := 20
	if n, err := strconv.Atoi(os.Getenv("PENSTOCK_RESTARTS")); err == nil {
		restarts = n
	}
	const each = 3000
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	newStream(t, data)
	file := clicksFile(t, dir, "p", "", "")
	rng := rand.New(rand.NewPCG(3, 4))
	var slowest time.Duration
	for round := range restarts {
		c := spawn(t, "run", file, "--data", data, "--drain", "5s")
		c.serves(data)
		put(t, data, round*each, (round+1)*each)
		time.Sleep(time.Duration(rng.IntN(200)) * time.Millisecond)
		c.signal(syscall.SIGTERM)
		slowest = max(slowest, c.ends(6*time.Second))
		unborn := c.cmd.ProcessState.ExitCode() == -1 && c.said.String() == "" // it had not come to wait for signals yet
		require.True(t, unborn || c.cmd.ProcessState.Success(), "%s: %s", c.cmd.ProcessState, c.said)
	}
	code, _, errOut := command(t, "run", file, "--data", data, "--until-caught-up")
	require.Equal(t, exitOK, code, errOut)
	want, got := upTo(0, restarts*each, anyNumber), numbers(t, filepath.Join(dir, "p"))
	missing, extra := 0, 0
	seen := map[int]int{}
	for _, n := range got {
		seen[n]++
	}
	for _, n := range want {
		missing += max(0, 1-seen[n])
		extra += max(0, seen[n]-1)
	}
	t.Logf("campaign=restart restarts=%d rows_expected=%d rows_got=%d missing=%d extra=%d slowest_stop=%s", restarts, len(want), len(got), missing, extra, slowest.Round(time.Millisecond))
	require.Zero(t, missing+extra)
	require.Len(t, got, len(want))
	line, code, _ := verifyLine(t, file)
	require.Equal(t, exitOK, code, line)
}

// store is a bucket that can stand still: then it takes requests for objects and does not answer.
type store struct {
	stuck atomic.Bool
	held  atomic.Int64 // requests that wait for their answer

	mu      sync.Mutex // guards objects
	objects map[string][]byte
}

func newStore(t *testing.T) (*store, string) {
	t.Helper()
	s := &store{objects: map[string][]byte{}}
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return s, server.URL
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	in := io.Reader(r.Body)
	if r.Header.Get("X-Amz-Decoded-Content-Length") != "" { // signed chunk by chunk
		in = httputil.NewChunkedReader(in)
	}
	body, _ := io.ReadAll(in)
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		_, _ = fmt.Fprint(w, `<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>`)
	case r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodGet && q.Has("uploads"):
		_, _ = fmt.Fprint(w, `<ListMultipartUploadsResult></ListMultipartUploadsResult>`)
	case r.Method == http.MethodGet && q.Has("list-type"):
		_, _ = fmt.Fprint(w, `<ListBucketResult></ListBucketResult>`)
	case r.Method == http.MethodPut:
		if s.stuck.Load() {
			s.held.Add(1)
			<-r.Context().Done()
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.objects[r.URL.Path] = body
		w.Header().Set("ETag", `"e"`)
	}
}

// numbers are the n of the rows in all objects.
func (s *store) numbers(t *testing.T) []int {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []int{}
	for name, text := range s.objects {
		for line := range bytes.Lines(text) {
			var row struct{ N int }
			if strings.HasSuffix(name, ".ndjson") {
				require.NoError(t, json.Unmarshal(line, &row))
				out = append(out, row.N)
			}
		}
	}
	slices.Sort(out)
	return out
}

// stuckRun starts a pipeline into a bucket that stands still, and waits until an object is on its way.
func stuckRun(t *testing.T, flags ...string) (c *child, s *store, file, data string) {
	t.Helper()
	dir := t.TempDir()
	data, file = filepath.Join(dir, "data"), filepath.Join(dir, "p.yaml")
	newStream(t, data)
	put(t, data, 0, 500)
	s, url := newStore(t)
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `version: 1
name: p
source: {stream: clicks, decode: {json: {}}}
buffer: {max_age: 100ms}
sink: {s3: {endpoint: %q, bucket: lake, region: us-east-1, access_key: a, secret_key: '${SECRET:-s3cr3t-canary}', format: {ndjson: {}}}}
`, url), 0o600))
	s.stuck.Store(true)
	c = spawn(t, append([]string{"run", file, "--data", data, "--log-level", "debug"}, flags...)...)
	require.Eventually(t, func() bool { return s.held.Load() > 0 }, 10*time.Second, 10*time.Millisecond, "%s", c.said)
	return c, s, file, data
}

func TestAStopThatTakesTooLongEndsAllTheSame(t *testing.T) {
	address := freeAddress(t)
	c, s, file, data := stuckRun(t, "--drain", "5s", "--admin", address)
	code, _ := get(t, address, "/readyz")
	require.Equal(t, http.StatusOK, code)
	put(t, data, 500, 600) // gathered while the first plan is open
	c.signal(syscall.SIGTERM)
	require.Eventually(t, func() bool { code, _ := get(t, address, "/readyz"); return code == http.StatusServiceUnavailable }, 4*time.Second, 5*time.Millisecond)
	code, _ = get(t, address, "/healthz")
	require.Equal(t, http.StatusOK, code, "it drains, and is not ill")
	c.ends(20 * time.Second)
	require.Equal(t, exitFailed, c.cmd.ProcessState.ExitCode(), c.said)
	require.Contains(t, c.said.String(), "pipeline p: the drain time ended before everything was delivered; the next run delivers it (plan 1 is open")
	require.NotContains(t, c.said.String(), "s3cr3t-canary")
	require.Empty(t, s.numbers(t))

	s.stuck.Store(false)
	code, _, errOut := command(t, "run", file, "--data", data, "--until-caught-up")
	require.Equal(t, exitOK, code, errOut)
	require.Contains(t, errOut, "which an earlier run left open")
	require.Equal(t, upTo(0, 600, anyNumber), s.numbers(t))
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	c, s, file, data := stuckRun(t, "--drain", "1m")
	c.signal(syscall.SIGTERM)
	require.Eventually(t, func() bool { return strings.Contains(c.said.String(), "msg=stopping") }, 5*time.Second, 10*time.Millisecond)
	c.signal(syscall.SIGTERM) // a moment later, which is taken for the first one
	time.Sleep(2 * oneSignal)
	require.True(t, c.running())
	c.signal(syscall.SIGTERM)
	c.ends(20 * time.Second)
	require.False(t, c.cmd.ProcessState.Success())
	s.stuck.Store(false)
	code, _, errOut := command(t, "run", file, "--data", data, "--until-caught-up")
	require.Equal(t, exitOK, code, errOut)
	require.Equal(t, upTo(0, 500, anyNumber), s.numbers(t))
}

func TestABucketThatIsNotThereEndsARunAtOnce(t *testing.T) {
	dir := t.TempDir()
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "p.yaml")
	newStream(t, data)
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "version: 1\nname: p\nsource: {stream: clicks, decode: {json: {}}}\n"+
		"sink: {s3: {endpoint: %q, bucket: lake, region: us-east-1, access_key: a, secret_key: '${SECRET:-s3cr3t-canary}'}}\n", server.URL), 0o600))
	code, _, errOut := command(t, "run", file, "--data", data)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "penstock: pipeline p: ")
	require.NotContains(t, errOut, "s3cr3t-canary")
}
