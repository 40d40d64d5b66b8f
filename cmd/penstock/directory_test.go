//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/pipelines"
)

// TestLookingMakesNoDirectory: a misspelt --data shows what it is, and leaves nothing behind.
func TestLookingMakesNoDirectory(t *testing.T) {
	missing, foreign := filepath.Join(t.TempDir(), "missing"), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(foreign, "letter.txt"), []byte("x"), 0o600))
	for _, dir := range []string{missing, foreign} {
		for _, args := range [][]string{
			{"streams", "list"}, {"streams", "describe", "x"}, {"tail", "x"}, {"put", "x"}, {"pipelines", "list"}, {"dlq", "list", "x"}, {"streams", "delete", "x"},
		} {
			code, _, errOut := command(t, append(args, "--data", dir)...)
			require.Equal(t, exitUsage, code, args)
			require.Contains(t, errOut, dir+" is no data directory: make one with penstock streams create, or name another with --data")
		}
	}
	code, _, errOut := command(t, "streams", "create", "x", "--data", foreign)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, foreign+" is no data directory, and has other things in it, such as letter.txt")
	require.NoDirExists(t, missing)
	there, err := os.ReadDir(foreign)
	require.NoError(t, err)
	require.Len(t, there, 1)
}

// TestTwoPutsAtOnce: one of them has the directory and runs the other, and does not cut it off when it is done itself.
func TestTwoPutsAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	newStream(t, dir)
	const writers, rounds = 4, 5
	for range rounds {
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				lines := strings.Repeat("line\n", 500*(w+1))
				var out, errOut bytes.Buffer
				code := run(t.Context(), []string{"put", "clicks", "--data", dir}, strings.NewReader(lines), &out, &errOut)
				if code != exitOK || out.String() != fmt.Sprintf("%d records put into clicks\n", 500*(w+1)) {
					t.Errorf("exit code %d: %s%s", code, out.String(), errOut.String())
				}
			})
		}
		all.Wait()
	}
	require.NoError(t, withNode(t.Context(), dir, func(n *pipelines.Node) error {
		require.Equal(t, rounds*(500+1000+1500+2000), count(t, n, "clicks"))
		return nil
	}))
}
