package kinesissource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/laketest"
	"github.com/penstock/penstock/integration/servetest"
)

func TestMain(m *testing.M) { os.Exit(servetest.Main(m)) }

// pipeline is one of a user's, into NDJSON files, with a data directory of its own.
type pipeline struct {
	dir string
	cmd *exec.Cmd
	end chan struct{} // closed when cmd has ended
}

// newPipeline writes the file of a pipeline from a stream of the server at an endpoint.
func newPipeline(t *testing.T, endpoint, source string) *pipeline {
	t.Helper()
	p := &pipeline{dir: t.TempDir()}
	text := fmt.Sprintf(`version: 1
name: p
source:
  kinesis: {stream: clicks, endpoint: '%s', access_key: key, secret_key: '${SECRET}'%s}
  decode: {json: {}}
buffer: {max_records: 700, max_age: 1s}
sink: {file: {path: ./lake, format: {ndjson: {}}}}
`, endpoint, source)
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, "p.yaml"), []byte(text), 0o600))
	t.Cleanup(p.kill)
	return p
}

func (p *pipeline) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(servetest.Command(t), args...) //nolint:gosec // the binary that was built, ended by kill
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), "SECRET=secret")
	return cmd
}

// start runs the pipeline until it is killed.
func (p *pipeline) start(t *testing.T) {
	t.Helper()
	p.cmd, p.end = p.command(t, "run", "p.yaml", "--log-level", "warn"), make(chan struct{})
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	require.NoError(t, p.cmd.Start())
	cmd, end := p.cmd, p.end
	go func() {
		defer close(end)
		_ = cmd.Wait() // killed
		_ = log.Close()
	}()
}

// kill ends it as a crash would.
func (p *pipeline) kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		<-p.end
	}
	p.cmd = nil
}

// run runs a command to its end and returns what it printed.
func (p *pipeline) run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := p.command(t, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(p.dir, "log"))
		t.Logf("log:\n%s", log)
	}
	require.NoError(t, err, "penstock %v\n%s", args, out.String())
	return out.String()
}

// catchUp runs the pipeline until it has read what there is.
func (p *pipeline) catchUp(t *testing.T) {
	t.Helper()
	p.run(t, "run", "p.yaml", "--until-caught-up")
}

// rows counts the rows of the lake by their id.
func (p *pipeline) rows(t *testing.T) map[string]int {
	t.Helper()
	objects := map[string][]byte{}
	root := filepath.Join(p.dir, "lake")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(root, path)
		objects[filepath.ToSlash(name)], err = os.ReadFile(path) //nolint:gosec // of the test
		return err
	})
	require.NoError(t, err)
	out := map[string]int{}
	for _, row := range laketest.Rows(t, objects) {
		var v struct{ ID string }
		require.NoError(t, json.Unmarshal([]byte(row), &v), row)
		out[v.ID]++
	}
	return out
}

// verified says that the lake is proven whole.
func (p *pipeline) verified(t *testing.T) {
	t.Helper()
	out := p.run(t, "verify", "p.yaml", "--data", "penstock-data")
	require.Contains(t, out, "verify p: clean", out)
}

// waitFor waits until the lake has so many rows.
func (p *pipeline) waitFor(t *testing.T, rows int) {
	t.Helper()
	require.Eventually(t, func() bool {
		if _, err := os.Stat(filepath.Join(p.dir, "lake")); err != nil {
			return false
		}
		n := 0
		for _, of := range p.rows(t) {
			n += of
		}
		return n >= rows
	}, 2*time.Minute, 300*time.Millisecond, "the pipeline does not deliver; its log: %s", p.log())
}

func (p *pipeline) log() string {
	b, _ := os.ReadFile(filepath.Join(p.dir, "log"))
	return strings.TrimSpace(string(b))
}
