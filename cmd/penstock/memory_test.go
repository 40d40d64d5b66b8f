//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/pipelines"
)

// TestMemoryStaysBoundedWithManyPartitions archives into 500 partitions of Parquet within a small budget. An encoder for
// each would take more than the bound by itself.
func TestMemoryStaysBoundedWithManyPartitions(t *testing.T) {
	if raced {
		t.Skip("the race detector takes memory of its own; make test measures without it too")
	}
	dir := t.TempDir()
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "p.yaml")
	require.NoError(t, withNode(t.Context(), data, func(n *pipelines.Node) error {
		if _, err := n.Streams.Create(t.Context(), "clicks", stream.Settings{Shards: 2}); err != nil {
			return err
		}
		s, err := n.Streams.Open(t.Context(), "clicks")
		if err == nil {
			_, err = fill(t.Context(), s, 60_000)
		}
		return err
	}))
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `version: 1
name: p
source: {stream: clicks, decode: {json: {}}}
stages: [compute: {p: 'session %% 500'}]
sink: {file: {path: %q, prefix: 'p=!{partitionKeyFromQuery:p}/', partition_keys: {p: p}, format: {parquet: {}}}}
`, filepath.Join(dir, "lake")), 0o600))
	c := spawn(t, "run", file, "--data", data, "--until-caught-up", "--memory", "128MiB")
	c.ends(2 * time.Minute)
	require.True(t, c.cmd.ProcessState.Success(), c.said)
	peak := c.cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss >> 10 // MiB
	t.Logf("campaign=memory budget_mib=128 peak_mib=%d", peak)
	require.LessOrEqual(t, peak, int64(128+128/10), "the budget and a tenth")
	require.Contains(t, c.said.String(), "written=60,000")
	line, code, _ := verifyLine(t, file)
	require.Equal(t, exitOK, code, line)
}

// A record of nearly 10 MiB passes within the smallest budget, though a batch of it is larger than the part for reading.
func TestALargeRecordPassesWithinTheSmallestBudget(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	code, _, errOut := command(t, "streams", "create", "clicks", "--max-record", "10485760", "--data", data)
	require.Equal(t, exitOK, code, errOut)
	var in, said bytes.Buffer
	for n := range 3 {
		fmt.Fprintf(&in, "{\"n\":%d,\"text\":%q}\n", n, strings.Repeat("x", 10_400_000))
	}
	code = run(t.Context(), []string{"put", "clicks", "--data", data}, &in, io.Discard, &said)
	require.Equal(t, exitOK, code, said.String())
	c := spawn(t, "run", clicksFile(t, dir, "p", "", ""), "--data", data, "--until-caught-up", "--memory", "128MiB")
	c.ends(time.Minute)
	require.True(t, c.cmd.ProcessState.Success(), c.said)
	require.Equal(t, upTo(0, 3, anyNumber), numbers(t, filepath.Join(dir, "p")))
}
