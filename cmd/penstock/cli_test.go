package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// command runs one command line and returns its exit code and what it printed.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return commandIn(t, "", args...)
}

// commandIn is command with standard input.
func commandIn(t *testing.T, in string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(in), &out, &errOut)
	return code, out.String(), errOut.String()
}

// ok runs a command line that must succeed and returns what it printed.
func ok(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errOut := command(t, args...)
	require.Equal(t, exitOK, code, "%s: %s%s", strings.Join(args, " "), out, errOut)
	return out
}

// result is what a command answers under --json.
func result[T any](t *testing.T, args ...string) T {
	t.Helper()
	var e struct {
		OK     bool
		Result T
	}
	require.NoError(t, json.Unmarshal([]byte(ok(t, append([]string{"--json"}, args...)...)), &e))
	require.True(t, e.OK)
	return e.Result
}

func TestVersionNamesTheGoRelease(t *testing.T) {
	code, out, _ := command(t, "version")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "penstock ")
	require.Contains(t, out, "go1.")

	code, out, _ = command(t, "--json", "version")
	require.Equal(t, exitOK, code)
	var e struct {
		Command string
		OK      bool
		Result  build
		Error   *failure
	}
	require.NoError(t, json.Unmarshal([]byte(out), &e))
	require.Equal(t, "version", e.Command)
	require.True(t, e.OK)
	require.Nil(t, e.Error)
	require.NotEmpty(t, e.Result.Platform)
}

func TestAnUnknownFlagIsAUsageError(t *testing.T) {
	code, _, errOut := command(t, "version", "--colour")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "unknown flag: --colour")
}
