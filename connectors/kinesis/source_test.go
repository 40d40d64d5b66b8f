package kinesis

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
)

const first = core.ShardID("shardId-000000000000")

func modes(t *testing.T, f func(t *testing.T, mode string)) {
	t.Helper()
	t.Parallel()
	for _, mode := range []string{"polling", fanOut} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f(t, mode)
		})
	}
}

func TestAShardIsReadInOrderAndAgain(t *testing.T) {
	modes(t, func(t *testing.T, mode string) {
		s := newServer(t).listen(t)
		s.create(t, "clicks", 1)
		s.put(t, "clicks", 0, 1200)
		src := s.source(t, "clicks", mode, nil)
		r := open(t, src.Read, first, "")
		require.Equal(t, numbered(0, 1200), r.next(t, 1200))
		s.put(t, "clicks", 1200, 1300)
		require.Equal(t, numbered(1200, 1300), r.next(t, 100))
		again := open(t, src.Reread, first, "")
		b, err := again.Next(t.Context())
		require.NoError(t, err)
		seventh := b.SequenceOf(6)
		require.Equal(t, "key-6", b.Keys().Value(6))
		require.EqualValues(t, 0, b.Ords().Value(6))
		require.WithinDuration(t, time.Now(), time.UnixMilli(int64(b.Arrivals().Value(6))), time.Minute)
		require.Equal(t, core.MaxHashKey, b.Range.End)
		b.Release()
		require.NoError(t, r.Close())
		require.Equal(t, numbered(7, 1300), open(t, src.Reread, first, seventh).next(t, 1293))
		require.Equal(t, numbered(7, 1300), open(t, src.Read, first, seventh).next(t, 1293))
	})
}

// TestParentsEndWhenTheirChildrenAreListed reads a stream through a split and a merge, parents first.
func TestParentsEndWhenTheirChildrenAreListed(t *testing.T) {
	modes(t, func(t *testing.T, mode string) {
		s := newServer(t).listen(t)
		s.create(t, "clicks", 1)
		src := s.source(t, "clicks", mode, nil)
		s.put(t, "clicks", 0, 50)
		middle := core.EvenRanges(2)[1].Start.String()
		_, err := s.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: aws.String("clicks"), ShardToSplit: aws.String(string(first)), NewStartingHashKey: &middle})
		require.NoError(t, err)
		s.put(t, "clicks", 50, 100)
		_, err = s.MergeShards(t.Context(), &kinesis.MergeShardsInput{StreamName: aws.String("clicks"), ShardToMerge: aws.String("shardId-000000000001"), AdjacentShardToMerge: aws.String("shardId-000000000002")})
		require.NoError(t, err)
		s.put(t, "clicks", 100, 150)

		got, err := open(t, src.Read, first, "").rest(t)
		require.True(t, isEOF(err), err)
		require.Equal(t, numbered(0, 50), got)
		shards, err := src.Shards(t.Context())
		require.NoError(t, err)
		require.Len(t, shards, 4, "they are listed when the parent ends")
		require.Equal(t, []core.ShardID{first}, shards[1].Parents)
		require.Equal(t, []core.ShardID{"shardId-000000000001", "shardId-000000000002"}, shards[3].Parents)
		require.Equal(t, []bool{true, true, true, false}, []bool{shards[0].Closed, shards[1].Closed, shards[2].Closed, shards[3].Closed})

		var both []string
		for _, id := range []core.ShardID{"shardId-000000000001", "shardId-000000000002"} {
			got, err := open(t, src.Read, id, "").rest(t)
			require.True(t, isEOF(err), err)
			require.NotEmpty(t, got)
			both = append(both, got...)
		}
		require.ElementsMatch(t, numbered(50, 100), both)
		got, err = open(t, src.Chase, "shardId-000000000003", "").rest(t)
		require.ErrorIs(t, err, connectors.ErrCaughtUp)
		require.Equal(t, numbered(100, 150), got)
	})
}

func TestStartsAreWhereTheySay(t *testing.T) {
	modes(t, func(t *testing.T, mode string) {
		s := newServer(t).listen(t)
		s.create(t, "clicks", 1)
		src := s.source(t, "clicks", mode, nil)
		resolve := func(start connectors.Start) core.SequenceNumber {
			t.Helper()
			seq, err := src.Resolve(t.Context(), first, start)
			require.NoError(t, err)
			return seq
		}
		empty := []core.SequenceNumber{resolve(connectors.Start{}), resolve(connectors.Start{Kind: connectors.StartLatest})}
		ahead := resolve(connectors.Start{Kind: connectors.StartAt, At: time.Now().Add(4 * time.Second)})
		s.put(t, "clicks", 0, 10)
		latest := resolve(connectors.Start{Kind: connectors.StartLatest})
		horizon := resolve(connectors.Start{Kind: connectors.StartTrimHorizon})
		time.Sleep(20 * time.Millisecond)
		at := time.Now()
		s.put(t, "clicks", 10, 20)
		r := open(t, src.Reread, first, "")
		r.next(t, 5)
		b, err := src.Reread(t.Context(), first, horizon)
		require.NoError(t, err)
		batch, err := b.Next(t.Context())
		require.NoError(t, err)
		fifth := batch.SequenceOf(4)
		batch.Release()
		require.NoError(t, b.Close())

		sub := int64(3)
		froms := map[core.SequenceNumber]int{
			empty[0]: 0, empty[1]: 0, horizon: 0, latest: 10,
			resolve(connectors.Start{Kind: connectors.StartAt, At: at}):                      10,
			resolve(connectors.Start{Kind: connectors.StartAt, At: at.Add(-48 * time.Hour)}): 0,
			resolve(connectors.Start{Kind: connectors.StartAfter, After: fifth}):             5,
			resolve(connectors.Start{Kind: connectors.StartAfter, After: fifth, Sub: &sub}):  4,
		}
		for seq, from := range froms {
			r := open(t, src.Read, first, seq)
			require.Equal(t, numbered(from, 20), r.next(t, 20-from), "after %q", seq)
			require.NoError(t, r.Close())
			gap, err := src.Gap(t.Context(), first, seq)
			require.NoError(t, err)
			require.Empty(t, gap.Through, "after %q", seq)
		}
		time.Sleep(time.Until(at.Add(4500 * time.Millisecond)))
		s.put(t, "clicks", 20, 21)
		require.Equal(t, numbered(20, 21), open(t, src.Read, first, ahead).next(t, 1))
		_, err = src.Resolve(t.Context(), first, connectors.Start{Kind: connectors.StartAfter, After: "12"})
		require.True(t, connectors.IsPermanent(err), err)
	})
}

func TestWhatIsReadAgainDoesNotWait(t *testing.T) {
	t.Parallel()
	s := newServer(t).listen(t)
	s.create(t, "clicks", 1)
	s.put(t, "clicks", 0, 3)
	got, err := open(t, s.source(t, "clicks", "polling", nil).Reread, first, "").rest(t)
	require.ErrorIs(t, err, shardlog.ErrTrimmed, "what else was read before is gone")
	require.Equal(t, numbered(0, 3), got)
}

// TestFailuresAreOvercome reads through every failure that a server or the way to it can have.
func TestFailuresAreOvercome(t *testing.T) {
	modes(t, func(t *testing.T, mode string) {
		s := newServer(t)
		s.spoil = func(op string, n int64, w http.ResponseWriter, _ *http.Request) bool {
			if !slices.Contains([]string{"GetRecords", "GetShardIterator", "SubscribeToShard", "ListShards", "DescribeStreamSummary"}, op) {
				return false
			}
			switch n % 11 {
			case 0:
				return answer(w, 400, "ProvisionedThroughputExceededException")
			case 1:
				return answer(w, 500, "InternalFailure")
			case 2:
				return answer(w, 400, "LimitExceededException")
			case 3:
				panic(http.ErrAbortHandler) // the connection breaks
			case 4:
				return op == "GetRecords" && answer(w, 400, "ExpiredIteratorException")
			case 5:
				return op == "GetRecords" && answer(w, 400, "InvalidArgumentException")
			case 6:
				return op == "SubscribeToShard" && answer(w, 400, "ResourceInUseException")
			}
			return false
		}
		s.listen(t)
		s.create(t, "clicks", 1)
		var mu sync.Mutex
		said := map[string]int{}
		events := &connectors.Events{
			Retry:     func(what string, _ int, _ time.Duration, _ error) { mu.Lock(); said[what]++; mu.Unlock() },
			Recovered: func(what string) { mu.Lock(); said["recovered: "+what]++; mu.Unlock() },
		}
		src, err := Open(t.Context(), s.config("clicks", mode), Options{Events: events, Wait: true})
		require.NoError(t, err)
		defer func() { require.NoError(t, src.Close()) }()
		from, err := src.Resolve(t.Context(), first, connectors.Start{})
		require.NoError(t, err)
		for round := range 4 { // each a reader that begins where the one before ended
			s.put(t, "clicks", 100*round, 100*round+100)
			r := open(t, src.Read, first, from)
			require.Equal(t, numbered(100*round, 100*round+100), r.next(t, 100))
			from = r.last
			require.NoError(t, r.Close())
		}
		mu.Lock()
		defer mu.Unlock()
		require.NotEmpty(t, said)
	})
}

func TestWhatNoRetryCuresIsSaid(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	spoilt := ""
	s.spoil = func(op string, _ int64, w http.ResponseWriter, _ *http.Request) bool {
		return spoilt != "" && op == "GetRecords" && answer(w, 400, spoilt)
	}
	s.listen(t)
	_, err := Open(t.Context(), s.config("nothing", "polling"), Options{Wait: true})
	require.True(t, connectors.IsPermanent(err), err)
	require.ErrorContains(t, err, "there is no such stream")

	s.create(t, "clicks", 1)
	src := s.source(t, "clicks", "polling", nil)
	r := open(t, src.Read, first, "")
	spoilt = "AccessDeniedException"
	_, err = r.rest(t)
	require.True(t, connectors.IsPermanent(err), err)
	require.ErrorContains(t, err, "allow kinesis:")

	spoilt = ""
	closed := s.config("clicks", "polling")
	closed.Endpoint = "http://127.0.0.1:1"
	_, err = Open(t.Context(), closed, Options{})
	require.Error(t, err, "who does not wait is told")
	ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	_, err = Open(ctx, closed, Options{Wait: true})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestAStreamMadeAgainIsAnotherSource(t *testing.T) {
	t.Parallel()
	s := newServer(t).listen(t)
	s.create(t, "clicks", 1)
	s.put(t, "clicks", 0, 5)
	src := s.source(t, "clicks", "polling", nil)
	r := open(t, src.Read, first, "")
	require.Equal(t, numbered(0, 5), r.next(t, 5))
	_, err := s.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String("clicks")})
	require.NoError(t, err)
	time.Sleep(5 * time.Millisecond)
	s.create(t, "clicks", 1)
	_, err = r.rest(t)
	require.ErrorIs(t, err, errOther)
	require.True(t, connectors.IsPermanent(err))
	require.NotEqual(t, src.ID(), s.source(t, "clicks", "polling", nil).ID())
}

func TestAConsumerIsRegisteredOnceAndTakenOver(t *testing.T) {
	t.Parallel()
	s := newServer(t).listen(t)
	s.create(t, "clicks", 1)
	one, two := s.source(t, "clicks", fanOut, nil), s.source(t, "clicks", fanOut, nil)
	require.Equal(t, one.consumer(), two.consumer())
	s.put(t, "clicks", 0, 5)
	r := open(t, one.Read, first, "")
	require.Equal(t, numbered(0, 5), r.next(t, 5))
	time.Sleep(takeOver + 100*time.Millisecond)
	q := open(t, two.Read, first, "")
	require.Equal(t, numbered(0, 5), q.next(t, 5), "it takes the subscription over")
	require.NoError(t, q.Close())
	s.put(t, "clicks", 5, 10)
	require.Equal(t, numbered(5, 10), r.next(t, 5), "and the other takes it again")

	arn := one.consumer()
	_, err := s.DeregisterStreamConsumer(t.Context(), &kinesis.DeregisterStreamConsumerInput{ConsumerARN: &arn})
	require.NoError(t, err)
	require.NoError(t, r.Close())
	r = open(t, one.Read, first, r.last)
	s.put(t, "clicks", 10, 15)
	require.Equal(t, numbered(10, 15), r.next(t, 5), "a consumer that is gone is registered again")
	require.NotEqual(t, arn, one.consumer())
}

func TestConfigsThatCannotBe(t *testing.T) {
	good := Config{Stream: "clicks"}
	require.NoError(t, good.Validate())
	require.NoError(t, Config{Stream: "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks", Mode: fanOut, Consumer: "c"}.Validate())
	require.Equal(t, "eu-west-1", Config{Stream: "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks"}.region())
	for want, c := range map[string]Config{
		"stream: name the stream":    {},
		"neither the name nor":       {Stream: "a/b"},
		"endpoint: want a URL":       {Stream: "s", Endpoint: "localhost:4567"},
		"of scheme and host only":    {Stream: "s", Endpoint: "http://a@b/"},
		`mode: unknown "fanout"`:     {Stream: "s", Mode: "fanout"},
		"name the consumer":          {Stream: "s", Mode: fanOut},
		"only mode: fan_out has one": {Stream: "s", Consumer: "c"},
	} {
		require.ErrorContains(t, c.Validate(), want, fmt.Sprint(c.Stream))
	}
}
