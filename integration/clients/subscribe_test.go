package clients

import (
	"os"
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

	"github.com/penstock/penstock/integration/servers"
)

func TestSubscribeJava(t *testing.T) {
	t.Parallel()
	servers.Need(t, "SDK for Java")
	jars, err := servers.Jars(t.Context(), filepath.Join("java", "pom.xml"))
	require.NoError(t, err)
	subscribe(t, "java", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", jars, filepath.Join("java", "Subscribe.java"))
}

func TestSubscribeJavaScript(t *testing.T) {
	t.Parallel()
	servers.Need(t, "SDK for JavaScript")
	folder, err := servers.Node(t.Context(), os.DirFS("javascript"))
	require.NoError(t, err)
	subscribe(t, "node", filepath.Join("javascript", "subscribe.mjs"), folder)
}

// subscribe has a client program read two shards, one that is split and one that is merged, while they are put to.
func subscribe(t *testing.T, program string, args ...string) {
	t.Helper()
	n, old := size(t)
	c, out := newClicks(t, 4), filepath.Join(t.TempDir(), "told")
	putAll(t, c.client, corpus(n))
	shards := []string{"shardId-000000000000", "shardId-000000000002"}
	w := startWorker(t, program, program, append(args, c.server.Endpoint, c.consumer(t), strings.Join(shards, ","), out, old)...)
	for limit := time.Now().Add(10 * time.Minute); ; { // until the first subscription of each has ended
		told, _ := os.ReadFile(out) //nolint:gosec // a test's own; not there at first
		if strings.Count(string(told), "\nsubscription\t") >= len(shards) {
			break
		}
		require.True(t, time.Now().Before(limit), "the first subscriptions do not end")
		w.alive(t)
		c.put(t, 10)
		time.Sleep(100 * time.Millisecond)
	}
	c.put(t, n)
	c.reshard(t)
	require.Zero(t, w.end(t))
	v := tellings(t, out)
	checkSubscription(t, c, v, "shardId-000000000000", old)
	checkSubscription(t, c, v, "shardId-000000000002", old)
}

// checkSubscription holds what a client was sent of a shard, by the end of it, against what iterators read.
func checkSubscription(t *testing.T, c *clicks, v *told, shard, old string) {
	t.Helper()
	want := drain(t, c.client, iterator(t, c.client, shard, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon}))
	require.True(t, slices.Equal(want, v.read["record"][shard]), "%s is to a subscriber another one", shard)
	require.Equal(t, c.children(t, shard), v.lines[[2]string{"child", shard}], "%s ends with its children", shard)
	subscriptions := v.lines[[2]string{"subscription", shard}]
	require.GreaterOrEqual(t, len(subscriptions), 2)
	require.NotEqual(t, "0", subscriptions[0][0])
	require.NotEqual(t, "0", subscriptions[1][0])
	if old == "old" {
		lasted, err := strconv.Atoi(subscriptions[0][1])
		require.NoError(t, err)
		require.Greater(t, lasted, 299_000, "the server ends a subscription after five minutes")
	}
	t.Logf("%s: %d records in subscriptions of (records, milliseconds) %v, to its end", shard, len(want), subscriptions)
}

// children are those of a shard, as subscribers tell them.
func (c *clicks) children(t *testing.T, shard string) (children [][]string) {
	t.Helper()
	listed, err := c.client.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("clicks")})
	require.NoError(t, err)
	for _, s := range listed.Shards {
		parents := []string{aws.ToString(s.ParentShardId)}
		if s.AdjacentParentShardId != nil {
			parents = append(parents, *s.AdjacentParentShardId)
		}
		if slices.Contains(parents, shard) {
			children = append(children, []string{*s.ShardId, strings.Join(parents, ","), *s.HashKeyRange.StartingHashKey, *s.HashKeyRange.EndingHashKey})
		}
	}
	require.NotEmpty(t, children)
	return children
}

// consumer is the ARN of one that is registered now.
func (c *clicks) consumer(t *testing.T) string {
	t.Helper()
	made, err := c.client.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: aws.String(arn), ConsumerName: aws.String("subscriber")})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		is, err := c.client.DescribeStreamConsumer(t.Context(), &kinesis.DescribeStreamConsumerInput{ConsumerARN: made.Consumer.ConsumerARN})
		return err == nil && is.ConsumerDescription.ConsumerStatus == types.ConsumerStatusActive
	}, time.Minute, 100*time.Millisecond)
	return *made.Consumer.ConsumerARN
}
