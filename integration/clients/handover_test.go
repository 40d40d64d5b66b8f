//go:build unix

package clients

import (
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/laketest"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/integration/servetest"
)

// TestKCLHandsOver has an application of the Kinesis Client Library and the workers of a pipeline process a stream by turns, over
// one lease table: each goes on where the other one stands, also over a split. Where one is stopped nothing is processed
// twice; of one that is killed, what it had not noted. PENSTOCK_HANDOVERS says how many turns each has.
func TestKCLHandsOver(t *testing.T) {
	t.Parallel()
	servers.Need(t, "Kinesis Client Library")
	turns := 1
	if n, err := strconv.Atoi(os.Getenv("PENSTOCK_HANDOVERS")); err == nil {
		turns = n
	}
	h := newHandover(t, 4)
	const each = 1000
	for turn := range turns {
		kill := turn%2 == 0
		kcl := h.kcl(turn)
		h.put(t, each)
		h.wait(t, kcl)
		h.noted(t)
		if kill { // while it processes more
			before := len(h.application.rows(t))
			h.put(t, each)
			require.Eventually(t, func() bool { return len(h.application.rows(t)) > before }, 5*time.Minute, 10*time.Millisecond, "KCL processes nothing")
			require.NoError(t, kcl.cmd.Process.Kill())
			<-kcl.over
		} else {
			require.Zero(t, kcl.end(t))
		}
		h.changed(t, "KCL", kill, 0)
		two := []*worker{h.penstock(t), h.penstock(t)}
		h.wait(t, two...)
		h.split(t)
		h.put(t, each)
		h.wait(t, two...)
		h.stop(t, two)
		h.changed(t, "Penstock", false, each)
	}
	kcl := h.kcl(turns)
	h.put(t, each)
	h.wait(t, kcl)
	require.Zero(t, kcl.end(t))
	h.changed(t, "KCL", false, 0)
	t.Logf("campaign=kcl-handover turns=%d expected=%d got=%d missing=0 again=%d by_kcl=%d by_penstock=%d",
		turns, h.at, len(h.all(t)), h.again, len(h.application.rows(t)), len(h.lake(t)))
}

// handover is an application and a pipeline over one lease table.
type handover struct {
	*clicks
	t                      *testing.T
	jars, table, dir, file string
	application            processed

	again int  // what was processed again
	doubt bool // the last turn ended with a death
}

func newHandover(t *testing.T, shards int32) *handover {
	t.Helper()
	jars, err := servers.Jars(t.Context(), filepath.Join("java", "kcl", "pom.xml"))
	require.NoError(t, err)
	dir := t.TempDir()
	h := &handover{clicks: newClicks(t, shards), t: t, jars: jars, table: servers.DynamoDBFor(t).Endpoint, dir: dir, file: filepath.Join(dir, "p.yaml")}
	h.application = processed(filepath.Join(dir, "polling"))
	require.NoError(t, os.WriteFile(h.file, fmt.Appendf(nil, `version: 1
name: p
source:
  kinesis: {stream: clicks, endpoint: '%s', access_key: key, secret_key: '${SECRET}'}
  decode: {raw: {}}
buffer: {max_age: 1s}
sink: {file: {path: '%s', format: {ndjson: {}}}}
`, h.server.Endpoint, filepath.Join(dir, "lake")), 0o600))
	return h
}

func (h *handover) kcl(turn int) *worker {
	h.t.Helper()
	name := fmt.Sprint("kcl-", turn)
	return startKCL(h.t, h.jars, name, h.server.Endpoint, h.table, "clicks", name, h.dir, "polling")
}

func (h *handover) penstock(t *testing.T, flags ...string) *worker {
	t.Helper()
	return startWorker(t, "penstock", "env", append([]string{
		"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret", "AWS_REGION=us-east-1", "SECRET=secret", "TMPDIR=" + h.dir,
		servetest.Command(t), "run", h.file, "--state", "dynamodb://polling?endpoint=" + h.table,
	}, flags...)...)
}

// lake is what the pipeline delivered, in no order.
func (h *handover) lake(t *testing.T) (out []int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(h.dir, "lake", "*.ndjson"))
	require.NoError(t, err)
	for _, name := range files {
		text, err := os.ReadFile(name) //nolint:gosec // of the test
		require.NoError(t, err)
		for _, row := range laketest.RowsOf(t, name, text) {
			out = append(out, number(t, row))
		}
	}
	return out
}

// all is how often each number was processed.
func (h *handover) all(t *testing.T) map[int]int {
	t.Helper()
	out := map[int]int{}
	for _, r := range h.application.rows(t) {
		out[r.n]++
	}
	for _, n := range h.lake(t) {
		out[n]++
	}
	return out
}

// wait waits until all that was put is processed, while workers live.
func (h *handover) wait(t *testing.T, workers ...*worker) {
	t.Helper()
	for limit := time.Now().Add(5 * time.Minute); ; time.Sleep(500 * time.Millisecond) {
		n := len(h.all(t))
		if n >= h.at {
			return
		}
		require.True(t, time.Now().Before(limit), "only %d of %d numbers are processed", n, h.at)
		for _, w := range workers {
			w.alive(t)
		}
	}
}

// noted waits until KCL has noted what it processed.
func (h *handover) noted(t *testing.T) {
	t.Helper()
	last := map[string]string{}
	for _, r := range h.application.rows(t) {
		last[r.shard] = string(r.seq)
	}
	client := dynamodb.New(dynamodb.Options{
		Region: "us-east-1", BaseEndpoint: &h.table, Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	})
	require.Eventually(t, func() bool {
		out, err := client.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("polling")})
		require.NoError(t, err)
		for _, i := range out.Items {
			shard, _ := i["leaseKey"].(*types.AttributeValueMemberS)
			at, lease := i["checkpoint"].(*types.AttributeValueMemberS)
			if seq := last[shard.Value]; lease && seq != "" && at.Value != seq && at.Value != "SHARD_END" {
				return false
			}
		}
		return true
	}, time.Minute, 100*time.Millisecond)
}

// changed ends a turn. What was processed in it although it had been before is counted: none, but for so many after a death.
func (h *handover) changed(t *testing.T, who string, death bool, most int) {
	t.Helper()
	all := h.all(t)
	again := -h.again
	for _, n := range all {
		again += n - 1
	}
	if !h.doubt {
		most = 0
	}
	require.LessOrEqual(t, again, most, "%s processed records that had been", who)
	t.Logf("turn of %s: %d numbers in all, %d of them processed again in it", who, len(all), again)
	h.again, h.doubt = h.again+again, death
}

// split splits the open shard that is the first.
func (h *handover) split(t *testing.T) {
	t.Helper()
	out, err := h.client.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("clicks")})
	require.NoError(t, err)
	for _, s := range out.Shards {
		if s.SequenceNumberRange.EndingSequenceNumber != nil {
			continue
		}
		from, to := hashKey(t, *s.HashKeyRange.StartingHashKey), hashKey(t, *s.HashKeyRange.EndingHashKey)
		_, err = h.client.SplitShard(t.Context(), &kinesis.SplitShardInput{
			StreamName: aws.String("clicks"), ShardToSplit: s.ShardId, NewStartingHashKey: aws.String(from.Add(from, to).Rsh(from, 1).String()),
		})
		require.NoError(t, err)
		require.NoError(t, h.active(t.Context()))
		return
	}
}

// stop ends workers as a deployment would.
func (h *handover) stop(t *testing.T, workers []*worker) {
	t.Helper()
	for _, w := range workers {
		require.NoError(t, w.cmd.Process.Signal(syscall.SIGTERM))
		require.Zero(t, w.end(t))
	}
}

// number is that of a row.
func number(t *testing.T, row string) int {
	t.Helper()
	var v struct{ Data []byte }
	require.NoError(t, json.Unmarshal([]byte(row), &v))
	n, err := strconv.Atoi(string(v.Data))
	require.NoError(t, err)
	return n
}

func hashKey(t *testing.T, text string) *big.Int {
	t.Helper()
	n, ok := new(big.Int).SetString(text, 10)
	require.True(t, ok, text)
	return n
}
