package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// logs is a folder of logs that a pipeline of lines reads into a lake.
type logs struct {
	t    *testing.T
	dir  string
	pipe string
	data string
}

// newLogs makes a folder and a pipeline over paths in it; more is what else stands in source.file, decode how it is read.
func newLogs(t *testing.T, paths, more, decode string) *logs {
	t.Helper()
	l := &logs{t: t, dir: t.TempDir()}
	l.pipe, l.data = filepath.Join(l.dir, "p.yaml"), filepath.Join(l.dir, "data")
	require.NoError(t, os.Mkdir(l.path(""), 0o755))
	text := fmt.Sprintf("version: 1\nname: p\nsource:\n  file: {paths: ['%s']%s}\n  decode: {%s}\nbuffer: {max_age: 1s}\nsink:\n  file: {path: '%s', format: {ndjson: {}}}\n",
		filepath.Join(l.dir, "logs", paths), more, decode, filepath.Join(l.dir, "lake"))
	require.NoError(t, os.WriteFile(l.pipe, []byte(text), 0o600))
	return l
}

const asText = "raw: {as: text}"

func (l *logs) path(name string) string { return filepath.Join(l.dir, "logs", name) }

// add appends to a file.
func (l *logs) add(name, text string) {
	l.t.Helper()
	f, err := os.OpenFile(l.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(l.t, err)
	_, err = f.WriteString(text)
	require.NoError(l.t, err)
	require.NoError(l.t, f.Close())
}

func (l *logs) move(from, to string) {
	l.t.Helper()
	require.NoError(l.t, os.Rename(l.path(from), l.path(to)))
}

// gzip does what gzip does.
func (l *logs) gzip(name string) {
	l.t.Helper()
	b, err := os.ReadFile(l.path(name))
	require.NoError(l.t, err)
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err = w.Write(b)
	require.NoError(l.t, err)
	require.NoError(l.t, w.Close())
	require.NoError(l.t, os.WriteFile(l.path(name+".gz"), out.Bytes(), 0o600))
	require.NoError(l.t, os.Remove(l.path(name)))
}

// copyTruncate copies a file and truncates it.
func (l *logs) copyTruncate(name, to string) {
	l.t.Helper()
	b, err := os.ReadFile(l.path(name))
	require.NoError(l.t, err)
	require.NoError(l.t, os.WriteFile(l.path(to), b, 0o600))
	require.NoError(l.t, os.Truncate(l.path(name), 0))
}

// run runs the pipeline to the end of its files and returns what it said.
func (l *logs) run() string {
	l.t.Helper()
	code, _, errOut := command(l.t, "run", l.pipe, "--data", l.data)
	require.Equal(l.t, exitOK, code, errOut)
	return errOut
}

// rows are the rows of the lake, in order.
func (l *logs) rows() (out []string) {
	l.t.Helper()
	err := filepath.WalkDir(filepath.Join(l.dir, "lake"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".ndjson") || !l.inManifest(path) {
			return nil //nolint:nilerr // it is made, or renamed
		}
		b, err := os.ReadFile(path)
		for line := range strings.Lines(string(b)) {
			var row struct{ Data string }
			require.NoError(l.t, json.Unmarshal([]byte(line), &row))
			out = append(out, row.Data)
		}
		return err
	})
	require.NoError(l.t, err)
	slices.Sort(out)
	return out
}

// inManifest reports whether a file of the lake is one that a manifest names: what a plan that was lost had written is not
// part of the result.
func (l *logs) inManifest(path string) bool {
	plan := strings.Split(filepath.Base(path), "-")
	if len(plan) < 3 {
		return false
	}
	_, err := os.Stat(filepath.Join(l.dir, "lake", "_penstock", plan[0]+"-"+plan[1], plan[2]+".json"))
	return err == nil
}

// said gathers what a process says.
type said struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// follow runs the pipeline until stop is called, which returns what it said.
func (l *logs) follow() (out *said, stop func() string) {
	l.t.Helper()
	out = &said{}
	ctx, cancel := context.WithCancel(l.t.Context())
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"run", l.pipe, "--data", l.data}, strings.NewReader(""), &said{}, out)
	}()
	return out, func() string {
		cancel()
		select {
		case code := <-done:
			require.Equal(l.t, exitOK, code, out.String())
		case <-time.After(time.Minute):
			require.Fail(l.t, "it does not stop", out.String())
		}
		return out.String()
	}
}

// await waits until the lake has these rows, and no others.
func (l *logs) await(want []string) {
	l.t.Helper()
	want = slices.Sorted(slices.Values(want))
	require.Eventually(l.t, func() bool { return len(l.rows()) >= len(want) }, 30*time.Second, 100*time.Millisecond, "%v of %v", l.rows(), want)
	require.Equal(l.t, want, l.rows())
}

func (l *logs) clean() {
	l.t.Helper()
	ok(l.t, "verify", l.pipe, "--data", l.data, "--deep")
}

func TestAFollowedLogIsReadOnThroughItsRotations(t *testing.T) {
	for name, paths := range map[string]string{"the log alone": "access.log", "and its rotated ones": "access.log*"} {
		t.Run(name, func(t *testing.T) {
			l := newLogs(t, paths, ", follow: true", asText)
			l.add("access.log", "one\n")
			out, stop := l.follow()
			want := []string{"one"}
			l.await(want)
			for i := range 3 {
				if i > 1 {
					l.gzip("access.log.2")
				}
				if i > 0 {
					l.move("access.log.1", "access.log.2")
				}
				l.add("access.log", fmt.Sprintf("last of %d\n", i))
				l.move("access.log", "access.log.1")
				l.add("access.log.1", fmt.Sprintf("after the move of %d\n", i))
				l.add("access.log", fmt.Sprintf("first of %d\n", i+1))
				want = append(want, fmt.Sprintf("last of %d", i), fmt.Sprintf("after the move of %d", i), fmt.Sprintf("first of %d", i+1))
				l.await(want)
			}
			require.NotContains(t, out.String(), "level=WARN")
			require.NotContains(t, stop(), "level=ERROR")
			l.clean()
		})
	}
}

func TestAFollowedLogThatIsTruncatedIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		paths string
		warns bool
	}{"its copy is not named": {"a.log", false}, "nor kept beside it": {"a.log", true}, "its copy is named": {"a.log*", false}} {
		t.Run(name, func(t *testing.T) {
			l := newLogs(t, c.paths, ", follow: true", asText)
			l.add("a.log", "one\ntwo\n")
			out, stop := l.follow()
			l.await([]string{"one", "two"})
			if c.warns {
				require.NoError(t, os.Truncate(l.path("a.log"), 0))
			} else {
				l.add("a.log", "three\n")
				l.copyTruncate("a.log", "a.log.1")
			}
			l.add("a.log", "four\n")
			if c.warns {
				l.await([]string{"one", "two", "four"})
				require.Eventually(t, func() bool {
					return strings.Contains(out.String(), "was truncated when it had been read through byte 8")
				}, 30*time.Second, 50*time.Millisecond, out)
			} else {
				l.await([]string{"one", "two", "three", "four"})
				require.NotContains(t, out.String(), "truncated")
			}
			stop()
			l.clean()
		})
	}
}

// TestWhatWentBeforeItWasReadIsSaid: a log that was rotated away while nothing ran.
func TestWhatWentBeforeItWasReadIsSaid(t *testing.T) {
	for name, more := range map[string]string{"followed": ", follow: true", "read once": ""} {
		t.Run(name, func(t *testing.T) {
			l := newLogs(t, "a.log", more, asText)
			run := func(want ...string) string {
				if more == "" {
					out := l.run()
					require.Equal(t, want, l.rows())
					return out
				}
				_, stop := l.follow()
				l.await(want)
				return stop()
			}
			l.add("a.log", "one\n")
			run("one")
			l.add("a.log", "two\n")
			require.NoError(t, os.Remove(l.path("a.log")))
			l.add("a.log", "three\n")
			require.Contains(t, run("one", "three"), "a.log is not the file any more that was read through byte 4")
		})
	}
}

func TestARotatedLogIsReadOnce(t *testing.T) {
	l := newLogs(t, "access.log*", "", asText)
	l.add("access.log", "one\ntwo\n")
	l.run()
	var want []string
	for i := range 4 {
		for n := i; n > 1; n-- {
			l.move(fmt.Sprintf("access.log.%d.gz", n), fmt.Sprintf("access.log.%d.gz", n+1))
		}
		if i > 0 {
			l.gzip("access.log.1")
			l.move("access.log.1.gz", "access.log.2.gz")
		}
		l.add("access.log", fmt.Sprintf("last of %d\n", i))
		l.move("access.log", "access.log.1")
		l.add("access.log", fmt.Sprintf("first of %d\n", i+1))
		out := l.run()
		require.NotContains(t, out, "level=WARN")
		want = append(want, fmt.Sprintf("last of %d", i), fmt.Sprintf("first of %d", i+1))
	}
	require.Equal(t, slices.Sorted(slices.Values(append(want, "one", "two"))), l.rows())
	require.Contains(t, l.run(), "nothing new")
	l.clean()
}

// TestAFileIsKnownByItsText: what is the same file, and what is another.
func TestAFileIsKnownByItsText(t *testing.T) {
	big := strings.Repeat("a line of many that are like it\n", 1000)
	for name, c := range map[string]struct {
		first map[string]string
		then  func(l *logs)
		new   []string
		said  string
	}{
		"moved": {map[string]string{"a": "1\n"}, func(l *logs) { l.move("a", "b") }, nil, ""},
		"copied, and the original removed": {map[string]string{"a": "1\n"}, func(l *logs) {
			l.add("b", "1\n")
			require.NoError(l.t, os.Remove(l.path("a")))
		}, nil, ""},
		"equal files at once":      {map[string]string{"a": "1\n"}, func(l *logs) { l.add("b", "1\n") }, []string{"1"}, ""},
		"equal beginnings":         {map[string]string{"a": "h\n1\n"}, func(l *logs) { l.add("b", "h\n2\n") }, []string{"2", "h"}, ""},
		"one grown from another":   {map[string]string{"a": "h\n"}, func(l *logs) { l.add("b", "h\n2\n") }, []string{"2", "h"}, ""},
		"moved and gone on":        {map[string]string{"a": "h\n1\n"}, func(l *logs) { l.move("a", "b"); l.add("b", "2\n") }, []string{"2"}, ""},
		"another with its header":  {map[string]string{"a": "h\n1\n"}, func(l *logs) { l.move("a", "b"); l.add("a", "h\n2\n") }, []string{"2", "h"}, ""},
		"compressed":               {map[string]string{"a": big}, func(l *logs) { l.gzip("a") }, nil, ""},
		"compressed beside itself": {map[string]string{"a": "1\n"}, func(l *logs) { l.gzip("a"); l.add("a", "1\n") }, nil, ""},
		"swapped": {map[string]string{"a": "1\n", "b": "2\n"}, func(l *logs) {
			l.move("a", "c")
			l.move("b", "a")
			l.move("c", "b")
		}, nil, ""},
		"edited before its end": {map[string]string{"a": "1\n2\n"}, func(l *logs) {
			require.NoError(l.t, os.Remove(l.path("a")))
			l.add("a", "9\n2\n")
		}, []string{"2", "9"}, "a is not the file any more that was read through byte 4"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLogs(t, "*", "", asText)
			for name, text := range c.first {
				l.add(name, text)
			}
			l.run()
			before := l.rows()
			c.then(l)
			out := l.run()
			require.Equal(t, slices.Sorted(slices.Values(append(before, c.new...))), l.rows())
			if c.said == "" {
				require.NotContains(t, out, "level=WARN")
			} else {
				require.Contains(t, out, c.said)
			}
			require.Contains(t, l.run(), "nothing new")
			l.clean()
		})
	}
}

func TestALineThatWasReadBeforeItWasWhole(t *testing.T) {
	for name, c := range map[string]struct {
		first, then string
		new         []string
		said        bool
	}{
		"it goes on":        {"one\ntw", "o\nthree", []string{"three", "two"}, true},
		"it only ends":      {"one\ntwo", "\nthree\n", []string{"three"}, false},
		"it ends as others": {"one\r\ntwo", "\r\nthree\r\n", []string{"three"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLogs(t, "a", "", asText)
			l.add("a", c.first)
			l.run()
			before := l.rows()
			require.Len(t, before, 2)
			l.add("a", c.then)
			out := l.run()
			require.Equal(t, slices.Sorted(slices.Values(append(before, c.new...))), l.rows())
			require.Equal(t, c.said, strings.Contains(out, "had no end when it was read"), out)
			require.Contains(t, l.run(), "nothing new")
			l.clean()
		})
	}
}

func TestACompressedFileUnderAFollowedGlobIsReadOnce(t *testing.T) {
	l := newLogs(t, "*", ", follow: true", asText)
	l.add("a", "one\n")
	_, stop := l.follow()
	l.await([]string{"one"})
	l.add("b", "two\n")
	l.gzip("b")
	l.await([]string{"one", "two"})
	l.add("a", "three\n")
	l.await([]string{"one", "two", "three"})
	stop()
	_, stop = l.follow()
	l.gzip("a")
	l.add("a", "four\n")
	l.await([]string{"one", "two", "three", "four"})
	stop()
	l.clean()
}

// TestAResetForgetsWhatWasKnownOfFiles: nothing of them is read in parts then.
func TestAResetForgetsWhatWasKnownOfFiles(t *testing.T) {
	l := newLogs(t, "*", "", asText)
	l.add("a", "one\ntw")
	l.run()
	l.add("a", "o\n")
	require.NoError(t, os.RemoveAll(filepath.Join(l.dir, "lake")))
	ok(t, "pipelines", "reset", "p", "--data", l.data, "--yes")
	require.NotContains(t, l.run(), "level=WARN")
	require.Equal(t, []string{"one", "two"}, l.rows())
}

func TestACompressedFileWithoutAnEndIsLeft(t *testing.T) {
	l := newLogs(t, "*", "", asText)
	l.add("a", "one\n")
	l.add("b", "two\n")
	l.gzip("b")
	b, err := os.ReadFile(l.path("b.gz"))
	require.NoError(t, err)
	require.NoError(t, os.Truncate(l.path("b.gz"), int64(len(b)-4)))
	require.Contains(t, l.run(), "b.gz is compressed and has no end yet")
	require.Equal(t, []string{"one"}, l.rows())
	require.NoError(t, os.WriteFile(l.path("b.gz"), b, 0o600))
	l.run()
	require.Equal(t, []string{"one", "two"}, l.rows())
}

func TestDeadLettersOfFilesNameTheFile(t *testing.T) {
	l := newLogs(t, "*", "", "json: {}")
	l.add("a.json", "{\"data\":\"1\"}\nnone\n")
	l.run()
	out := ok(t, "dlq", "list", "p.dead", "--data", l.data)
	require.Contains(t, out, "NUMBER")
	require.Contains(t, out, l.path("a.json")+":13")
	l.move("a.json", "b.json")
	require.Contains(t, ok(t, "dlq", "show", "p.dead", "1", "--data", l.data), "file        "+l.path("a.json")+", byte 13 of its text")
	letters := result[[]numbered](t, "dlq", "list", "p.dead", "--data", l.data)
	require.Equal(t, l.path("a.json"), letters[0].Path)
	l.run()
	l.add("b.json", "12345")
	out = ok(t, "pipelines", "describe", "p", "--data", l.data)
	require.Contains(t, out, "SHARD")
	require.Contains(t, out, "5 bytes left of "+l.path("b.json"))
}
