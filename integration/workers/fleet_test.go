//go:build unix

package workers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/servetest"
)

func TestMain(m *testing.M) { os.Exit(servetest.Main(m)) }

const failover = 2 * time.Second

// fleet is the workers of one pipeline.
type fleet struct {
	t     *testing.T
	dir   string
	state string
	all   []*worker
	made  int
}

// worker is a process.
type worker struct {
	cmd    *exec.Cmd
	ended  chan struct{}
	frozen bool
}

// newFleet writes the pipeline of a stream of the server at an endpoint.
func newFleet(t *testing.T, endpoint, state string) *fleet {
	t.Helper()
	f := &fleet{t: t, dir: t.TempDir(), state: state}
	text := fmt.Sprintf(`version: 1
name: p
source: {kinesis: {stream: clicks, endpoint: '%s', access_key: key, secret_key: '${SECRET}'}, decode: {json: {}}}
buffer: {max_records: 2000, max_age: 1s}
sink: {file: {path: ./lake, format: {ndjson: {}}}}
`, endpoint)
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "p.yaml"), []byte(text), 0o600))
	t.Cleanup(func() {
		for len(f.all) > 0 {
			f.kill(0)
		}
	})
	return f
}

func (f *fleet) command(args ...string) *exec.Cmd {
	cmd := exec.Command(servetest.Command(f.t), args...) //nolint:gosec // the binary that was built, ended by kill
	cmd.Dir, cmd.Env = f.dir, append(os.Environ(), "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret", "AWS_REGION=us-east-1", "SECRET=secret", "TMPDIR="+f.dir)
	return cmd
}

// add starts a worker.
func (f *fleet) add() {
	f.t.Helper()
	f.made++
	log, err := os.Create(filepath.Join(f.dir, fmt.Sprintf("worker-%d.log", f.made)))
	require.NoError(f.t, err)
	w := &worker{cmd: f.command("run", "p.yaml", "--state", f.state, "--failover", failover.String()), ended: make(chan struct{})}
	w.cmd.Stdout, w.cmd.Stderr = log, log
	require.NoError(f.t, w.cmd.Start())
	go func() {
		defer close(w.ended)
		_ = w.cmd.Wait() // killed, stopped, or its log says why it ended
		_ = log.Close()
	}()
	f.all = append(f.all, w)
}

// kill ends a worker as a crash would.
func (f *fleet) kill(i int) {
	w := f.all[i]
	_ = w.cmd.Process.Kill() // it may have ended
	<-w.ended
	f.all = append(f.all[:i], f.all[i+1:]...)
}

// stop ends a worker as a deployment would.
func (f *fleet) stop(i int) {
	f.t.Helper()
	w := f.all[i]
	f.thaw(w)
	_ = w.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-w.ended:
	case <-time.After(time.Minute):
		require.Fail(f.t, "a worker does not stop", f.logs())
	}
	require.True(f.t, w.cmd.ProcessState.Success(), f.logs())
	f.all = append(f.all[:i], f.all[i+1:]...)
}

// freeze stops a worker in its tracks, or sets one going again.
func (f *fleet) freeze(i int) {
	w := f.all[i]
	if w.frozen {
		f.thaw(w)
		return
	}
	_ = w.cmd.Process.Signal(syscall.SIGSTOP)
	w.frozen = true
}

func (f *fleet) thaw(w *worker) {
	if w.frozen {
		_ = w.cmd.Process.Signal(syscall.SIGCONT)
		w.frozen = false
	}
}

// healthy fails the test if a worker ended by itself.
func (f *fleet) healthy() {
	f.t.Helper()
	for _, w := range f.all {
		select {
		case <-w.ended:
			require.Fail(f.t, "a worker ended by itself", f.logs())
		default:
		}
	}
}

// run runs a command to its end and returns what it printed.
func (f *fleet) run(args ...string) string {
	f.t.Helper()
	cmd := f.command(args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	require.NoError(f.t, err, "penstock %v\n%s\n%s", args, out.String(), f.logs())
	return out.String()
}

// rows counts the rows of the lake by their id, and checks that rows of one key are in order within a file.
func (f *fleet) rows() map[string]int {
	f.t.Helper()
	root, out := filepath.Join(f.dir, "lake"), map[string]int{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "_penstock") {
			return err
		}
		text, err := os.ReadFile(path) //nolint:gosec // of the test
		if err != nil {
			return err
		}
		last := map[string]int{}
		for row := range bytes.Lines(text) {
			var v struct {
				ID, Key string
				N       int
			}
			require.NoError(f.t, json.Unmarshal(row, &v), string(row))
			require.GreaterOrEqual(f.t, v.N, last[v.Key], "%s: rows of key %s are out of order", d.Name(), v.Key)
			last[v.Key] = v.N
			out[v.ID]++
		}
		return nil
	})
	if !os.IsNotExist(err) {
		require.NoError(f.t, err)
	}
	return out
}

// logs are the ends of what the workers said.
func (f *fleet) logs() string {
	var out strings.Builder
	files, _ := filepath.Glob(filepath.Join(f.dir, "worker-*.log")) // the pattern is right
	for _, name := range files {
		b, _ := os.ReadFile(name) //nolint:gosec // of the test
		if len(b) > 2000 {
			b = b[len(b)-2000:]
		}
		fmt.Fprintf(&out, "%s:\n%s\n", filepath.Base(name), b)
	}
	return out.String()
}
