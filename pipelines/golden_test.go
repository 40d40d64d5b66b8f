package pipelines_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestEveryMistakeOfAFileIsSaidAtOnce reads files with mistakes of every kind: what is said is theirs, each once, in order
// of their places, and nothing that only follows from another one.
func TestEveryMistakeOfAFileIsSaidAtOnce(t *testing.T) {
	files, err := filepath.Glob("testdata/mistakes/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name) //nolint:gosec // of the repository
			require.NoError(t, err)
			golden := strings.TrimSuffix(name, ".yaml") + ".txt"
			err = open(t, wholeRegistry(), string(text))
			require.Error(t, err)
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(err.Error()+"\n"), 0o600))
			}
			want, readErr := os.ReadFile(golden) //nolint:gosec // of the repository
			require.NoError(t, readErr)
			require.Equal(t, string(want), err.Error()+"\n")
		})
	}
}
