//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// piped writes the file of a pipeline over standard input.
func piped(t *testing.T, dir, decode string) string {
	t.Helper()
	file := filepath.Join(dir, "p.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `version: 1
name: piped
source: {file: {paths: ['-']}, decode: %s}
buffer: {max_records: 3000}
sink: {file: {path: %q, format: {ndjson: {compression: zstd}}}}
`, decode, filepath.Join(dir, "lake")), 0o600))
	return file
}

// runPiped runs a pipeline in a process of its own, as a shell would, and reports whether it ended well.
func runPiped(t *testing.T, file, data, dieAt string, in io.Reader) (ok bool, out string) {
	t.Helper()
	var buf bytes.Buffer
	cmd := exec.CommandContext(t.Context(), os.Args[0], "run", file, "--data", data) //nolint:gosec // this very binary
	cmd.Env = append(os.Environ(), "PENSTOCK_TEST_DIE_AT="+dieAt)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &buf, &buf
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !strings.Contains(err.Error(), "broken pipe") {
		require.NoError(t, err)
	}
	return err == nil, buf.String()
}

func TestAFileMayBeStandardInput(t *testing.T) {
	dir := t.TempDir()
	file := piped(t, dir, "{logline: combined}")
	f, err := os.Open(filepath.Join(testData(t), "apache_access.log"))
	require.NoError(t, err)
	defer f.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(f)
	require.NoError(t, err)
	_, err = f.Seek(0, io.SeekStart)
	require.NoError(t, err)
	ok, out := runPiped(t, file, filepath.Join(dir, "data"), "never:1", f)
	require.True(t, ok, out)
	rows := bytes.Split(bytes.TrimSpace(decompressed(t, filepath.Join(dir, "lake"))), []byte("\n"))
	require.Len(t, rows, bytes.Count(text, []byte("\n")))
	line, code, _ := verifyLine(t, file)
	require.Equal(t, exitOK, code, line)
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

// TestARunKilledOverStandardInput: what the killed run had taken is delivered by the next one, once, and it is all of
// the input up to some record.
func TestARunKilledOverStandardInput(t *testing.T) {
	dir := t.TempDir()
	file, data := piped(t, dir, "{json: {}}"), filepath.Join(dir, "data")
	var all []string
	for i := range 60_000 {
		all = append(all, fmt.Sprintf(`{"n":%d}`, i))
	}
	got := func() []string { return strings.Fields(string(decompressed(t, filepath.Join(dir, "lake")))) }
	sent := 0
	for round, at := range []string{"plan-committed:1", "outputs-written:2", "published:3", "flush-closed:2"} {
		ok, out := runPiped(t, file, data, at, strings.NewReader(strings.Join(all[sent:], "\n")))
		if ok {
			require.Greater(t, round, 1, "it was not killed at %s: %s", at, out)
			sent = len(got())
			break
		}
		ok, out = runPiped(t, file, data, "never:1", nil)
		require.True(t, ok, out)
		rows := got()
		require.Greater(t, len(rows), sent, "round %d", round)
		require.Equal(t, sorted(all[:len(rows)]), sorted(rows))
		sent = len(rows)
	}
	ok, out := runPiped(t, file, data, "never:1", strings.NewReader(strings.Join(all[sent:], "\n")))
	require.True(t, ok, out)
	require.Equal(t, sorted(all), sorted(got()))
	line, code, _ := verifyLine(t, file)
	require.Equal(t, exitOK, code, line)
}
