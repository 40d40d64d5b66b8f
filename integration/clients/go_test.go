package clients

import (
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/integration/servetest"
)

// TestGo is the client that other tests read with: it tells the same as every client program does.
func TestGo(t *testing.T) {
	servers.Need(t, "server with AWS's SDK for Go")
	for name, flags := range map[string][]string{"HTTP/1.1": nil, "HTTP/2 over TLS": {"--tls-self-signed"}} {
		t.Run(name, func(t *testing.T) { roundTripGo(t, servetest.New(t, flags...).Client(t)) })
	}
}

func roundTripGo(t *testing.T, c *kinesis.Client) {
	t.Helper()
	n, _ := size(t)
	records, stream, began := corpus(n), aws.String("clicks"), time.Now()
	_, err := c.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: stream, ShardCount: aws.Int32(4)})
	require.NoError(t, err)
	out, err := kinesis.NewStreamExistsWaiter(c, func(o *kinesis.StreamExistsWaiterOptions) { o.MinDelay = 100 * time.Millisecond }).
		WaitForOutput(t.Context(), &kinesis.DescribeStreamInput{StreamName: stream}, time.Minute)
	require.NoError(t, err)
	var shards []string
	for _, s := range out.StreamDescription.Shards {
		shards = append(shards, *s.ShardId)
	}
	latest := map[string]*string{}
	for _, s := range shards {
		latest[s] = iterator(t, c, s, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeLatest})
	}
	v := &told{acks: map[int][2]string{}, read: map[string]map[string][]got{}, asked: map[string]int64{}}
	for i, a := range putAll(t, c, records) {
		v.acks[i] = [2]string{*a.ShardId, *a.SequenceNumber}
	}
	for _, s := range shards {
		v.readAll(t, c, s, latest[s])
	}
	v.check(t, records, began)
	_, err = c.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: stream})
	require.NoError(t, err)
	require.NoError(t, kinesis.NewStreamNotExistsWaiter(c, func(o *kinesis.StreamNotExistsWaiterOptions) { o.MinDelay = 100 * time.Millisecond }).
		Wait(t.Context(), &kinesis.DescribeStreamInput{StreamName: stream}, time.Minute))
}

// putAll puts records, in their order.
func putAll(t *testing.T, c *kinesis.Client, records []record) (acks []types.PutRecordsResultEntry) {
	t.Helper()
	for some := range slices.Chunk(records, 100) {
		in := &kinesis.PutRecordsInput{StreamName: aws.String("clicks")}
		for _, r := range some {
			e := types.PutRecordsRequestEntry{PartitionKey: &r.key, Data: r.data}
			if r.hash != "" {
				e.ExplicitHashKey = &r.hash
			}
			in.Records = append(in.Records, e)
		}
		out, err := c.PutRecords(t.Context(), in)
		require.NoError(t, err)
		require.Zero(t, *out.FailedRecordCount)
		acks = append(acks, out.Records...)
	}
	return acks
}

// readAll reads a shard with iterators of all types.
func (v *told) readAll(t *testing.T, c *kinesis.Client, shard string, latest *string) {
	t.Helper()
	read := func(section string, it *string) []got {
		if v.read[section] == nil {
			v.read[section] = map[string][]got{}
		}
		v.read[section][shard] = drain(t, c, it)
		return v.read[section][shard]
	}
	rows := read("trim", iterator(t, c, shard, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon}))
	read("latest", latest)
	middle := rows[len(rows)/2]
	v.asked[shard] = middle.arrival
	read("at-sequence", iterator(t, c, shard, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: &middle.seq}))
	read("after-sequence", iterator(t, c, shard, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: &middle.seq}))
	read("at-timestamp", iterator(t, c, shard, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: aws.Time(time.UnixMilli(middle.arrival))}))
}

func iterator(t *testing.T, c *kinesis.Client, shard string, in kinesis.GetShardIteratorInput) *string {
	t.Helper()
	in.StreamName, in.ShardId = aws.String("clicks"), &shard
	out, err := c.GetShardIterator(t.Context(), &in)
	require.NoError(t, err)
	return out.ShardIterator
}

// drain reads from an iterator to the tip, or the end of the shard.
func drain(t *testing.T, c *kinesis.Client, it *string) (rows []got) {
	t.Helper()
	for {
		page, err := c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it, Limit: aws.Int32(1000)})
		require.NoError(t, err)
		for _, r := range page.Records {
			rows = append(rows, got{*r.SequenceNumber, *r.PartitionKey, string(r.Data), r.ApproximateArrivalTimestamp.UnixMilli()})
		}
		if it = page.NextShardIterator; it == nil || len(page.Records) == 0 && *page.MillisBehindLatest == 0 {
			return rows
		}
	}
}
