package kinesissource

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors/kpl/kpltest"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/kinesisapi/kinesistest"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/integration/servetest"
)

// modes are the ways to read, as settings of the source.
var modes = map[string]string{"polling": "", "fan_out": ", mode: fan_out, consumer: archive"}

// TestAStreamOfAnotherServerIsDeliveredOnce reads a stream of penstock serve while it is put to, split and merged, while
// the server is killed and started again, and while the pipeline is.
func TestAStreamOfAnotherServerIsDeliveredOnce(t *testing.T) {
	servers.Need(t, "penstock serve")
	for mode, settings := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := servetest.New(t)
			c := s.Client(t)
			create(t, c, 2)
			in := newProducer(c)
			stop := in.keep(t, 20*time.Millisecond)
			p := newPipeline(t, s.Endpoint, settings)
			p.start(t)
			p.waitFor(t, 100)
			split(t, c)
			p.waitFor(t, in.count())
			s.Kill()
			time.Sleep(2 * time.Second)
			s.Restart(t)
			split(t, c)
			p.waitFor(t, in.count())
			p.kill()
			merge(t, c)
			p.start(t)
			p.waitFor(t, in.count())
			merge(t, c)
			p.kill()
			p.start(t)
			p.waitFor(t, in.count())
			stop()
			p.kill()
			p.catchUp(t)
			in.delivered(t, p.rows(t))
			p.verified(t)
		})
	}
}

// TestAThrottledStreamIsDeliveredOnce reads a stream that holds its callers to what AWS allows, beside another reader that
// takes all of it.
func TestAThrottledStreamIsDeliveredOnce(t *testing.T) {
	servers.Need(t, "penstock serve")
	for mode, settings := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := servetest.New(t, "--limits", "aws")
			c := s.Client(t)
			create(t, c, 1)
			in := newProducer(c)
			stop := in.keep(t, 100*time.Millisecond)
			ctx, quiet := context.WithCancel(t.Context())
			throttled := greedy(ctx, c)
			defer quiet()
			p := newPipeline(t, s.Endpoint, settings)
			p.start(t)
			p.waitFor(t, 200)
			split(t, c)
			p.waitFor(t, in.count()+1)
			stop()
			p.waitFor(t, in.count())
			require.Positive(t, throttled.Load(), "nobody was throttled")
			p.kill()
			quiet()
			p.catchUp(t)
			in.delivered(t, p.rows(t))
			p.verified(t)
		})
	}
}

// greedy reads the first shard as fast as it is let to, and counts how often it is not.
func greedy(ctx context.Context, c *kinesis.Client) *atomic.Int64 {
	var throttled atomic.Int64
	go func() {
		for ctx.Err() == nil {
			it, err := c.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
				StreamName: aws.String("clicks"), ShardId: aws.String("shardId-000000000000"), ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
			})
			if err == nil {
				_, err = c.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator})
			}
			if err != nil {
				throttled.Add(1)
			}
			time.Sleep(60 * time.Millisecond)
		}
	}()
	return &throttled
}

// TestServersOfAnotherMake reads streams of other servers, through a split and a merge, killed in between.
func TestServersOfAnotherMake(t *testing.T) {
	servers.Need(t, "kinesis-mock and kinesalite")
	for _, name := range []string{"kinesis-local", "kinesalite"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, err := servers.NewKinesis(t.Context(), name, t.TempDir())
			require.NoError(t, err)
			require.NoError(t, k.Start(t.Context()))
			t.Cleanup(k.Kill)
			c := kinesistest.Client(k.Endpoint, "key", "secret")
			create(t, c, 2)
			in := newProducer(c)
			stop := in.keep(t, 50*time.Millisecond)
			p := newPipeline(t, k.Endpoint, "")
			p.start(t)
			p.waitFor(t, 100)
			split(t, c)
			p.waitFor(t, in.count())
			p.kill()
			merge(t, c)
			p.start(t)
			p.waitFor(t, in.count())
			stop()
			p.kill()
			p.catchUp(t)
			in.delivered(t, p.rows(t))
			p.verified(t)
		})
	}
}

// TestUserRecordsOfAnotherShardComeAgain packs user records for a shard that is split before they come to it, and puts
// again those that came to the wrong one, as the KPL does.
func TestUserRecordsOfAnotherShardComeAgain(t *testing.T) {
	servers.Need(t, "penstock serve")
	s := servetest.New(t)
	c := s.Client(t)
	create(t, c, 1)
	split(t, c)
	halves := core.EvenRanges(2)
	user := func(half, n int) kpltest.User {
		return kpltest.User{Key: "k", Hash: halves[half].Middle().String(), Data: fmt.Sprintf(`{"id":"half %d, %d"}`, half, n)}
	}
	put := func(half int, users ...kpltest.User) {
		_, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{
			StreamName: aws.String("clicks"), PartitionKey: aws.String("a"), ExplicitHashKey: aws.String(halves[half].Middle().String()), Data: kpltest.Pack(users...),
		})
		require.NoError(t, err)
	}
	put(0, user(0, 1), user(1, 1), user(0, 2), user(1, 2)) // packed before the split
	put(1, user(1, 1), user(1, 2))
	p := newPipeline(t, s.Endpoint, "")
	p.catchUp(t)
	require.Equal(t, map[string]int{"half 0, 1": 1, "half 0, 2": 1, "half 1, 1": 1, "half 1, 2": 1}, p.rows(t))
	p.verified(t)
}
