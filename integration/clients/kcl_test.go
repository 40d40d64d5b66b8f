package clients

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/integration/servetest"
)

// worker is one of the Kinesis Client Library, in a process of its own.
type worker struct {
	name, out string
	cmd       *exec.Cmd
	in        io.Closer
	said      bytes.Buffer
}

func startWorker(t *testing.T, jars, endpoint, leases, name string) *worker {
	t.Helper()
	w := &worker{name: name, out: filepath.Join(t.TempDir(), "processed")}
	w.cmd = exec.CommandContext(t.Context(), "java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true", //nolint:gosec // the tests' own
		"-cp", jars, filepath.Join("java", "kcl", "Consumer.java"), endpoint, leases, "clicks", name, w.out)
	w.cmd.Stdout, w.cmd.Stderr = &w.said, &w.said
	var err error
	w.in, err = w.cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, w.cmd.Start())
	t.Cleanup(func() {
		_ = w.cmd.Process.Kill() // it has ended, if all went well
		_ = w.cmd.Wait()
		t.Logf("%s:\n%s", w.name, w.said.String())
	})
	return w
}

// processed is the shard, the sequence number and the text of each record that it has processed so far.
func (w *worker) processed(t *testing.T) (out [][]string) {
	t.Helper()
	text, err := os.ReadFile(w.out)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if rest, whole := strings.CutSuffix(line, "\n"); whole { // the last one may be under way, or what a dead worker left
			out = append(out, strings.Split(rest, "\t"))
		}
	}
	return out
}

// end ends it as a deployment would, if it still runs.
func (w *worker) end(t *testing.T) {
	t.Helper()
	_ = w.in.Close() // it may have been killed
	err := w.cmd.Wait()
	require.True(t, err == nil || !w.cmd.ProcessState.Exited(), "%s: %v: %s", w.name, err, w.said.String())
}

// TestKCL has two workers of the Kinesis Client Library process a stream while it is put to.
func TestKCL(t *testing.T) {
	servers.Need(t, "Kinesis Client Library")
	jars, err := servers.Jars(t.Context(), filepath.Join("java", "kcl", "pom.xml"))
	require.NoError(t, err)
	const records = 20_000
	server, leases := servetest.New(t), servers.DynamoDBFor(t).Endpoint
	c := server.Client(t)
	_, err = c.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("clicks"), ShardCount: aws.Int32(4)})
	require.NoError(t, err)
	require.NoError(t, kinesis.NewStreamExistsWaiter(c).Wait(t.Context(), &kinesis.DescribeStreamInput{StreamName: aws.String("clicks")}, time.Minute))
	put := func(from, to int) {
		for some := range slices.Chunk(numbers(from, to), 250) {
			in := &kinesis.PutRecordsInput{StreamName: aws.String("clicks")}
			for _, n := range some {
				in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String(fmt.Sprint("key-", n%1000)), Data: strconv.AppendInt(nil, int64(n), 10)})
			}
			out, err := c.PutRecords(t.Context(), in)
			require.NoError(t, err)
			require.Zero(t, *out.FailedRecordCount)
		}
	}
	put(0, records/2)
	workers := []*worker{startWorker(t, jars, server.Endpoint, leases, "worker-1")} // two at once would trip over each other's new tables
	waitFor(t, workers, records/2)
	workers = append(workers, startWorker(t, jars, server.Endpoint, leases, "worker-2"))
	at := records / 2
	for ; at < records*9/10 && len(workers[1].processed(t)) == 0; at += 100 { // while shards pass from one to the other
		put(at, at+100)
		time.Sleep(time.Second)
	}
	if _, old := size(t); old == "old" {
		require.NoError(t, workers[0].cmd.Process.Kill())
	}
	put(at, records)
	waitFor(t, workers, records)
	for _, w := range workers {
		w.end(t)
	}
	checkProcessed(t, workers, records)
}

func numbers(from, to int) []int {
	out := make([]int, 0, to-from)
	for n := from; n < to; n++ {
		out = append(out, n)
	}
	return out
}

// waitFor waits until the workers together have processed that many records.
func waitFor(t *testing.T, workers []*worker, records int) {
	t.Helper()
	require.Eventually(t, func() bool {
		seen := map[string]bool{}
		for _, w := range workers {
			for _, f := range w.processed(t) {
				seen[f[2]] = true
			}
		}
		return len(seen) >= records
	}, 5*time.Minute, time.Second)
}

// checkProcessed holds what the workers processed against what was put: each record, in the order of its shard. A worker
// that takes a shard over may process again what the one before had not checkpointed.
func checkProcessed(t *testing.T, workers []*worker, records int) {
	t.Helper()
	times := map[int]int{}
	for _, w := range workers {
		last, share := map[string]core.SequenceNumber{}, 0
		for _, f := range w.processed(t) {
			n, err := strconv.Atoi(f[2])
			require.NoError(t, err)
			times[n]++
			share++
			require.Positive(t, core.SequenceNumber(f[1]).Compare(last[f[0]]), "%s processes %s in order", w.name, f[0])
			last[f[0]] = core.SequenceNumber(f[1])
		}
		t.Logf("%s processed %d records of %v", w.name, share, slices.Sorted(maps.Keys(last)))
		require.Positive(t, share, w.name)
	}
	require.Equal(t, numbers(0, records), slices.Sorted(maps.Keys(times)))
	again := 0
	for _, n := range times {
		again += n - 1
	}
	t.Logf("%d records processed, %d of them again", records, again)
}
