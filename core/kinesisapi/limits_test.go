package kinesisapi

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/kinesisapi/kinesistest"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/core/stream/limit"
)

const firstShard = "shardId-000000000000"

// exceeded is what is said of a shard that was used too much.
const exceeded = "Rate exceeded for shard shardId-000000000000 in stream clicks under account 000000000000."

// told are the events of an API.
type told struct {
	mu         sync.Mutex // guards what follows
	puts       []PutDone
	gets       []GetDone
	subscribed []SubscribeDone
	sent       []SentDone
}

func keep[T any](mu *sync.Mutex, in *[]T) func(T) {
	return func(e T) {
		mu.Lock()
		defer mu.Unlock()
		*in = append(*in, e)
	}
}

func (e *told) events() Events {
	return Events{Put: keep(&e.mu, &e.puts), Get: keep(&e.mu, &e.gets), Subscribe: keep(&e.mu, &e.subscribed), Sent: keep(&e.mu, &e.sent)}
}

// limited is a server that allows a part of what AWS does, so small that no test is slow enough to get more, with a stream
// of one shard.
func limited(t *testing.T, factor float64) (*server, *told) {
	t.Helper()
	l, err := limit.New(factor)
	require.NoError(t, err)
	e := &told{}
	s := serve(t, Config{Delay: -1, Limits: l, Events: e.events()})
	s.stream(t, "clicks", 1)
	return s, e
}

func (s *server) putBytes(t *testing.T, n int) error {
	t.Helper()
	_, err := s.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("clicks"), PartitionKey: aws.String("a"), Data: bytes.Repeat([]byte("x"), n)})
	return err
}

func TestPutsBeyondAShardsLimitsAreRefused(t *testing.T) {
	s, told := limited(t, 0.001)
	entry := types.PutRecordsRequestEntry{PartitionKey: aws.String("a"), Data: []byte("abc")}
	out, err := s.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("clicks"), Records: []types.PutRecordsRequestEntry{entry, entry, entry, entry}})
	require.NoError(t, err)
	require.EqualValues(t, 3, *out.FailedRecordCount)
	require.Equal(t, firstShard, *out.Records[0].ShardId)
	for _, r := range out.Records[1:] {
		require.Equal(t, codeThroughput, *r.ErrorCode)
		require.Equal(t, exceeded, *r.ErrorMessage)
		require.Nil(t, r.SequenceNumber)
	}
	require.Len(t, told.puts, 1)
	require.Equal(t, Flow{Records: 1, Bytes: 4, Exceeded: 3}, told.puts[0].Put)
	require.True(t, told.puts[0].OK)
	require.Nil(t, told.puts[0].Shards, "no metrics by shard were asked for")
}

func TestALargeRecordKeepsItsShardBusy(t *testing.T) {
	s, told := limited(t, 0.001)
	require.NoError(t, s.putBytes(t, 1<<20-1))
	err := s.putBytes(t, 1) // for a thousand seconds
	require.Equal(t, codeThroughput, code(t, err))
	require.ErrorContains(t, err, exceeded)
	require.True(t, told.puts[1].Exceeded)
	require.False(t, told.puts[1].OK)
	require.EqualValues(t, 1, told.puts[1].Put.Exceeded)
}

func TestReadsBeyondAShardsLimitsAreRefused(t *testing.T) {
	s, told := limited(t, 0.001)
	require.NoError(t, s.putBytes(t, 500<<10))
	in := kinesis.GetShardIteratorInput{StreamName: aws.String("clicks"), ShardId: aws.String(firstShard), ShardIteratorType: "TRIM_HORIZON"}
	it := s.iterator(t, in)
	_, err := s.GetShardIterator(t.Context(), &in)
	require.Equal(t, codeThroughput, code(t, err))
	require.ErrorContains(t, err, exceeded)
	out, err := s.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it})
	require.NoError(t, err)
	require.Len(t, out.Records, 1)
	_, err = s.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: out.NextShardIterator})
	require.Equal(t, codeThroughput, code(t, err))
	require.ErrorContains(t, err, exceeded)
	require.Len(t, told.gets, 2)
	require.Equal(t, Flow{Records: 1, Bytes: 500<<10 + 1}, told.gets[0].Got)
	require.True(t, told.gets[1].Exceeded)
}

func TestAConsumerCannotSubscribeAgainAndAgain(t *testing.T) {
	s, told := limited(t, 0.001)
	consumer := s.consumer(t, "clicks", "app")
	require.NoError(t, s.subscribe(t, consumer, horizon()).Close())
	in := &kinesis.SubscribeToShardInput{ConsumerARN: &consumer, ShardId: aws.String(firstShard), StartingPosition: &types.StartingPosition{Type: "LATEST"}}
	require.Eventually(t, func() bool {
		_, err := kinesistest.Client(s.url, "key", "secret").SubscribeToShard(t.Context(), in)
		return code(t, err) == codeLimit // until the server sees that the first one is gone, there is one
	}, 30*time.Second, 50*time.Millisecond)
	told.mu.Lock()
	defer told.mu.Unlock()
	require.True(t, told.subscribed[0].OK)
	require.False(t, told.subscribed[1].OK)
	require.True(t, told.subscribed[1].Exceeded)
	require.Equal(t, "app", told.subscribed[1].Consumer)
}

func TestOperationsThatAreCalledTooOftenAreRefused(t *testing.T) {
	l, err := limit.New(0.001)
	require.NoError(t, err)
	s := serve(t, Config{Delay: -1, Limits: l})
	ctx := t.Context()
	create := func(name string) error {
		_, err := s.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(1)})
		return err
	}
	require.NoError(t, create("one"))
	err = create("two")
	require.Equal(t, codeLimit, code(t, err))
	require.ErrorContains(t, err, "Rate exceeded for CreateStream under account 000000000000.")
	_, err = s.streams.Create(ctx, "two", stream.Settings{})
	require.NoError(t, err, "it was not made, and who is not a client is not held to it")

	consumers := func(name string) error {
		arn := "arn:aws:kinesis:us-east-1:000000000000:stream/" + name
		_, err := s.ListStreamConsumers(ctx, &kinesis.ListStreamConsumersInput{StreamARN: &arn})
		return err
	}
	require.NoError(t, consumers("one"))
	require.NoError(t, consumers("two"), "each stream has its own")
	err = consumers("one")
	require.Equal(t, codeLimit, code(t, err))
	require.ErrorContains(t, err, "Rate exceeded for stream one under account 000000000000.")

	made, err := s.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/one"), ConsumerName: aws.String("app")})
	require.NoError(t, err)
	describe := &kinesis.DescribeStreamConsumerInput{ConsumerARN: made.Consumer.ConsumerARN}
	_, err = s.DescribeStreamConsumer(ctx, describe)
	require.NoError(t, err)
	_, err = s.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{StreamARN: aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/one"), ConsumerName: aws.String("app")})
	require.Equal(t, codeLimit, code(t, err), "by whichever name")
	for err = nil; err == nil; { // one a second may be called
		_, err = s.ListShards(ctx, &kinesis.ListShardsInput{StreamName: aws.String("one")})
	}
	require.Equal(t, codeLimit, code(t, err))
	_, err = s.StartStreamEncryption(ctx, &kinesis.StartStreamEncryptionInput{StreamName: aws.String("one"), EncryptionType: "KMS", KeyId: aws.String("k")})
	require.Equal(t, codeNoKey, code(t, err))
}

func TestASubscriptionIsSentNoMoreThanItsShare(t *testing.T) {
	s, told := limited(t, 0.02) // 42 kB a second
	consumer := s.consumer(t, "clicks", "app")
	require.NoError(t, s.putBytes(t, 80_000))
	began := time.Now()
	require.Len(t, event(t, s.subscribe(t, consumer, horizon())).Records, 1)
	require.Greater(t, time.Since(began), 500*time.Millisecond)
	require.Eventually(t, func() bool {
		told.mu.Lock()
		defer told.mu.Unlock()
		return len(told.sent) > 0 && told.sent[0].Sent == Flow{Records: 1, Bytes: 80_001}
	}, 30*time.Second, 10*time.Millisecond)
}

func TestMetricsByShardAreToldWhereTheyAreAskedFor(t *testing.T) {
	e := &told{}
	s := serve(t, Config{Delay: -1, Events: e.events()})
	s.stream(t, "clicks", 2)
	s.put(t, "clicks", 0, 10)
	require.Nil(t, e.puts[0].Shards)
	_, err := s.EnableEnhancedMonitoring(t.Context(), &kinesis.EnableEnhancedMonitoringInput{StreamName: aws.String("clicks"), ShardLevelMetrics: []types.MetricsName{"IncomingBytes"}})
	require.NoError(t, err)
	s.put(t, "clicks", 0, 100)
	require.Equal(t, []string{"IncomingBytes"}, e.puts[1].ByShard)
	var all Flow
	for _, f := range e.puts[1].Shards {
		all.add(f)
	}
	require.Len(t, e.puts[1].Shards, 2)
	require.Equal(t, e.puts[1].Put, all)
	require.EqualValues(t, 100, all.Records)
	_, err = s.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("none"), PartitionKey: aws.String("a"), Data: []byte("x")})
	require.Equal(t, codeNotFound, code(t, err))
	require.Len(t, e.puts, 2, "a stream that is not there has no figures")
}
