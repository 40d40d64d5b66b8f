//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/pipelines"
)

// whileHeld calls f while this process has the data directory, as a run has it.
func whileHeld(t *testing.T, dir string, f func(n *pipelines.Node)) {
	t.Helper()
	c := &call{args: []string{"run", "clicks.yaml"}, in: strings.NewReader(""), out: io.Discard, err: io.Discard}
	err := ownNode(withCall(t.Context(), c), dir, pipelines.NodeConfig{}, func(n *pipelines.Node) error {
		f(n)
		return nil
	})
	require.NoError(t, err)
}

func TestCommandsUseADirectoryThatAnotherProcessHas(t *testing.T) {
	for name, dir := range map[string]string{
		"a short name":                 filepath.Join(t.TempDir(), "data"),
		"too long a name for a socket": filepath.Join(t.TempDir(), strings.Repeat("deep/", 30), "data"),
	} {
		t.Run(name, func(t *testing.T) {
			whileHeld(t, dir, func(n *pipelines.Node) {
				info, err := os.Stat(filepath.Join(dir, socketName))
				require.NoError(t, err)
				require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

				code, out, errOut := command(t, "streams", "create", "clicks", "--shards", "2", "--data", dir)
				require.Equal(t, exitOK, code, errOut)
				require.Equal(t, "stream clicks has 2 shards\n", out)
				_, err = n.Streams.Open(t.Context(), "clicks")
				require.NoError(t, err, "it is a stream of the process that has the directory")

				code, out, errOut = command(t, "streams", "describe", "nothing", "--data", dir)
				require.Equal(t, exitFailed, code)
				require.Empty(t, out)
				require.Equal(t, 1, strings.Count(errOut, "penstock: "), errOut)

				code, out, errOut = command(t, "streams", "list", "--json", "--data", dir)
				require.Equal(t, exitOK, code, errOut)
				require.Equal(t, 1, strings.Count(out, `"command":"streams list"`), "the envelope is there once: %s", out)
				require.Contains(t, out, `"name":"clicks"`)

				code, _, errOut = command(t, "streams", "create", "clicks", "--shards", "-1", "--data", dir)
				require.Equal(t, exitUsage, code, errOut)
			})
			require.NoFileExists(t, filepath.Join(dir, socketName))
			code, out, errOut := command(t, "streams", "list", "--data", dir)
			require.Equal(t, exitOK, code, errOut)
			require.Contains(t, out, "clicks")
		})
	}
}

func TestALargeInputGoesThroughTheSocket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	whileHeld(t, dir, func(n *pipelines.Node) {
		_, err := n.Streams.Create(t.Context(), "clicks", stream.Settings{Shards: 2})
		require.NoError(t, err)
		var in bytes.Buffer
		for i := range 40_000 {
			fmt.Fprintf(&in, "{\"n\":%d,%q:1}\n", i, strings.Repeat("x", 500))
		}
		var out, errOut bytes.Buffer
		code := run(t.Context(), []string{"put", "clicks", "--data", dir}, &in, &out, &errOut)
		require.Equal(t, exitOK, code, errOut.String())
		require.Equal(t, "40000 records put into clicks\n", out.String())
		require.Equal(t, 40_000, count(t, n, "clicks"))
	})
}

// count reads every record of a stream.
func count(t *testing.T, n *pipelines.Node, name string) int {
	t.Helper()
	s, err := n.Streams.Open(t.Context(), core.StreamName(name))
	require.NoError(t, err)
	info, err := s.Info(t.Context())
	require.NoError(t, err)
	total := 0
	for _, sh := range info.Shards {
		last, err := s.Last(t.Context(), sh.ID)
		require.NoError(t, err)
		r, err := s.Read(t.Context(), sh.ID, "")
		require.NoError(t, err)
		for end := last == ""; !end; {
			b, err := r.Next(t.Context())
			require.NoError(t, err)
			total += int(b.Records)
			end = b.Span.Last.Compare(last) >= 0
			b.Release()
		}
		require.NoError(t, r.Close())
	}
	return total
}

func TestWhatACommandDoesNotReadStaysInItsInput(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	whileHeld(t, dir, func(*pipelines.Node) {
		in := strings.NewReader("for the next command\n")
		code := run(t.Context(), []string{"streams", "list", "--data", dir}, in, io.Discard, io.Discard)
		require.Equal(t, exitOK, code)
		require.Equal(t, 21, in.Len())
	})
}

// A put whose input does not end is asked to end, and then its process has the answer at once.
func TestACommandThatWaitsForItsInputCanBeEnded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	whileHeld(t, dir, func(n *pipelines.Node) {
		_, err := n.Streams.Create(t.Context(), "clicks", stream.Settings{})
		require.NoError(t, err)
		in, typed := io.Pipe()
		defer typed.Close() //nolint:errcheck // nothing is written
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		var errOut bytes.Buffer
		code := run(ctx, []string{"put", "clicks", "--data", dir}, in, io.Discard, &errOut)
		require.Equal(t, exitFailed, code)
		require.Contains(t, errOut.String(), "context canceled")
	})
}

func TestACommandOfAnotherProcessEndsWithTheHolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	in, typed := io.Pipe()
	defer typed.Close() //nolint:errcheck // nothing is written
	var errOut bytes.Buffer
	done := make(chan int, 1)
	whileHeld(t, dir, func(n *pipelines.Node) {
		_, err := n.Streams.Create(t.Context(), "clicks", stream.Settings{})
		require.NoError(t, err)
		go func() { done <- run(t.Context(), []string{"put", "clicks", "--data", dir}, in, io.Discard, &errOut) }()
		_, err = typed.Write([]byte("one\n")) // so it runs
		require.NoError(t, err)
	})
	require.Equal(t, exitFailed, <-done)
	require.Contains(t, errOut.String(), fmt.Sprintf("process %d, which has data directory %s, ends", os.Getpid(), dir))
}

func TestRunSaysWhoHasTheDirectory(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	whileHeld(t, data, func(*pipelines.Node) {
		code, _, errOut := command(t, "run", archive(t, dir, "other"), "--data", data)
		require.Equal(t, exitFailed, code)
		require.Contains(t, errOut, fmt.Sprintf("data directory %s is in use by process %d (penstock run clicks.yaml): add the pipeline to that command", data, os.Getpid()))
	})
}

func TestTheSocketOfADeadProcessIsReplaced(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	l, err := net.Listen("unix", filepath.Join(dir, socketName))
	require.NoError(t, err)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	require.FileExists(t, filepath.Join(dir, socketName))
	whileHeld(t, dir, func(*pipelines.Node) {
		code, _, errOut := command(t, "streams", "list", "--data", dir)
		require.Equal(t, exitOK, code, errOut)
	})
}

func TestADirectoryThatIsHeldForAMomentIsWaitedFor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	n, err := pipelines.OpenNode(t.Context(), dir) // without a socket
	require.NoError(t, err)
	closed := make(chan error, 1)
	time.AfterFunc(300*time.Millisecond, func() { closed <- n.Close() })
	code, _, errOut := command(t, "streams", "list", "--data", dir)
	require.Equal(t, exitOK, code, errOut)
	require.NoError(t, <-closed)

	n, err = pipelines.OpenNode(t.Context(), dir)
	require.NoError(t, err)
	code, _, errOut = command(t, "streams", "list", "--data", dir)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "is in use by another penstock process")
	require.NoError(t, n.Close())
}

func TestMalformedFramesAreRefused(t *testing.T) {
	_, _, err := readFrame(bytes.NewReader([]byte{frameCall, 0xff, 0xff, 0xff, 0xff}))
	require.ErrorContains(t, err, "at most")
	_, _, err = readFrame(bytes.NewReader([]byte{frameCall, 0, 0, 0, 9, 1}))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorContains(t, writeJSON(io.Discard, frameCall, request{[]string{strings.Repeat("x", maxFrame)}}), "at most")
}

func TestPipelineFilesAreNamedAbsolutely(t *testing.T) {
	wd, err := os.Getwd()
	require.NoError(t, err)
	args, err := absolute([]string{"dry-run", "a.yaml", "--rows", "5", "--data=x.yaml"}, hello{PID: 7, Dir: wd})
	require.NoError(t, err)
	require.Equal(t, []string{"dry-run", filepath.Join(wd, "a.yaml"), "--rows", "5", "--data=x.yaml"}, args)
	_, err = absolute([]string{"dry-run", "a.yaml"}, hello{PID: 7, Dir: t.TempDir()})
	require.ErrorContains(t, err, "type this command in that folder")
}
