//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/pipelines"
)

// watchPeak watches how much memory a process has at most, in MiB; call what it returns once the process has ended. What
// the system says of an ended child counts its parent's memory too, from before it became another program.
func watchPeak(t *testing.T, c *child) func() int64 {
	t.Helper()
	peak := make(chan int64, 1)
	go func() {
		var most int64
		defer func() { peak <- most >> 10 }()
		for {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
			if err != nil {
				return
			}
			if _, after, ok := strings.Cut(string(text), "VmHWM:"); ok {
				var kib int64
				if _, err := fmt.Sscan(after, &kib); err == nil {
					most = kib
				}
			}
			select {
			case <-c.done:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() int64 {
		most := <-peak
		require.NotZero(t, most)
		return most
	}
}

// TestMemoryStaysBoundedWithManyPartitions archives into 500 partitions of Parquet within a small budget. An encoder for
// each would take more than the bound by itself.
func TestMemoryStaysBoundedWithManyPartitions(t *testing.T) {
	if raced {
		t.Skip("the race detector takes memory of its own; make test measures without it too")
	}
	dir := t.TempDir()
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "p.yaml")
	require.NoError(t, makeNode(t.Context(), data, func(n *pipelines.Node) error {
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
	peakOf := watchPeak(t, c)
	c.ends(2 * time.Minute)
	require.True(t, c.cmd.ProcessState.Success(), c.said)
	peak := peakOf()
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

// TestAFlushMayBeLargerThanMemory: what memory has no room for waits on disk, so that files are as large as the buffer says.
func TestAFlushMayBeLargerThanMemory(t *testing.T) {
	if raced {
		t.Skip("the race detector takes memory of its own; make test measures without it too")
	}
	dir := t.TempDir()
	data, lake, file := filepath.Join(dir, "data"), filepath.Join(dir, "lake"), filepath.Join(dir, "p.yaml")
	const events, partitions = 300_000, 40
	require.NoError(t, makeNode(t.Context(), data, func(n *pipelines.Node) error {
		if _, err := n.Streams.Create(t.Context(), "clicks", stream.Settings{Shards: 2}); err != nil {
			return err
		}
		s, err := n.Streams.Open(t.Context(), "clicks")
		if err == nil {
			_, err = fill(t.Context(), s, events)
		}
		return err
	}))
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `version: 1
name: p
source: {stream: clicks, decode: {json: {}}}
buffer: {max_bytes: 1GiB, max_records: 10000000, max_age: 1h}
stages: [compute: {p: 'session %% %d'}]
sink: {file: {path: %q, prefix: 'p=!{partitionKeyFromQuery:p}/', partition_keys: {p: p}, format: {parquet: {}}}}
`, partitions, lake), 0o600))
	c := spawn(t, "run", file, "--data", data, "--until-caught-up", "--memory", "128MiB")
	peakOf := watchPeak(t, c)
	c.ends(2 * time.Minute)
	require.True(t, c.cmd.ProcessState.Success(), c.said)
	peak := peakOf()
	t.Logf("campaign=spill budget_mib=128 peak_mib=%d", peak)
	require.LessOrEqual(t, peak, int64(128+128/10), "the budget and a tenth")
	plans, rows := plansIn(t, lake), int64(0)
	require.Len(t, plans, 1)
	require.Equal(t, "end", plans[0].Reason)
	require.Len(t, plans[0].Outputs, partitions)
	for _, o := range plans[0].Outputs {
		rows += o.Rows
	}
	require.Equal(t, int64(events), rows)
	left, err := os.ReadDir(filepath.Join(data, "scratch"))
	require.NoError(t, err)
	require.Empty(t, left)
	line, code, _ := verifyLine(t, file)
	require.Equal(t, exitOK, code, line)
}
