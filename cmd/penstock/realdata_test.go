//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors/sinktest"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/integration/laketest"
)

// testData is the folder of the inputs: real ones where PENSTOCK_TEST_DATA names them, or else small ones of the same form.
func testData(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("PENSTOCK_TEST_DATA"); dir != "" {
		return dir
	}
	return filepath.Join("..", "..", "integration", "testdata")
}

// TestRealRecordsArriveAsTheyWere archives real nested and flat JSON and compares every row with an independent parse
// of the file, as multisets, since rows repeat.
func TestRealRecordsArriveAsTheyWere(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testData(t), "*.ndjson"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, input := range files {
		t.Run(filepath.Base(input), func(t *testing.T) {
			dir := t.TempDir()
			abs, err := filepath.Abs(input)
			require.NoError(t, err)
			file := filepath.Join(dir, "p.yaml")
			require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `version: 1
name: real
source: {file: {paths: [%q]}, decode: {json: {}}}
buffer: {max_records: 7000}
sink: {file: {path: %q, format: {ndjson: {compression: zstd}}}}
`, abs, filepath.Join(dir, "lake")), 0o600))
			for range 2 { // the second run adds nothing
				code, _, errOut := command(t, "run", file, "--data", filepath.Join(dir, "data"))
				require.Equal(t, exitOK, code, errOut)
			}
			line, code, _ := verifyLine(t, file)
			require.Equal(t, exitOK, code, line)
			want, err := os.ReadFile(input)
			require.NoError(t, err)
			expected, got := canonical(t, want), canonical(t, decompressed(t, filepath.Join(dir, "lake")))
			require.Len(t, got, len(expected))
			missing, extra := laketest.Differ(expected, got)
			require.Zero(t, missing+extra, "missing %d, extra %d of %d rows", missing, extra, len(expected))
		})
	}
}

// canonical are the lines as JSON with sorted keys and without nulls, sorted; what was rescued is put back.
func canonical(t *testing.T, text []byte) []string {
	t.Helper()
	var out []string
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var v map[string]any
		require.NoError(t, json.Unmarshal(line, &v))
		if rescued, ok := v[core.RescuedColumn].(string); ok {
			delete(v, core.RescuedColumn)
			require.NoError(t, json.Unmarshal([]byte(rescued), &v))
		}
		b, err := json.Marshal(sinktest.WithoutNulls(v))
		require.NoError(t, err)
		out = append(out, string(b))
	}
	slices.Sort(out)
	return out
}

// decompressed is the text of every file of a lake.
func decompressed(t *testing.T, lake string) []byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(lake, "*.zst"))
	require.NoError(t, err)
	var all bytes.Buffer
	for _, name := range files {
		f, err := os.Open(name)
		require.NoError(t, err)
		zr, err := zstd.NewReader(f)
		require.NoError(t, err)
		_, err = all.ReadFrom(zr)
		require.NoError(t, errors.Join(err, f.Close()))
	}
	return all.Bytes()
}
