package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/pipelines"
)

// TestAPipelinePassesThroughASplitAndAMerge puts, splits and merges while a pipeline runs, then runs to the tip: every
// row is in the lake once, those of a key in the order of their files.
func TestAPipelinePassesThroughASplitAndAMerge(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "p.yaml")
	require.NoError(t, os.WriteFile(file, []byte("version: 1\nname: rows\nsource: {stream: s, decode: {json: {}}}\nbuffer: {max_age: 1s}\nsink: {file: {path: '"+
		dir+"/lake', prefix: 'x/', format: {ndjson: {}}}}\n"), 0o600))
	n, err := pipelines.OpenNode(t.Context(), filepath.Join(dir, "data"))
	require.NoError(t, err)
	_, err = n.Streams.Create(t.Context(), "s", stream.Settings{})
	require.NoError(t, err)
	s, err := n.Streams.Open(t.Context(), "s")
	require.NoError(t, err)
	const keys = 20
	next := 0
	put := func() {
		t.Helper()
		for range 5 {
			var records []stream.Record
			for k := range keys {
				records = append(records, stream.Record{Key: fmt.Sprint("key-", k), Data: fmt.Appendf(nil, `{"k":%d,"n":%d}`, k, next)})
			}
			next++
			out, err := s.Put(t.Context(), records)
			require.NoError(t, err)
			for _, r := range out {
				require.NoError(t, r.Err)
			}
		}
	}
	r := registry()
	specs, err := load(r, []string{file})
	require.NoError(t, err)
	put()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx, r, specs[0], pipelines.RunOptions{Drain: 10 * time.Second}) }()
	put()
	children, err := s.Split(t.Context(), core.NewShardID(0), nil)
	require.NoError(t, err)
	put()
	require.Eventually(t, func() bool { return len(rowsIn(t, dir)) == next*keys }, 20*time.Second, 50*time.Millisecond, "the running pipeline reads the children")
	stop()
	require.NoError(t, <-ended)
	put()
	_, err = s.Merge(t.Context(), children[0].ID, children[1].ID)
	require.NoError(t, err)
	put()
	require.NoError(t, n.Run(t.Context(), r, specs[0], pipelines.RunOptions{UntilCaughtUp: true}))
	require.NoError(t, n.Close())

	seen := map[[2]int]bool{}
	last := map[int]int{}
	for _, row := range rowsIn(t, dir) {
		require.False(t, seen[row], "row %v is there twice", row)
		seen[row] = true
		if before, ok := last[row[0]]; ok {
			require.Greater(t, row[1], before, "key %d", row[0])
		}
		last[row[0]] = row[1]
	}
	require.Len(t, seen, next*keys)
	line, code, errOut := verifyLine(t, file)
	require.Equal(t, exitOK, code, errOut)
	require.Contains(t, line, "clean")
}

// rowsIn are the key and number of every row in the lake, in the order of the files' names, which is that of the plans.
func rowsIn(t *testing.T, dir string) (rows [][2]int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "lake", "x", "*.ndjson"))
	require.NoError(t, err)
	for _, name := range files {
		f, err := os.Open(name)
		require.NoError(t, err)
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			var row struct{ K, N int }
			require.NoError(t, json.Unmarshal(lines.Bytes(), &row))
			rows = append(rows, [2]int{row.K, row.N})
		}
		require.NoError(t, f.Close())
	}
	return rows
}

func TestStreamsAreReshardedFromTheCommandLine(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	ok := func(args ...string) string {
		t.Helper()
		code, out, errOut := command(t, append(args, "--data", data)...)
		require.Equal(t, exitOK, code, errOut)
		return out
	}
	refused := func(want string, args ...string) {
		t.Helper()
		code, _, errOut := command(t, append(args, "--data", data)...)
		require.NotEqual(t, exitOK, code)
		require.Contains(t, errOut, want)
	}
	ok("streams", "create", "s", "--shards", "2")
	require.Contains(t, ok("streams", "split", "s", "shardId-000000000000"), "its children are shardId-000000000002 and shardId-000000000003")
	refused("not side by side", "streams", "merge", "s", "2", "1")
	refused("was split or merged already", "streams", "split", "s", "0")
	refused("the key must be above", "streams", "split", "s", "1", "--at", "7")
	require.Contains(t, ok("streams", "merge", "s", "3", "1"), "their child is shardId-000000000004")
	out := ok("streams", "describe", "s")
	require.Contains(t, out, "shardId-000000000004\topen\tkeys=85070591730234615865843651857942052864-340282366920938463463374607431768211455\tparents=shardId-000000000003,shardId-000000000001\tcreated=")
	require.Contains(t, out, "shardId-000000000000\tclosed=")
	ok("streams", "max-record", "s", "10MiB")
	refused("10 MiB", "streams", "max-record", "s", "11MiB")
	ok("streams", "retention", "s", "--keep", "48h")
}
