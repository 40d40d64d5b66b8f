package limit

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
)

var first = Shard{"s1", core.NewShardID(0)}

// within runs f with a limiter, in a bubble where time passes only when f sleeps.
func within(t *testing.T, factor float64, f func(t *testing.T, l *Limiter)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l, err := New(factor)
		require.NoError(t, err)
		f(t, l)
	})
}

// written is how many of n records a shard takes now.
func written(l *Limiter, of Shard, n, bytes int) int {
	took := 0
	for range n {
		if l.Write(of, bytes) {
			took++
		}
	}
	return took
}

func TestAShardTakesAThousandRecordsASecond(t *testing.T) {
	within(t, 1, func(t *testing.T, l *Limiter) {
		require.Equal(t, 1000, written(l, first, 1500, 10))
		require.Equal(t, 1000, written(l, Shard{"s1", core.NewShardID(1)}, 1500, 10), "another shard has its own")
		require.Equal(t, 1000, written(l, Shard{"s2", first.ID}, 1500, 10), "another stream too")
		time.Sleep(250 * time.Millisecond)
		require.Equal(t, 250, written(l, first, 1500, 10))
		time.Sleep(time.Hour)
		require.Equal(t, 1000, written(l, first, 1500, 10), "no more than a second is saved up")
	})
}

func TestAShardTakesAMebibyteASecond(t *testing.T) {
	within(t, 1, func(t *testing.T, l *Limiter) {
		require.Equal(t, 16, written(l, first, 20, 64<<10))
		require.False(t, l.Write(first, 1))
		time.Sleep(500 * time.Millisecond)
		require.Equal(t, 8, written(l, first, 20, 64<<10))
	})
}

func TestALargeRecordIsTakenAndPaidBack(t *testing.T) {
	within(t, 1, func(t *testing.T, l *Limiter) {
		require.True(t, l.Write(first, 10<<20))
		for range 9 {
			require.False(t, l.Write(first, 100))
			time.Sleep(time.Second)
		}
		time.Sleep(10 * time.Millisecond)
		require.True(t, l.Write(first, 100))
		require.False(t, l.Write(first, 2<<20), "it needs a shard that is at rest")
		time.Sleep(time.Second)
		require.True(t, l.Write(first, 2<<20))
	})
}

func TestAShardIsReadFiveTimesASecond(t *testing.T) {
	within(t, 1, func(t *testing.T, l *Limiter) {
		for range 5 {
			require.NoError(t, l.Read(first))
			require.NoError(t, l.Iterate(first))
		}
		var exceeded *ExceededError
		require.ErrorAs(t, l.Read(first), &exceeded)
		require.Equal(t, first.ID, exceeded.Shard)
		require.ErrorIs(t, l.Iterate(first), core.ErrThrottled)
		time.Sleep(200 * time.Millisecond)
		require.NoError(t, l.Read(first))
		require.NoError(t, l.Iterate(first))
		require.Error(t, l.Read(first))
		require.Error(t, l.Iterate(first))
	})
}

func TestAReadOfTenMebibytesIsPaidForInFiveSeconds(t *testing.T) {
	within(t, 1, func(t *testing.T, l *Limiter) {
		require.NoError(t, l.Read(first))
		l.Took(first, 10<<20)
		for range 10 {
			require.Error(t, l.Read(first))
			time.Sleep(500 * time.Millisecond)
		}
		require.NoError(t, l.Read(first))
		l.Took(first, 1<<20)
		time.Sleep(2 * time.Second)
		for range 3 { // of one second, by whoever shares the shard
			require.NoError(t, l.Read(first))
			l.Took(first, 1<<20)
		}
		require.Error(t, l.Read(first))
	})
}

func TestSubscriptionsArePaced(t *testing.T) {
	within(t, 1, func(t *testing.T, l *Limiter) {
		began := time.Now()
		for range 22 {
			require.NoError(t, l.Pace(t.Context(), first, "app", 1<<20))
		}
		require.Equal(t, 10*time.Second, time.Since(began).Round(time.Millisecond), "the first two fill a second")
		began = time.Now()
		require.NoError(t, l.Pace(t.Context(), first, "other", 1<<20))
		require.Zero(t, time.Since(began), "another consumer has its own")
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		require.ErrorIs(t, l.Pace(ctx, first, "app", 10<<20), context.DeadlineExceeded)
	})
}

func TestAConsumerSubscribesToAShardOnceASecond(t *testing.T) {
	within(t, 1, func(t *testing.T, l *Limiter) {
		require.True(t, l.Subscribe(first, "app"))
		require.False(t, l.Subscribe(first, "app"))
		require.True(t, l.Subscribe(first, "other"))
		time.Sleep(time.Second)
		require.True(t, l.Subscribe(first, "app"))
	})
}

// called is how many of n calls are allowed now.
func called(l *Limiter, operation, stream string, n int) int {
	took := 0
	for range n {
		if _, ok := l.Call(operation, stream); ok {
			took++
		}
	}
	return took
}

func TestOperationsAreCalledSoOftenASecond(t *testing.T) {
	within(t, 1, func(t *testing.T, l *Limiter) {
		require.Equal(t, 5, called(l, "CreateStream", "a", 20))
		require.Zero(t, called(l, "CreateStream", "b", 20), "of all streams")
		require.Equal(t, 10, called(l, "DescribeStream", "a", 20), "another operation has its own")
		require.Equal(t, 1000, called(l, "ListShards", "a", 2000))
		require.Equal(t, 1000, called(l, "ListShards", "b", 2000), "of each stream")
		require.Equal(t, 2000, called(l, "PutRecord", "a", 2000), "is counted by shard")
		time.Sleep(200 * time.Millisecond)
		require.Equal(t, 1, called(l, "CreateStream", "a", 20))
		require.Equal(t, 200, called(l, "ListShards", "a", 2000))
		time.Sleep(time.Hour)
		require.Equal(t, 5, called(l, "CreateStream", "a", 20))
		ofStream, ok := l.Call("CreateStream", "a")
		require.Equal(t, []bool{false, false}, []bool{ofStream, ok})
		called(l, "ListStreamConsumers", "a", 5)
		ofStream, ok = l.Call("ListStreamConsumers", "a")
		require.Equal(t, []bool{true, false}, []bool{ofStream, ok})
		for i := range 10_000 { // names that anybody makes up
			called(l, "ListShards", fmt.Sprint(i), 1)
			time.Sleep(time.Millisecond)
		}
		require.LessOrEqual(t, l.entries(), 2*firstSweep)
	})
	within(t, 0.1, func(t *testing.T, l *Limiter) {
		require.Equal(t, 1, called(l, "DescribeLimits", "", 20))
		time.Sleep(9 * time.Second)
		require.Zero(t, called(l, "DescribeLimits", "", 20))
		time.Sleep(time.Second + time.Millisecond)
		require.Equal(t, 1, called(l, "DescribeLimits", "", 20))
	})
}

func TestAFactorChangesEveryLimit(t *testing.T) {
	within(t, 0.1, func(t *testing.T, l *Limiter) {
		require.Equal(t, 100, written(l, first, 1500, 10))
		for range 3 { // one in two seconds
			require.NoError(t, l.Read(first))
			require.Error(t, l.Read(first))
			time.Sleep(time.Second)
			require.Error(t, l.Read(first))
			time.Sleep(time.Second + time.Millisecond)
		}
	})
	for _, wrong := range []float64{0, -1, 1e9} {
		_, err := New(wrong)
		require.ErrorIs(t, err, core.ErrInvalid)
	}
}

func TestWhoIsAtRestIsForgotten(t *testing.T) {
	within(t, 1, func(t *testing.T, l *Limiter) {
		for round := range 20 {
			for i := range 1000 {
				by := fmt.Sprint(round, "-", i)
				require.True(t, l.Write(Shard{by, first.ID}, 10))
				require.True(t, l.Subscribe(first, by))
			}
			time.Sleep(2 * time.Second)
		}
		require.LessOrEqual(t, len(l.shards)+len(l.consumers), 5000)
		l.Took(first, 10<<20)
		for i := range 10_000 {
			require.True(t, l.Subscribe(first, fmt.Sprint(i)))
		}
		require.Error(t, l.Read(first), "who owes is not")
	})
}

func TestWithoutALimiterThereAreNoLimits(t *testing.T) {
	t.Parallel()
	var l *Limiter
	require.Equal(t, 5000, written(l, first, 5000, 1<<20))
	require.Equal(t, 100, called(l, "CreateStream", "a", 100))
	for range 100 {
		require.NoError(t, l.Read(first))
		l.Took(first, 10<<20)
		require.NoError(t, l.Iterate(first))
		require.True(t, l.Subscribe(first, "app"))
		require.NoError(t, l.Pace(t.Context(), first, "app", 10<<20))
	}
}
