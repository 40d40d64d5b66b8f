//go:build unix

package workers

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/servetest"
)

func TestMain(m *testing.M) { os.Exit(servetest.Main(m)) }

// fleet is the workers of one pipeline. Each reaches the state through a network of its own.
type fleet struct {
	t     *testing.T
	dir   string
	state *url.URL
	lake  lake
	// failover is what the workers have as theirs; flags are others of theirs.
	failover time.Duration
	flags    []string
	network  *toxiproxy.ApiServer
	all      []*worker
	made     int
}

// worker is a process.
type worker struct {
	cmd    *exec.Cmd
	way    *toxiproxy.Proxy // to the state
	ended  chan struct{}
	frozen bool
	cut    bool
}

// newFleet makes a fleet of a pipeline, p, without workers.
func newFleet(t *testing.T, dir, pipeline, state string, lake lake) *fleet {
	t.Helper()
	zerolog.SetGlobalLevel(zerolog.Disabled) // some toxics do not use the logger that they are given
	u, err := url.Parse(state)
	require.NoError(t, err)
	f := &fleet{
		t: t, dir: dir, state: u, lake: lake, failover: 2 * time.Second,
		network: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop()),
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "p.yaml"), []byte(pipeline), 0o600))
	t.Cleanup(func() {
		for len(f.all) > 0 {
			f.kill(0)
		}
	})
	return f
}

func (f *fleet) command(args ...string) *exec.Cmd {
	cmd := exec.Command(servetest.Command(f.t), args...) //nolint:gosec // the binary that was built, ended by kill
	cmd.Dir, cmd.Env = f.dir, append(os.Environ(), "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret", "AWS_REGION=us-east-1", "SECRET=secret", "LAKE_SECRET="+f.lake.secret(), "TMPDIR="+f.dir)
	return cmd
}

// add starts a worker.
func (f *fleet) add() {
	f.t.Helper()
	f.made++
	log, err := os.Create(filepath.Join(f.dir, fmt.Sprintf("worker-%d.log", f.made)))
	require.NoError(f.t, err)
	way := toxiproxy.NewProxy(f.network, fmt.Sprint("worker-", f.made), "127.0.0.1:0", f.state.Host)
	require.NoError(f.t, way.Start())
	f.t.Cleanup(way.Stop)
	state := *f.state
	state.Host = way.Listen
	w := &worker{cmd: f.command(append([]string{"run", "p.yaml", "--state", state.String(), "--failover", f.failover.String(), "--drain", "45s"}, f.flags...)...), way: way, ended: make(chan struct{})}
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
	f.mend(w)
	_ = w.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-w.ended:
	case <-time.After(time.Minute):
		require.Fail(f.t, "a worker does not stop", f.logs())
	}
	status, _ := w.cmd.ProcessState.Sys().(syscall.WaitStatus)
	unborn := status.Signaled() && status.Signal() == syscall.SIGTERM // it came before the process could catch it
	require.True(f.t, w.cmd.ProcessState.Success() || unborn, f.logs())
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

// cut makes the network between a worker and the state a black hole, or mends it.
func (f *fleet) cut(i int) {
	w := f.all[i]
	if w.cut {
		f.mend(w)
		return
	}
	for _, way := range []string{"upstream", "downstream"} {
		_, err := w.way.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(`{"name":%[1]q,"type":"timeout","stream":%[1]q,"toxicity":1,"attributes":{"timeout":0}}`, way)))
		require.NoError(f.t, err)
	}
	w.cut = true
}

func (f *fleet) mend(w *worker) {
	if w.cut {
		w.way.Toxics.ResetToxics(f.t.Context())
		w.cut = false
	}
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

// finish ends all workers, has what is left delivered, and looks what became of the records.
func (f *fleet) finish(p *producer, lake *arrivals, campaign string) {
	f.t.Helper()
	for _, w := range f.all {
		f.thaw(w)
		f.mend(w)
	}
	require.Eventually(f.t, func() bool { return len(lake.look(f.t)) >= p.count() }, 3*time.Minute, time.Second, "%s", f.logs())
	for len(f.all) > 0 {
		f.stop(0)
	}
	f.run("run", "p.yaml", "--state", f.state.String(), "--until-caught-up")
	rows := lake.look(f.t)
	missing, extra := p.judge(f.t, rows)
	require.Contains(f.t, f.run("verify", "p.yaml"), "verify p: clean")
	f.t.Logf("%s rows_expected=%d rows_got=%d missing=%d extra=%d", campaign, p.count(), len(rows), missing, extra)
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

// said is all that the workers said.
func (f *fleet) said() string {
	var out strings.Builder
	files, _ := filepath.Glob(filepath.Join(f.dir, "worker-*.log")) // the pattern is right
	for _, name := range files {
		b, _ := os.ReadFile(name) //nolint:gosec // of the test
		out.Write(b)
	}
	return out.String()
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
