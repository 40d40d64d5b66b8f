//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/integration/laketest"
	"github.com/penstock/penstock/pipelines"
)

// TestMain lets the test binary be the command itself, killed by its own hand at the n-th time it reaches a step.
func TestMain(m *testing.M) {
	at := os.Getenv("PENSTOCK_TEST_DIE_AT")
	if at == "" {
		os.Exit(m.Run())
	}
	step, count, _ := strings.Cut(at, ":")
	n, _ := strconv.ParseInt(count, 10, 64)
	var seen atomic.Int64
	ctx := connectors.WithSteps(context.Background(), func(s string) {
		if s == step && seen.Add(1) == n {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	})
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

var steps = []string{"flush-closed", "plan-committed", "dead-letters-put", "outputs-written", "manifest-written", "published", "done"}

// TestArchiveKilledAtAnyMoment kills an archive at random moments and at every step between the close of a flush and
// the move of its checkpoints, and compares what comes out with an undisturbed run. PENSTOCK_KILLS says how often.
func TestArchiveKilledAtAnyMoment(t *testing.T) {
	kills := 20
	if n, err := strconv.Atoi(os.Getenv("PENSTOCK_KILLS")); err == nil {
		kills = n
	}
	const events = 40_000
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	err := makeNode(t.Context(), data, func(n *pipelines.Node) error {
		if _, err := n.Streams.Create(t.Context(), "clicks", stream.Settings{Shards: 4}); err != nil {
			return err
		}
		s, err := n.Streams.Open(t.Context(), "clicks")
		if err != nil {
			return err
		}
		_, err = fill(t.Context(), s, events)
		return errors.Join(err, putBad(t.Context(), s))
	})
	require.NoError(t, err)
	calm := archive(t, dir, "calm")
	code, _, errOut := command(t, "run", calm, "--data", data, "--until-caught-up")
	require.Equal(t, exitOK, code, errOut)
	want := lines(t, dir, "calm")
	require.NotEmpty(t, want)

	rng := rand.New(rand.NewPCG(1, 2))
	done, missing, extra, got := 0, 0, 0, 0
	for round := 0; done < kills; round++ {
		name := fmt.Sprint("storm-", round)
		file := archive(t, dir, name)
		for range 12 {
			if done == kills {
				break
			}
			at := "never:1"
			after := time.Hour
			if rng.IntN(3) > 0 {
				at = fmt.Sprint(steps[done%len(steps)], ":", 1+rng.IntN(3))
			} else {
				after = time.Duration(20+rng.IntN(400)) * time.Millisecond
			}
			if killed(t, file, data, at, after) {
				done++
			}
		}
		code, _, errOut := command(t, "run", file, "--data", data, "--until-caught-up")
		require.Equal(t, exitOK, code, errOut)
		line, code, _ := verifyLine(t, file)
		require.Equal(t, exitOK, code, line)
		have := lines(t, dir, name)
		got += len(have)
		m, e := laketest.Differ(want, have)
		missing, extra = missing+m, extra+e
		require.Zero(t, m+e, "%s: missing %d, extra %d of %d rows", name, m, e, len(want))
		require.Len(t, letters(t, name, data), 3)
		t.Logf("campaign=archive-kill kills=%d rows_expected=%d rows_got=%d missing=%d extra=%d", done, len(want)*(round+1), got, missing, extra)
	}
}

// putBad puts records that no row comes of.
func putBad(ctx context.Context, s *stream.Stream) error {
	out, err := s.Put(ctx, []stream.Record{{Key: "a", Data: []byte("{")}, {Key: "b", Data: nil}, {Key: "c", Data: []byte("5")}})
	if err != nil {
		return err
	}
	return errors.Join(out[0].Err, out[1].Err, out[2].Err)
}

// archive writes the pipeline file of a name.
func archive(t *testing.T, dir, name string) string {
	t.Helper()
	file := filepath.Join(dir, name+".yaml")
	text := fmt.Sprintf(`version: 1
name: %s
source: {stream: clicks, decode: {json: {}}}
stages:
  - filter: 'event_type != "heartbeat"'
buffer: {max_records: 4000}
sink: {file: {path: %q, prefix: '!{timestamp:HH}/', partition_by: event_time, format: {ndjson: {}}}}
`, name, filepath.Join(dir, name))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// killed runs a pipeline in a process of its own and reports whether it was killed before it ended.
func killed(t *testing.T, file, data, at string, after time.Duration) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "run", file, "--data", data, "--until-caught-up") //nolint:gosec // this very binary
	cmd.Env = append(os.Environ(), "PENSTOCK_TEST_DIE_AT="+at)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if cmd.ProcessState != nil && cmd.ProcessState.Success() { // it may end just as its time does, which is an error of ctx
		return false
	}
	require.ErrorAs(t, err, &exit, "%s", out)
	status := exit.Sys().(syscall.WaitStatus)
	require.True(t, status.Signaled() && status.Signal() == syscall.SIGKILL, "the run failed by itself: %v\n%s", err, out)
	return true
}

// lines are the rows of a lake that its manifests name, in order.
func lines(t *testing.T, dir, name string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, name, "??", "*.ndjson"))
	require.NoError(t, err)
	if len(files) == 0 {
		files, err = filepath.Glob(filepath.Join(dir, name, "??", "*"))
		require.NoError(t, err)
	}
	var out []string
	for _, f := range files {
		in, err := os.Open(f)
		require.NoError(t, err)
		sc := bufio.NewScanner(in)
		for sc.Scan() {
			out = append(out, sc.Text())
		}
		require.NoError(t, errors.Join(sc.Err(), in.Close()))
	}
	slices.Sort(out)
	return out
}

// letters are the dead letters of a pipeline.
func letters(t *testing.T, name, data string) []string {
	t.Helper()
	code, out, errOut := command(t, "dlq", "list", name+".dead", "--data", data)
	require.Equal(t, exitOK, code, errOut)
	return strings.Split(strings.TrimSpace(out), "\n")[1:] // the first names the columns
}
