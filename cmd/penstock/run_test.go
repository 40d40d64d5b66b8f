//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// background is a command that runs beside the test, in this process.
type background struct {
	t    *testing.T
	stop context.CancelFunc
	code chan int

	mu       sync.Mutex // guards out, err
	out, err bytes.Buffer
}

// begin starts a command, which is ended with the test at the latest.
func begin(t *testing.T, args ...string) *background {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	b := &background{t: t, stop: cancel, code: make(chan int, 1)}
	go func() {
		b.code <- run(ctx, args, strings.NewReader(""), b.writer(&b.out), b.writer(&b.err))
		close(b.code)
	}()
	t.Cleanup(func() {
		cancel()
		<-b.code
	})
	return b
}

func (b *background) writer(to *bytes.Buffer) io.Writer {
	return writerFunc(func(p []byte) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		_, err := to.Write(p)
		return err
	})
}

// said is what the command wrote to standard error so far.
func (b *background) said() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err.String()
}

// saying waits until the command said something, n times.
func (b *background) saying(text string, n int) {
	b.t.Helper()
	require.Eventually(b.t, func() bool { return strings.Count(b.said(), text) >= n }, 20*time.Second, 20*time.Millisecond, "%q is not %d times in: %s", text, n, sayer{b})
}

type sayer struct{ b *background }

func (s sayer) String() string { return s.b.said() }

// end asks the command to end and returns its exit code.
func (b *background) end() int {
	b.stop()
	return <-b.code
}

// pipelineFile writes a pipeline from the stream clicks to lines in a folder of its name, one file a flush.
func clicksFile(t *testing.T, dir, name, stages, layout string) string {
	t.Helper()
	file := filepath.Join(dir, name+".yaml")
	text := fmt.Sprintf("version: 1\nname: %s\nsource: {stream: clicks, decode: {json: {}}}\nstages: [%s]\nbuffer: {max_age: 200ms}\nsink: {file: {path: %q, %s format: {ndjson: {}}}}\n",
		name, stages, filepath.Join(dir, name), layout)
	require.NoError(t, os.WriteFile(file+".new", []byte(text), 0o600))
	require.NoError(t, os.Rename(file+".new", file))
	return file
}

// put puts the rows {"n":from} to {"n":to-1}, wherever the data directory is open.
func put(t *testing.T, data string, from, to int) {
	t.Helper()
	var in, errOut bytes.Buffer
	for n := from; n < to; n++ {
		fmt.Fprintf(&in, "{\"n\":%d,\"kind\":\"%s\"}\n", n, []string{"even", "odd"}[n%2])
	}
	code := run(t.Context(), []string{"put", "clicks", "--data", data}, &in, io.Discard, &errOut)
	require.Equal(t, exitOK, code, errOut.String())
}

// numbers are the n of the rows in a lake's visible files, sorted.
func numbers(t *testing.T, lake string) []int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(lake, "*.ndjson"))
	require.NoError(t, err)
	out := []int{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		for line := range bytes.Lines(text) {
			var row struct{ N int }
			require.NoError(t, json.Unmarshal(line, &row))
			out = append(out, row.N)
		}
	}
	slices.Sort(out)
	return out
}

// upTo are the numbers from from to to-1 that keep is true of.
func upTo(from, to int, keep func(int) bool) []int {
	out := []int{}
	for n := from; n < to; n++ {
		if keep(n) {
			out = append(out, n)
		}
	}
	return out
}

func anyNumber(int) bool { return true }
func even(n int) bool    { return n%2 == 0 }
func odd(n int) bool     { return n%2 == 1 }

// arrives waits until the rows in a lake are as wanted, and checks that they stay so.
func arrives(t *testing.T, lake string, want []int) {
	t.Helper()
	require.Eventually(t, func() bool { return slices.Equal(want, numbers(t, lake)) }, 20*time.Second, 20*time.Millisecond, "want %d rows in %s", len(want), lake)
}

func newStream(t *testing.T, data string) {
	t.Helper()
	code, _, errOut := command(t, "streams", "create", "clicks", "--shards", "2", "--data", data)
	require.Equal(t, exitOK, code, errOut)
}

func TestAPipelineThatFailsDoesNotStopTheOthers(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	newStream(t, data)
	put(t, data, 0, 100)
	good := clicksFile(t, dir, "good", "", "")
	bad := clicksFile(t, dir, "bad", "", "prefix: '!{timestamp:yyyy}/', partition_by: n,") // a number is no time
	b := begin(t, "run", bad, good, "--data", data)
	b.saying("ended with an error; other pipelines go on", 1)
	require.Contains(t, b.said(), "pipeline=bad")
	put(t, data, 100, 200)
	arrives(t, filepath.Join(dir, "good"), upTo(0, 200, anyNumber))
	require.Equal(t, exitFailed, b.end(), b.said())
	require.Contains(t, b.said(), "penstock: pipeline bad: ")

	// What cannot even begin is said before anything runs.
	wrong := filepath.Join(dir, "wrong.yaml")
	require.NoError(t, os.WriteFile(wrong, []byte("version: 1\nname: wrong\nsource: {stream: nothing, decode: {json: {}}}\nsink: {file: {path: "+dir+"}}\n"), 0o600))
	code, _, errOut := command(t, "run", wrong, good, "--data", data)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "penstock streams create nothing")
}

func TestAChangedFileDrainsAndGoesOnWithItsNewText(t *testing.T) {
	for name, c := range map[string]struct {
		flags  []string
		reload func(b *background)
	}{
		"watched":   {[]string{"--watch"}, func(*background) {}},
		"on SIGHUP": {nil, func(b *background) { require.NoError(b.t, syscall.Kill(os.Getpid(), syscall.SIGHUP)) }},
	} {
		t.Run(name, func(t *testing.T) {
			hup := make(chan os.Signal, 1)
			signal.Notify(hup, syscall.SIGHUP) // should the run be over already
			defer signal.Stop(hup)
			dir := t.TempDir()
			data, lake := filepath.Join(dir, "data"), filepath.Join(dir, "p")
			newStream(t, data)
			file := clicksFile(t, dir, "p", `filter: 'kind == "even"'`, "")
			other := clicksFile(t, dir, "other", "", "")
			b := begin(t, append([]string{"run", file, other, "--data", data, "--log-level", "debug"}, c.flags...)...)
			put(t, data, 0, 100)
			arrives(t, lake, upTo(0, 100, even))

			// A wrong file changes nothing, and is said once.
			require.NoError(t, os.WriteFile(file, []byte("version: 1\nname: p\nsorce: {}\n"), 0o600))
			c.reload(b)
			b.saying("pipeline file refused", 1)
			require.Contains(t, b.said(), "sorce")
			clicksFile(t, dir, "p", `filter: 'kind +'`, "")
			c.reload(b)
			b.saying("pipeline file refused", 2)
			put(t, data, 100, 200)
			arrives(t, lake, upTo(0, 200, even))

			// Rows from before are not made again, rows from then on are as the new file says.
			clicksFile(t, dir, "p", `filter: 'kind == "odd"'`, "")
			c.reload(b)
			b.saying("msg=started pipeline=p", 2)
			put(t, data, 200, 300)
			want := append(upTo(0, 200, even), upTo(200, 300, odd)...)
			arrives(t, lake, want)
			require.Equal(t, exitOK, b.end(), b.said())
			require.Equal(t, want, numbers(t, lake))
			require.Equal(t, upTo(0, 300, anyNumber), numbers(t, filepath.Join(dir, "other")))
			require.Equal(t, 2, strings.Count(b.said(), "pipeline file refused"), b.said())
			require.Equal(t, 1, strings.Count(b.said(), "msg=started pipeline=other"), b.said())
			_, code, errOut := verifyLine(t, file)
			require.Equal(t, exitOK, code, errOut)
		})
	}
}

func TestRapidChangesEndAsTheLastOneSays(t *testing.T) {
	dir := t.TempDir()
	data, lake := filepath.Join(dir, "data"), filepath.Join(dir, "p")
	newStream(t, data)
	file := clicksFile(t, dir, "p", "filter: 'n >= 0'", "")
	b := begin(t, "run", file, "--data", data, "--watch", "--log-level", "debug")
	b.saying("msg=started pipeline=p", 1)
	for i := range 20 {
		clicksFile(t, dir, "p", fmt.Sprintf("filter: 'n >= %d'", i), "")
		put(t, data, i*10, i*10+10)
	}
	clicksFile(t, dir, "p", "filter: 'n % 2 == 0'", "")
	b.saying("pipeline file applied", 1)
	require.NoError(t, os.Remove(file))
	b.saying("the file cannot be read; its pipeline goes on as it is", 1)
	clicksFile(t, dir, "p", "filter: 'n % 2 == 1'", "")
	applied := strings.Count(b.said(), "pipeline file applied")
	require.Less(t, applied, 10, "each change was applied")
	b.saying("pipeline file applied", applied+1)
	b.saying("msg=started pipeline=p", applied+2)
	put(t, data, 1000, 1010)
	require.Eventually(t, func() bool { return slices.Contains(numbers(t, lake), 1009) }, 20*time.Second, 20*time.Millisecond)
	require.Equal(t, exitOK, b.end(), b.said())
	got := numbers(t, lake)
	require.Equal(t, slices.Compact(slices.Clone(got)), got, "a row is there twice")
	require.Equal(t, upTo(1000, 1010, odd), got[len(got)-5:])
}

// freeAddress is a loopback address that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // its address is all that is wanted
	return l.Addr().String()
}

// get asks an admin listener.
func get(t *testing.T, address, path string, host ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
	require.NoError(t, err)
	if len(host) > 0 {
		req.Host = host[0]
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(body)
}

func TestTheAdminListenerSaysHowThePipelinesDo(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	newStream(t, data)
	file, address := clicksFile(t, dir, "p", `filter: 'kind == "even"'`, ""), freeAddress(t)
	b := begin(t, "run", file, "--data", data, "--admin", address)
	require.Eventually(t, func() bool { code, _ := get(t, address, "/readyz"); return code == http.StatusOK }, 10*time.Second, 10*time.Millisecond)
	put(t, data, 0, 100)
	arrives(t, filepath.Join(dir, "p"), upTo(0, 100, even))
	for _, want := range []string{
		`penstock_incoming_records_total{stream="clicks"} 100`,
		`penstock_incoming_bytes_total{stream="clicks"} `,
		`penstock_get_records_records_total{pipeline="p"} 100`,
		`penstock_get_records_bytes_total{pipeline="p"} `,
		`penstock_get_records_iterator_age_milliseconds{pipeline="p",shard="shardId-000000000001"} 0`,
		`penstock_rows_total{outcome="written",pipeline="p"} 50`,
		`penstock_rows_total{outcome="filtered",pipeline="p"} 50`,
		`penstock_flushes_total{pipeline="p",reason="age"} `,
		`penstock_flush_duration_seconds_count{pipeline="p"} `,
		`penstock_outputs_total{pipeline="p"} `,
		`penstock_open_plan_age_seconds{pipeline="p"} 0`,
		`penstock_pipeline_up{pipeline="p"} 1`,
		`penstock_memory_budget_bytes 5.36870912e+08`,
		`penstock_memory_used_bytes{part="staging"} `,
		`penstock_put_records_latency_seconds_count `,
		`penstock_log_sync_seconds_count `,
		`go_goroutines `,
	} {
		require.Eventually(t, func() bool { _, text := get(t, address, "/metrics"); return strings.Contains(text, want) }, 5*time.Second, 50*time.Millisecond, want)
	}
	code, _ := get(t, address, "/healthz")
	require.Equal(t, http.StatusOK, code)
	code, _ = get(t, address, "/debug/pprof/")
	require.Equal(t, http.StatusNotFound, code)
	code, _ = get(t, address, "/metrics", "evil.example")
	require.Equal(t, http.StatusMisdirectedRequest, code)
	require.Equal(t, exitOK, b.end(), b.said())

	code, _, errOut := command(t, "run", file, "--data", data, "--admin", "0.0.0.0:0")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "pass --admin-public")
	code, _, errOut = command(t, "run", file, "--data", data, "--pprof")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "need --admin")
}

func TestLogsAreLinesOfJSONIfAskedFor(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	newStream(t, data)
	put(t, data, 0, 10)
	file := clicksFile(t, dir, "p", "", "")
	code, out, errOut := command(t, "run", file, "--data", data, "--until-caught-up", "--log-format", "json", "--log-level", "debug")
	require.Equal(t, exitOK, code, errOut)
	require.Empty(t, out)
	said := map[string]bool{}
	for line := range strings.Lines(errOut) {
		var entry struct{ Msg, Level, Pipeline string }
		require.NoError(t, json.Unmarshal([]byte(line), &entry), line)
		said[entry.Msg] = true
	}
	require.Subset(t, said, map[string]bool{"started": true, "schema committed": true, "plan committed": true, "flushed": true, "ended": true})
	for flag, value := range map[string]string{"--log-format": "xml", "--log-level": "loud", "--memory": "63MiB"} {
		code, _, errOut := command(t, "run", file, "--data", data, flag, value)
		require.Equal(t, exitUsage, code)
		require.Contains(t, errOut, flag)
	}
}

func TestAPipelineThatRunsCannotBeReset(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	newStream(t, data)
	b := begin(t, "run", clicksFile(t, dir, "p", "", ""), "--data", data, "--log-level", "debug")
	b.saying("msg=started pipeline=p", 1)
	put(t, data, 0, 10)
	arrives(t, filepath.Join(dir, "p"), upTo(0, 10, anyNumber))
	code, _, errOut := command(t, "pipelines", "reset", "p", "--data", data, "--yes")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "stop it first")
	require.Equal(t, exitOK, b.end(), b.said())
	code, _, errOut = command(t, "pipelines", "reset", "p", "--data", data, "--yes")
	require.Equal(t, exitOK, code, errOut)
}
