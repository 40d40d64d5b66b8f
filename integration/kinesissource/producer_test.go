package kinesissource

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors/kpl/kpltest"
	"github.com/penstock/penstock/core"
)

// producer puts records with ids of their own, and packs some of them as the KPL does.
type producer struct {
	client *kinesis.Client
	mu     sync.Mutex // guards what follows
	acked  map[string]bool
	doubt  map[string]bool // ids of puts that were answered with an error: they may be there
	next   int
}

func newProducer(c *kinesis.Client) *producer {
	return &producer{client: c, acked: map[string]bool{}, doubt: map[string]bool{}}
}

func (p *producer) ids(n int) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint("r", p.next)
		p.next++
		p.doubt[out[i]] = true
	}
	return out
}

// put puts n records, each by a random key, every third an aggregate of several.
func (p *producer) put(ctx context.Context, n int) error {
	in := &kinesis.PutRecordsInput{StreamName: aws.String("clicks")}
	of := make([][]string, n)
	for i := range n {
		hash := core.HashKey{Hi: rand.Uint64(), Lo: rand.Uint64()}.String() //nolint:gosec // a test's
		e := types.PutRecordsRequestEntry{PartitionKey: aws.String("k" + hash[:4]), ExplicitHashKey: &hash}
		if i%3 > 0 {
			of[i] = p.ids(1)
			e.Data = fmt.Appendf(nil, `{"id":%q}`, of[i][0])
		} else {
			var users []kpltest.User // all of one hash key, so that they belong to whichever shard it belongs to
			for _, id := range p.ids(1 + i%7) {
				of[i] = append(of[i], id)
				users = append(users, kpltest.User{Key: "user of " + id, Hash: hash, Data: fmt.Sprintf(`{"id":%q}`, id)})
			}
			e.Data = kpltest.Pack(users...)
		}
		in.Records = append(in.Records, e)
	}
	out, err := p.client.PutRecords(ctx, in)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, r := range out.Records {
		if r.ErrorCode == nil {
			for _, id := range of[i] {
				p.acked[id] = true
				delete(p.doubt, id)
			}
		}
	}
	return nil
}

// keep puts records until the func that it returns is called.
func (p *producer) keep(t *testing.T, every time.Duration) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_ = p.put(ctx, 40) // what is refused is not expected
			select {
			case <-time.After(every):
			case <-ctx.Done():
			}
		}
	}()
	var once atomic.Bool
	stop = func() {
		if once.CompareAndSwap(false, true) {
			cancel()
			<-done
		}
	}
	t.Cleanup(stop)
	return stop
}

func (p *producer) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.acked)
}

// delivered checks that what was acknowledged is there once, and what else is there was put once.
func (p *producer) delivered(t *testing.T, rows map[string]int) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	missing := []string{}
	for id := range p.acked {
		if rows[id] == 0 {
			missing = append(missing, id)
		}
	}
	require.Empty(t, missing, "of %d", len(p.acked))
	for id, n := range rows {
		require.Equal(t, 1, n, "row %s", id)
		require.True(t, p.acked[id] || p.doubt[id], "row %s was never put", id)
	}
}

func create(t *testing.T, c *kinesis.Client, shards int32) {
	t.Helper()
	_, err := c.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("clicks"), ShardCount: &shards})
	require.NoError(t, err)
	active(t, c)
}

func active(t *testing.T, c *kinesis.Client) {
	t.Helper()
	require.Eventually(t, func() bool {
		out, err := c.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("clicks")})
		return err == nil && out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive
	}, time.Minute, 50*time.Millisecond)
}

// shards are those of the stream that are open.
func openShards(t *testing.T, c *kinesis.Client) (out []types.Shard) {
	t.Helper()
	list, err := c.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("clicks")})
	require.NoError(t, err)
	for _, s := range list.Shards {
		if s.SequenceNumberRange.EndingSequenceNumber == nil {
			out = append(out, s)
		}
	}
	return out
}

// split splits the first open shard, and merge merges its children again, or what else is beside each other.
func split(t *testing.T, c *kinesis.Client) {
	t.Helper()
	s := openShards(t, c)[0]
	from, err := core.ParseHashKey(*s.HashKeyRange.StartingHashKey)
	require.NoError(t, err)
	to, err := core.ParseHashKey(*s.HashKeyRange.EndingHashKey)
	require.NoError(t, err)
	middle := core.HashRange{Start: from, End: to}.Middle().String()
	_, err = c.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: aws.String("clicks"), ShardToSplit: s.ShardId, NewStartingHashKey: &middle})
	require.NoError(t, err)
	active(t, c)
}

func merge(t *testing.T, c *kinesis.Client) {
	t.Helper()
	shards := openShards(t, c)
	for _, a := range shards {
		end, err := core.ParseHashKey(*a.HashKeyRange.EndingHashKey)
		require.NoError(t, err)
		for _, b := range shards {
			if *b.HashKeyRange.StartingHashKey == end.Next().String() && end != core.MaxHashKey {
				_, err := c.MergeShards(t.Context(), &kinesis.MergeShardsInput{StreamName: aws.String("clicks"), ShardToMerge: a.ShardId, AdjacentShardToMerge: b.ShardId})
				require.NoError(t, err)
				active(t, c)
				return
			}
		}
	}
	require.Fail(t, "no two open shards are beside each other")
}
