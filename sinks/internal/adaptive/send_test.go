package adaptive_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/sinks/internal/adaptive"
)

var (
	errBusy  = errors.New("too much")
	errBroke = errors.New("broken pipe")
	errWrong = errors.New("wrong")
)

func meaning(err error) adaptive.Meaning {
	switch {
	case errors.Is(err, errBusy):
		return adaptive.Throttled
	case errors.Is(err, errBroke):
		return adaptive.Again
	case err != nil:
		return adaptive.Final
	}
	return adaptive.Done
}

func upTo(n int) func(func(int, error) bool) {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
	}
}

// bucket is a server that takes so many requests a second.
type bucket struct {
	mu    sync.Mutex
	rate  float64
	has   float64
	since time.Time
}

func (b *bucket) take() error {
	time.Sleep(5 * time.Millisecond)
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.has = min(b.rate/10, b.has+now.Sub(b.since).Seconds()*b.rate)
	b.since = now
	if b.has < 1 {
		return errBusy
	}
	b.has--
	return nil
}

// TestWhatAServerTakesIsFound: in time that passes by itself, a server of 500 requests a second is kept busy, nothing fails and
// most requests are not in vain.
func TestWhatAServerTakesIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, l := &bucket{rate: 500, since: time.Now()}, adaptive.New(128)
		var asked, done atomic.Int64
		began := time.Now()
		require.NoError(t, adaptive.Send(t.Context(), l, upTo(10_000), meaning, func(context.Context, *int) error {
			asked.Add(1)
			err := server.take()
			if err == nil {
				done.Add(1)
			}
			return err
		}))
		took := time.Since(began).Seconds()
		require.EqualValues(t, 10_000, done.Load())
		require.Less(t, took, 20/0.85, "the server could do it in 20 seconds")
		require.Less(t, asked.Load(), int64(15_000)) // 12,000 to 13,100 are seen, as pauses are random
	})
}

func TestWithoutALimitOfTheServerItIsTheClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := adaptive.New(32)
		var now, most atomic.Int64
		require.NoError(t, adaptive.Send(t.Context(), l, upTo(5000), meaning, func(context.Context, *int) error {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Millisecond)
			now.Add(-1)
			return nil
		}))
		require.LessOrEqual(t, most.Load(), int64(32))
		require.Equal(t, 32, l.Allowed())
	})
}

func TestErrorsAreTriedAgainAndThenSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, tries := adaptive.New(4), [3]int{}
		err := adaptive.Send(t.Context(), l, upTo(1), meaning, func(context.Context, *int) error {
			if tries[0]++; tries[0] < 5 {
				return errBroke
			}
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, 5, tries[0])
		err = adaptive.Send(t.Context(), l, upTo(1), meaning, func(context.Context, *int) error { tries[1]++; return errBroke })
		require.ErrorIs(t, err, errBroke)
		require.Equal(t, 8, tries[1])
		err = adaptive.Send(t.Context(), l, upTo(1000), meaning, func(context.Context, *int) error { return errWrong })
		require.ErrorIs(t, err, errWrong)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		require.ErrorIs(t, adaptive.Send(ctx, l, upTo(1), meaning, func(context.Context, *int) error { return errBusy }), errBusy)
		require.Equal(t, 1, l.Allowed())
		// What others saw of the limit does not matter to those who come later: all passes were given back.
		require.NoError(t, adaptive.Send(t.Context(), l, upTo(100), meaning, func(context.Context, *int) error { return nil }))
	})
}

func TestATaskThatCannotBeMadeEndsIt(t *testing.T) {
	tasks := func(yield func(int, error) bool) {
		if yield(1, nil) {
			yield(0, errWrong)
		}
	}
	require.ErrorIs(t, adaptive.Send(t.Context(), adaptive.New(4), tasks, meaning, func(context.Context, *int) error { return nil }), errWrong)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, adaptive.Send(gone, adaptive.New(4), upTo(3), meaning, func(context.Context, *int) error { return nil }), context.Canceled)
}
