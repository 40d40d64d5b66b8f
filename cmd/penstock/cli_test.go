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
	var out, errOut bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &errOut)
	return code, out.String(), errOut.String()
}

func TestVersionNamesTheGoRelease(t *testing.T) {
	code, out, _ := command(t, "version")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "penstock ")
	require.Contains(t, out, "go1.")

	code, out, _ = command(t, "--json", "version")
	require.Equal(t, exitOK, code)
	var b build
	require.NoError(t, json.Unmarshal([]byte(out), &b))
	require.NotEmpty(t, b.Platform)
}

func TestAnUnknownFlagIsAUsageError(t *testing.T) {
	code, _, errOut := command(t, "version", "--colour")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "unknown flag: --colour")
}
