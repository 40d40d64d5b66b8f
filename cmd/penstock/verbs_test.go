//go:build unix

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// killedAt runs a command in a process of its own that is killed when it reaches a step, and reports whether it was.
func killedAt(t *testing.T, at string, args ...string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...) //nolint:gosec // this very binary
	cmd.Env = append(os.Environ(), "PENSTOCK_TEST_DIE_AT="+at)
	out, err := cmd.CombinedOutput()
	if err == nil {
		return false
	}
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "%s", out)
	require.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal(), "%v\n%s", err, out)
	return true
}

// statusBecomes waits until the only pipeline is in a state.
func statusBecomes(t *testing.T, b *background, address, state string) {
	t.Helper()
	body := ""
	require.Eventually(t, func() bool {
		var p pipelineStatus
		p, body = statusOf(t, address)
		return p.State == state
	}, time.Minute, 50*time.Millisecond, "%s, not %s: %s", b.said(), state, body)
}

// TestAPausedPipelineReadsNothingUntilItIsResumed pauses one that runs, starts its process again, and resumes it.
func TestAPausedPipelineReadsNothingUntilItIsResumed(t *testing.T) {
	dir := t.TempDir()
	data, address := filepath.Join(dir, "data"), freeAddress(t)
	newStream(t, data)
	file := clicksFile(t, dir, "p", "", "")
	b := begin(t, "run", file, "--data", data, "--admin", address)
	b.saying("", 0)
	require.Eventually(t, func() bool { code, _ := get(t, address, "/readyz"); return code == http.StatusOK }, time.Minute, 50*time.Millisecond)
	put(t, data, 0, 10)
	arrives(t, filepath.Join(dir, "p"), upTo(0, 10, anyNumber))
	require.Contains(t, ok(t, "pipelines", "pause", "p", "--data", data), "pipeline p is paused since ")
	statusBecomes(t, b, address, connectors.Paused)
	_, figures := get(t, address, "/metrics")
	require.Contains(t, figures, `penstock_pipeline_paused{pipeline="p"} 1`)
	put(t, data, 10, 20)
	require.Contains(t, ok(t, "pipelines", "describe", "p", "--data", data), "pipeline p is paused since ")
	for _, p := range result[[]described](t, "pipelines", "describe", "p", "--data", data) {
		require.NotNil(t, p.PausedAt)
		require.Empty(t, p.Owner)
	}
	require.Equal(t, exitOK, b.end(), b.said())

	code, _, errOut := command(t, "run", file, "--data", data, "--until-caught-up")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "pipeline p is paused since")
	b = begin(t, "run", file, "--data", data, "--admin", address)
	statusBecomes(t, b, address, connectors.Paused)
	time.Sleep(3 * time.Second) // in which it would read
	require.Equal(t, upTo(0, 10, anyNumber), numbers(t, filepath.Join(dir, "p")))
	require.Contains(t, ok(t, "pipelines", "pause", "p", "--data", data), "is paused since", "again")
	ok(t, "pipelines", "resume", "p", "--data", data)
	arrives(t, filepath.Join(dir, "p"), upTo(0, 20, anyNumber))
	statusBecomes(t, b, address, stateRunning)
	_, figures = get(t, address, "/metrics")
	require.Contains(t, figures, `penstock_pipeline_paused{pipeline="p"} 0`)
	require.Equal(t, exitOK, b.end(), b.said())
	line, code, _ := verifyLine(t, file)
	require.Equal(t, exitOK, code, line)
}

// TestAPauseThatIsKilledIsFinishedWhilePaused kills a process between the commit of the plan that a pause makes and what it
// writes, and starts it again.
func TestAPauseThatIsKilledIsFinishedWhilePaused(t *testing.T) {
	for _, step := range []string{"flush-closed", "plan-committed", "outputs-written", "manifest-written", "published", "done"} {
		t.Run(step, func(t *testing.T) {
			dir := t.TempDir()
			data, address := filepath.Join(dir, "data"), freeAddress(t)
			newStream(t, data)
			put(t, data, 0, 100)
			file := clicksFile(t, dir, "p", "", "")
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(text), "max_age: 200ms", "max_age: 1h", 1)), 0o600))
			died := make(chan bool, 1)
			go func() {
				cmd := exec.CommandContext(t.Context(), os.Args[0], "run", file, "--data", data, "--admin", address) //nolint:gosec // this very binary
				cmd.Env = append(os.Environ(), "PENSTOCK_TEST_DIE_AT="+step+":1")
				_ = cmd.Run() // what became of it its state says
				status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
				died <- ok && status.Signaled() && status.Signal() == syscall.SIGKILL
			}()
			read := regexp.MustCompile(`penstock_get_records_records_total\{pipeline="p"\} 100\n`)
			require.Eventually(t, func() bool {
				_, figures := get(t, address, "/metrics")
				return read.MatchString(figures)
			}, time.Minute, 50*time.Millisecond)
			require.Empty(t, numbers(t, filepath.Join(dir, "p")), "it is gathered")
			_, _, _ = command(t, "pipelines", "pause", "p", "--data", data, "--wait", "0s") // its process may die before it answers
			require.True(t, <-died)
			ok(t, "pipelines", "pause", "p", "--data", data, "--wait", "0s")
			b := begin(t, "run", file, "--data", data, "--admin", address)
			statusBecomes(t, b, address, connectors.Paused)
			for _, p := range result[[]described](t, "pipelines", "describe", "p", "--data", data) {
				require.Zero(t, p.OpenPlan)
			}
			ok(t, "pipelines", "resume", "p", "--data", data)
			put(t, data, 100, 110)
			require.Equal(t, exitOK, b.end(), b.said())
			code, _, errOut := command(t, "run", file, "--data", data, "--until-caught-up")
			require.Equal(t, exitOK, code, errOut)
			require.Equal(t, upTo(0, 110, anyNumber), numbers(t, filepath.Join(dir, "p")))
			line, code, _ := verifyLine(t, file)
			require.Equal(t, exitOK, code, line)
		})
	}
}

// resetOf is what a reset would do, or did.
func resetOf(t *testing.T, data string, args ...string) resetPreview {
	t.Helper()
	return result[resetPreview](t, append([]string{"pipelines", "reset", "p", "--data", data}, args...)...)
}

func sumOf(p resetPreview) (again, skipped connectors.Amount) {
	for _, s := range p.Shards {
		again.Records, again.Bytes = again.Records+s.Again.Records, again.Bytes+s.Again.Bytes
		skipped.Records += s.Skipped.Records
	}
	return again, skipped
}

// TestAResetIsShownBeforeItIsDone counts what each kind of reset reads again, and does some.
func TestAResetIsShownBeforeItIsDone(t *testing.T) {
	dir := t.TempDir()
	data, lake := filepath.Join(dir, "data"), filepath.Join(dir, "p")
	newStream(t, data)
	file := clicksFile(t, dir, "p", "", "")
	put(t, data, 0, 100)
	time.Sleep(20 * time.Millisecond)
	between := time.Now().UTC().Format(time.RFC3339Nano)
	time.Sleep(20 * time.Millisecond)
	put(t, data, 100, 150)
	ok(t, "run", file, "--data", data, "--until-caught-up", "--quiet")
	checkpoints := func() (out []core.SequenceNumber) {
		for _, p := range result[[]described](t, "pipelines", "describe", "p", "--data", data) {
			out = append(out, p.Checkpoint)
		}
		return out
	}
	before := checkpoints()
	for to, want := range map[string]int64{"": 150, "trim_horizon": 150, "latest": 0, between: 50, "2020-01-01T00:00:00Z": 150} {
		var args []string
		if to != "" {
			args = []string{"--to", to}
		}
		p := resetOf(t, data, args...)
		again, skipped := sumOf(p)
		require.Equal(t, want, again.Records, to)
		require.Equal(t, want > 0, again.Bytes > want, to)
		require.Zero(t, skipped.Records, to)
		require.False(t, p.Done)
		require.Contains(t, p.Sink, "twice")
	}
	require.Equal(t, before, checkpoints(), "nothing was asked for")

	put(t, data, 150, 160)
	_, skipped := sumOf(resetOf(t, data, "--to", "latest"))
	require.Equal(t, int64(10), skipped.Records)
	ok(t, "run", file, "--data", data, "--until-caught-up", "--quiet")

	var first []string // sequence numbers of shard 0
	for _, r := range tailOfClicks(t, data) {
		if r.Shard == core.NewShardID(0) {
			first = append(first, string(r.Seq))
		}
	}
	p := resetOf(t, data, "--to", "0:"+first[9])
	again, _ := sumOf(p)
	require.Equal(t, int64(len(first)-10), again.Records)
	require.Len(t, p.Shards, 1)
	require.True(t, resetOf(t, data, "--to", "0:"+first[9], "--yes").Done)
	ok(t, "run", file, "--data", data, "--until-caught-up", "--quiet")
	require.Len(t, numbers(t, lake), 160+len(first)-10)

	text := ok(t, "pipelines", "reset", "p", "--data", data, "--to", between)
	require.Contains(t, text, "60 records (")
	require.Contains(t, text, "nothing was changed: pass --yes to do it")
	require.Contains(t, text, "rows that are read again are there twice")
	was := len(numbers(t, lake))
	ok(t, "pipelines", "reset", "p", "--data", data, "--to", between, "--yes")
	ok(t, "run", file, "--data", data, "--until-caught-up", "--quiet")
	require.Len(t, numbers(t, lake), was+60)
	line, code, _ := verifyLine(t, file)
	require.Equal(t, exitOK, code, line)
	for _, wrong := range []string{"soon", "0:x", "7:" + first[0], "1:" + first[0]} {
		code, _, errOut := command(t, "pipelines", "reset", "p", "--data", data, "--to", wrong)
		require.Equal(t, exitUsage, code, "%s: %s", wrong, errOut)
	}
}

// tailOfClicks are the records of the stream.
func tailOfClicks(t *testing.T, data string) []tailed {
	t.Helper()
	return tailOfStream(t, "clicks", "--data", data)
}

// TestAPausedPipelineIsResetWhileItsProcessRuns: it goes on by itself, in the new incarnation.
func TestAPausedPipelineIsResetWhileItsProcessRuns(t *testing.T) {
	dir := t.TempDir()
	data, lake := filepath.Join(dir, "data"), filepath.Join(dir, "p")
	newStream(t, data)
	put(t, data, 0, 10)
	b := begin(t, "run", clicksFile(t, dir, "p", "", ""), "--data", data)
	arrives(t, lake, upTo(0, 10, anyNumber))
	ok(t, "pipelines", "pause", "p", "--data", data)
	text := ok(t, "pipelines", "reset", "p", "--to", "trim_horizon", "--data", data, "--yes")
	require.Contains(t, text, "it is paused; penstock pipelines resume p")
	put(t, data, 10, 20)
	ok(t, "pipelines", "resume", "p", "--data", data)
	want := append(upTo(0, 10, anyNumber), upTo(0, 20, anyNumber)...)
	slices.Sort(want)
	arrives(t, lake, want)
	require.Equal(t, exitOK, b.end(), b.said())
}

// TestABackfillArrivesOnceWhateverKillsIt kills it at every step and starts it again, over a stream that was split meanwhile.
func TestABackfillArrivesOnceWhateverKillsIt(t *testing.T) {
	dir := t.TempDir()
	data, lake := filepath.Join(dir, "data"), filepath.Join(dir, "again")
	newStream(t, data)
	put(t, data, 0, 100)
	now := func() string {
		time.Sleep(20 * time.Millisecond)
		defer time.Sleep(20 * time.Millisecond)
		return time.Now().UTC().Format(time.RFC3339Nano)
	}
	from := now()
	put(t, data, 100, 3000)
	ok(t, "streams", "split", "clicks", "0", "--data", data)
	put(t, data, 3000, 6000)
	to := now()
	put(t, data, 6000, 6100)
	file := clicksFile(t, dir, "p", "{filter: 'kind == \"even\"'}", "")
	ok(t, "run", file, "--data", data, "--until-caught-up", "--quiet")
	require.Len(t, numbers(t, filepath.Join(dir, "p")), 3050)

	into := filepath.Join(dir, "again.yaml")
	require.NoError(t, os.WriteFile(into, []byte(fmt.Sprintf("version: 1\nname: again\nbuffer: {max_records: 500}\nsink: {file: {path: %q, format: {ndjson: {}}}}\n", lake)), 0o600))
	args := []string{"pipelines", "backfill", "p", "--from", from, "--to", to, "--into", into, "--data", data}
	kills := 0
	for _, step := range steps {
		for n := 1; n <= 2; n++ {
			if killedAt(t, fmt.Sprint(step, ":", n), args...) {
				kills++
			}
		}
	}
	require.Greater(t, kills, 3)
	ok(t, args...)
	require.Equal(t, upTo(100, 6000, even), numbers(t, lake))
	text := ok(t, "verify", into, "--data", data)
	require.Contains(t, text, "verify again: clean")
	ok(t, append(args, "--quiet")...)
	require.Len(t, numbers(t, lake), 2950, "nothing is new")
	for _, p := range result[[]described](t, "pipelines", "describe", "again", "--data", data) {
		require.True(t, p.Ended)
	}

	other := slices.Clone(args)
	other[4] = "2020-01-01T00:00:00Z"
	code, _, errOut := command(t, other...)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "choose another name for another range")
	other[6] = time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	code, _, errOut = command(t, other...)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "has not come yet")
	code, _, errOut = command(t, "pipelines", "backfill", "p", "--from", from, "--to", to, "--into", file, "--data", data)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "source: leave it out")
	require.Len(t, numbers(t, filepath.Join(dir, "p")), 3050)
}

// TestAPipelineWithAnEndIsFinite runs a file of its own with a start and an end.
func TestAPipelineWithAnEndIsFinite(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	newStream(t, data)
	put(t, data, 0, 10)
	time.Sleep(20 * time.Millisecond)
	end := time.Now().UTC().Format(time.RFC3339Nano)
	time.Sleep(20 * time.Millisecond)
	put(t, data, 10, 20)
	file := clicksFile(t, dir, "p", "", "")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	write := func(end string) {
		require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(text), "stream: clicks,", "stream: clicks, end: '"+end+"',", 1)), 0o600))
	}
	write(end)
	ok(t, "run", file, "--data", data)
	require.Equal(t, upTo(0, 10, anyNumber), numbers(t, filepath.Join(dir, "p")))
	write(time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	code, _, errOut := command(t, "run", file, "--data", data)
	require.Equal(t, exitUsage, code, errOut)
	require.Contains(t, errOut, "has not come yet")
	write("tomorrow")
	code, _, errOut = command(t, "lint", file)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "source.end")
}

// TestABackfillLeavesTheConsumerToItsPipeline: two readers of one registered consumer take each other's subscriptions.
func TestABackfillLeavesTheConsumerToItsPipeline(t *testing.T) {
	of := "version: 1\nname: p\nsource: {kinesis: {stream: s, region: us-east-1, mode: fan_out, consumer: c}, decode: {json: {}}}\nsink: {file: {path: ./y}}\n"
	into := "version: 1\nname: b\nsink: {file: {path: ./x}}\n"
	s, err := registry().Backfill("b.yaml", []byte(into), []byte(of), time.Unix(0, 0), time.Unix(60, 0), os.LookupEnv)
	require.NoError(t, err)
	require.Equal(t, "s", s.Source.Kinesis.Stream)
	require.Empty(t, s.Source.Kinesis.Consumer)
	require.NotEqual(t, "fan_out", s.Source.Kinesis.Mode)
}
