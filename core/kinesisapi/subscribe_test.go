package kinesisapi

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/kinesisapi/kinesistest"
)

// another is one more client: the SDK's subscriptions through one client share a buffer.
func (s *server) another() *kinesis.Client { return kinesistest.Client(s.url, "key", "secret") }

// subscribe begins a subscription of the first shard of a stream and returns its events.
func (s *server) subscribe(t *testing.T, consumer string, from types.StartingPosition) *kinesis.SubscribeToShardEventStream {
	t.Helper()
	out, err := s.another().SubscribeToShard(t.Context(), &kinesis.SubscribeToShardInput{ConsumerARN: &consumer, ShardId: aws.String("shardId-000000000000"), StartingPosition: &from})
	require.NoError(t, err)
	t.Cleanup(func() { _ = out.GetStream().Close() })
	return out.GetStream()
}

// event is the next one; it fails when the stream ended.
func event(t *testing.T, s *kinesis.SubscribeToShardEventStream) types.SubscribeToShardEvent {
	t.Helper()
	e, ok := <-s.Events()
	require.True(t, ok, "%v", s.Err())
	return e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value
}

func horizon() types.StartingPosition { return types.StartingPosition{Type: "TRIM_HORIZON"} }

func TestASubscriptionGetsWhatIsPutInOrder(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	consumer := s.consumer(t, "clicks", "app")
	s.put(t, "clicks", 0, 500)
	sub := s.subscribe(t, consumer, horizon())
	var got []string
	var last types.SubscribeToShardEvent
	for i := 500; len(got) < 2000; {
		last = event(t, sub)
		require.NotEmpty(t, *last.ContinuationSequenceNumber)
		require.Empty(t, last.ChildShards)
		for _, r := range last.Records {
			got = append(got, string(r.Data))
		}
		if len(got) == i && i < 2000 {
			s.put(t, "clicks", i, i+300)
			i += 300
		}
	}
	for i, data := range got {
		require.Equal(t, fmt.Sprint(i), data)
	}
	require.Equal(t, *last.Records[len(last.Records)-1].SequenceNumber, *last.ContinuationSequenceNumber)
	empty := event(t, sub)
	require.Empty(t, empty.Records, "a sign of life")
	require.Equal(t, *last.ContinuationSequenceNumber, *empty.ContinuationSequenceNumber)
	require.Zero(t, *empty.MillisBehindLatest)
}

func TestAnEmptyShardHasASequenceNumberToGoOnFrom(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	consumer := s.consumer(t, "clicks", "app")
	first := event(t, s.subscribe(t, consumer, horizon()))
	require.Empty(t, first.Records)
	s.put(t, "clicks", 0, 1)
	it := s.iterator(t, kinesis.GetShardIteratorInput{
		StreamName: aws.String("clicks"), ShardId: aws.String("shardId-000000000000"), ShardIteratorType: "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber: first.ContinuationSequenceNumber,
	})
	records, _ := s.drain(t, it, 10)
	require.Len(t, records, 1)
}

func TestASubscriptionEndsWithItsShard(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	consumer := s.consumer(t, "clicks", "app")
	s.put(t, "clicks", 0, 3)
	sub := s.subscribe(t, consumer, horizon())
	require.Len(t, event(t, sub).Records, 3)
	st, err := s.streams.Open(t.Context(), "clicks")
	require.NoError(t, err)
	_, err = st.Split(t.Context(), core.ShardID("shardId-000000000000"), nil)
	require.NoError(t, err)
	for {
		e := event(t, sub)
		if len(e.ChildShards) == 0 {
			continue
		}
		require.Nil(t, e.ContinuationSequenceNumber)
		require.Len(t, e.ChildShards, 2)
		require.Equal(t, []string{"shardId-000000000000"}, e.ChildShards[0].ParentShards)
		break
	}
	_, more := <-sub.Events()
	require.False(t, more)
	require.NoError(t, sub.Err())
}

func TestOneSubscriptionOfAConsumerAndShard(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	consumer := s.consumer(t, "clicks", "app")
	first := s.subscribe(t, consumer, horizon())
	event(t, first)
	from := horizon()
	_, err := s.another().SubscribeToShard(t.Context(), &kinesis.SubscribeToShardInput{ConsumerARN: &consumer, ShardId: aws.String("shardId-000000000000"), StartingPosition: &from})
	require.Equal(t, codeInUse, code(t, err))
	other := s.subscribe(t, s.consumer(t, "clicks", "other"), horizon())
	event(t, other)
	time.Sleep(takeOver)
	event(t, s.subscribe(t, consumer, horizon()))
	for range first.Events() {
	}
	require.Equal(t, codeInUse, code(t, first.Err()))
}

func TestASubscriptionThatCannotBe(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	consumer := s.consumer(t, "clicks", "app")
	for shard, c := range map[string]struct {
		from types.StartingPosition
		code string
	}{
		"shardId-000000000009": {horizon(), codeNotFound},
		"shardId-000000000000": {types.StartingPosition{Type: "AT_SEQUENCE_NUMBER", SequenceNumber: aws.String("7")}, codeArgument},
	} {
		_, err := s.another().SubscribeToShard(t.Context(), &kinesis.SubscribeToShardInput{ConsumerARN: &consumer, ShardId: &shard, StartingPosition: &c.from})
		require.Equal(t, c.code, code(t, err))
	}
}

// consumer is the ARN of a consumer that is registered now.
func (s *server) consumer(t *testing.T, of, name string) string {
	t.Helper()
	out, err := s.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{
		StreamARN: aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/" + of), ConsumerName: &name,
	})
	require.NoError(t, err)
	return *out.Consumer.ConsumerARN
}

// TestASubscriptionGoesOnFromTheHorizon where what it would go on after was trimmed.
func TestASubscriptionGoesOnFromTheHorizon(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	consumer := s.consumer(t, "clicks", "app")
	for i := range 10 {
		s.put(t, "clicks", i, i+1)
	}
	it := s.iterator(t, kinesis.GetShardIteratorInput{StreamName: aws.String("clicks"), ShardId: aws.String("shardId-000000000000"), ShardIteratorType: "TRIM_HORIZON"})
	records, _ := s.drain(t, it, 10)
	st, err := s.streams.Open(t.Context(), "clicks")
	require.NoError(t, err)
	info, err := st.Info(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.engine.Trim(t.Context(), info.Shards[0].Log, 8))
	sub := s.subscribe(t, consumer, types.StartingPosition{Type: "AFTER_SEQUENCE_NUMBER", SequenceNumber: records[0].SequenceNumber})
	got := event(t, sub).Records
	require.NotEmpty(t, got)
	require.Greater(t, string(got[0].Data), "1")
	require.Equal(t, "9", string(got[len(got)-1].Data))
}

func TestASubscriptionEndsWithItsConsumer(t *testing.T) {
	for name, end := range map[string]func(s *server, consumer string) error{
		"deregistered": func(s *server, consumer string) error {
			_, err := s.DeregisterStreamConsumer(t.Context(), &kinesis.DeregisterStreamConsumerInput{ConsumerARN: &consumer})
			return err
		},
		"made again": func(s *server, consumer string) error {
			_, err := s.DeregisterStreamConsumer(t.Context(), &kinesis.DeregisterStreamConsumerInput{ConsumerARN: &consumer})
			require.NoError(t, err)
			require.NotEqual(t, consumer, s.consumer(t, "clicks", "app"))
			return nil
		},
		"stream deleted": func(s *server, _ string) error {
			_, err := s.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String("clicks"), EnforceConsumerDeletion: aws.Bool(true)})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, instant)
			s.stream(t, "clicks", 1)
			consumer := s.consumer(t, "clicks", "app")
			sub := s.subscribe(t, consumer, horizon())
			event(t, sub)
			require.NoError(t, end(s, consumer))
			for range 20 { // signs of life come every two seconds
				if _, more := <-sub.Events(); !more {
					break
				}
			}
			require.Equal(t, codeNotFound, code(t, sub.Err()))
		})
	}
}

// TestAConsumerHasOneARN writes that of one in other ways, which policies and subscriptions would take for others.
func TestAConsumerHasOneARN(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	consumer := s.consumer(t, "clicks", "app")
	at := strings.LastIndexByte(consumer, ':') + 1
	event(t, s.subscribe(t, consumer, horizon()))
	for _, other := range []string{consumer[:at] + "0" + consumer[at:], consumer[:at] + "1"} {
		from := horizon()
		_, err := s.another().SubscribeToShard(t.Context(), &kinesis.SubscribeToShardInput{ConsumerARN: &other, ShardId: aws.String("shardId-000000000000"), StartingPosition: &from})
		require.Equal(t, codeNotFound, code(t, err), other)
		_, err = s.DeregisterStreamConsumer(t.Context(), &kinesis.DeregisterStreamConsumerInput{ConsumerARN: &other})
		require.Equal(t, codeNotFound, code(t, err), other)
	}
}

// TestSubscriptionsEndWithTheServer, so that it can drain, and without an error, so that clients come back to the next one.
func TestSubscriptionsEndWithTheServer(t *testing.T) {
	api, s := newAPI(t, instant)
	h := httptest.NewServer(awsapi.New(api.Service(), awsapi.Config{Guard: awsapi.Anyone}))
	defer h.Close()
	s.Client, s.url = kinesistest.Client(h.URL, "key", "secret"), h.URL
	s.stream(t, "clicks", 1)
	consumer := s.consumer(t, "clicks", "app")
	sub := s.subscribe(t, consumer, horizon())
	event(t, sub)
	api.EndSubscriptions()
	for range sub.Events() {
	}
	require.NoError(t, sub.Err())
	from := horizon()
	_, err := s.another().SubscribeToShard(t.Context(), &kinesis.SubscribeToShardInput{ConsumerARN: &consumer, ShardId: aws.String("shardId-000000000000"), StartingPosition: &from})
	require.Equal(t, codeInternal, code(t, err))
}
