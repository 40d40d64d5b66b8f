package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/integration/servetest"
)

// clicks is a stream of numbers.
type clicks struct {
	server *servetest.Server
	client *kinesis.Client
	at     int // so many were put, each key's in their order
}

const arn = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks"

func newClicks(t *testing.T, shards int32) *clicks {
	t.Helper()
	c := &clicks{server: servetest.New(t)}
	c.client = c.server.Client(t)
	_, err := c.client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("clicks"), ShardCount: &shards})
	require.NoError(t, err)
	require.NoError(t, c.active(t.Context()))
	return c
}

// active waits until the stream is.
func (c *clicks) active(ctx context.Context) error {
	often := func(o *kinesis.StreamExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 100*time.Millisecond, 100*time.Millisecond
	}
	return kinesis.NewStreamExistsWaiter(c.client, often).Wait(ctx, &kinesis.DescribeStreamInput{StreamName: aws.String("clicks")}, time.Minute)
}

// keys is how many there are.
const keys = 1000

func key(n int) string { return fmt.Sprint("key-", n%keys) }

// put puts the next n.
func (c *clicks) put(t *testing.T, n int) {
	t.Helper()
	for to := c.at + n; c.at < to; {
		in := &kinesis.PutRecordsInput{StreamName: aws.String("clicks")}
		for ; c.at < to && len(in.Records) < 250; c.at++ {
			in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String(key(c.at)), Data: strconv.AppendInt(nil, int64(c.at), 10)})
		}
		out, err := c.client.PutRecords(t.Context(), in)
		require.NoError(t, err)
		require.Zero(t, *out.FailedRecordCount)
	}
}

// reshard splits the first shard and merges the last two while it puts. In between workers die.
func (c *clicks) reshard(t *testing.T, die ...*worker) {
	t.Helper()
	ctx, done := t.Context(), make(chan error, 1)
	go func() {
		_, split := c.client.SplitShard(ctx, &kinesis.SplitShardInput{
			StreamName: aws.String("clicks"), ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: aws.String("1" + strings.Repeat("0", 37)),
		})
		between := c.active(ctx)
		for _, w := range die {
			between = errors.Join(between, w.cmd.Process.Kill())
		}
		_, merge := c.client.MergeShards(ctx, &kinesis.MergeShardsInput{
			StreamName: aws.String("clicks"), ShardToMerge: aws.String("shardId-000000000002"), AdjacentShardToMerge: aws.String("shardId-000000000003"),
		})
		done <- errors.Join(split, between, merge, c.active(ctx))
	}()
	for {
		select {
		case err := <-done:
			require.NoError(t, err)
			return
		case <-time.After(10 * time.Millisecond):
			c.put(t, 10)
		}
	}
}

// worker is a process that consumes.
type worker struct {
	name string
	cmd  *exec.Cmd
	in   io.Closer
	said bytes.Buffer
	over chan struct{} // closed when it ended
}

func startWorker(t *testing.T, name, program string, args ...string) *worker {
	t.Helper()
	w := &worker{name: name, cmd: exec.CommandContext(t.Context(), program, args...), over: make(chan struct{})} //nolint:gosec // the tests' own
	w.cmd.Stdout, w.cmd.Stderr = &w.said, &w.said
	var err error
	w.in, err = w.cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, w.cmd.Start())
	go func() {
		defer close(w.over)
		_ = w.cmd.Wait() // end looks at how it did
	}()
	t.Cleanup(func() {
		_ = w.cmd.Process.Kill() // it has ended, if all went well
		<-w.over
		t.Logf("%s:\n%s", w.name, w.said.String())
	})
	return w
}

// alive fails when it has ended.
func (w *worker) alive(t *testing.T) {
	t.Helper()
	select {
	case <-w.over:
		require.Fail(t, w.name+" ended", w.said.String())
	default:
	}
}

// end ends it as a deployment would, and returns its exit code.
func (w *worker) end(t *testing.T) int {
	t.Helper()
	_ = w.in.Close() // it may have ended by itself
	select {
	case <-w.over:
	case <-time.After(3 * time.Minute):
		require.Fail(t, w.name+" does not end")
	}
	return w.cmd.ProcessState.ExitCode()
}

// processed is the file of what an application processed, in the order of time. Its lines have fields between tabs: worker,
// shard, sequence number, key and text.
type processed string

type row struct {
	worker, shard string
	seq           core.SequenceNumber
	key           string
	n             int
}

func (p processed) rows(t *testing.T) (rows []row) {
	t.Helper()
	text, err := os.ReadFile(string(p))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		line, whole := strings.CutSuffix(line, "\n")
		if !whole { // under way
			break
		}
		f := strings.Split(line, "\t")
		require.Len(t, f, 5)
		n, err := strconv.Atoi(f[4])
		require.NoError(t, err)
		rows = append(rows, row{f[0], f[1], core.SequenceNumber(f[2]), f[3], n})
	}
	return rows
}

// by reports whether a worker processed anything.
func (p processed) by(t *testing.T, worker string) bool {
	t.Helper()
	for _, r := range p.rows(t) {
		if r.worker == worker {
			return true
		}
	}
	return false
}

// waitFor waits until so many numbers are processed, while w lives.
func (p processed) waitFor(t *testing.T, w *worker, numbers int) {
	t.Helper()
	for limit := time.Now().Add(5 * time.Minute); ; {
		seen := map[int]bool{}
		for _, r := range p.rows(t) {
			seen[r.n] = true
		}
		if len(seen) >= numbers {
			return
		}
		require.True(t, time.Now().Before(limit), "only %d of %d numbers are processed", len(seen), numbers)
		w.alive(t)
		time.Sleep(500 * time.Millisecond)
	}
}

// check holds what was processed against what was put: each number, those of a key in the order in which they were put. One
// is processed again only where a worker died that had not checkpointed it.
func (p processed) check(t *testing.T, numbers int, dead string) {
	t.Helper()
	by, last, again := map[int]string{}, map[string]int{}, 0
	share, tips := map[string]int{}, map[[2]string]core.SequenceNumber{}
	for _, r := range p.rows(t) {
		share[r.worker]++
		tip := [2]string{r.worker, r.shard}
		require.Positive(t, r.seq.Compare(tips[tip]), "%s processes %s in order", r.worker, r.shard)
		tips[tip] = r.seq
		if first, ok := by[r.n]; ok {
			require.Equal(t, dead, first, "%s processed %d again", r.worker, r.n)
			again++
			continue
		}
		by[r.n] = r.worker
		require.Equal(t, key(r.n), r.key)
		before, ok := last[r.key]
		require.True(t, !ok && r.n < keys || r.n == before+keys, "%d of %s is processed after %d", r.n, r.key, before)
		last[r.key] = r.n
	}
	require.Len(t, by, numbers)
	t.Logf("%s: %d records of %d shards processed, each key's in order: %v; %d of them again, after %q died", filepath.Base(string(p)), len(by), len(tips), share, again, dead)
}
