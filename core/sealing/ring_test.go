package sealing

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// service are master keys that take their time.
type service struct {
	Masters
	calls atomic.Int64

	mu    sync.Mutex // guards what follows
	takes time.Duration
	err   error
}

// now is how long a call takes from now on, and what comes of it.
func (s *service) now(takes time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takes, s.err = takes, err
}

func (s *service) Unwrap(ctx context.Context, _ string, w Wrapped) ([]byte, error) {
	s.calls.Add(1)
	s.mu.Lock()
	takes, err := s.takes, s.err
	s.mu.Unlock()
	t := time.NewTimer(takes)
	defer t.Stop()
	select {
	case <-t.C:
		return w.Key, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func stored(context.Context) (Wrapped, error) { return Wrapped{Key: make([]byte, keyBytes)}, nil }

func TestADataKeyIsAskedForOnceByAllWhoNeedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{takes: time.Second}
		r := NewRing(s)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				_, err := r.Open(t.Context(), "key", "stream", stored)
				require.NoError(t, err)
			})
		}
		all.Wait()
		require.EqualValues(t, 1, s.calls.Load())
	})
}

func TestWhoGivesUpDoesNotGiveUpForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{takes: 5 * time.Second}
		r := NewRing(s)
		short, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		_, err := r.Open(short, "key", "stream", stored)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = r.Open(t.Context(), "key", "stream", stored)
		require.NoError(t, err)
		require.EqualValues(t, 1, s.calls.Load())
		s.now(time.Hour, nil)
		_, err = r.Open(t.Context(), "another", "stream", stored)
		require.ErrorIs(t, err, ErrUnreachable, "nobody waits for ever")
	})
}

func TestAnOpenDataKeyIsNotWaitedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		r := NewRing(s)
		open := func() error {
			_, err := r.Open(t.Context(), "key", "stream", stored)
			return err
		}
		require.NoError(t, open())
		s.now(time.Hour, nil)
		time.Sleep(freshFor)
		began := time.Now()
		for range 100 {
			require.NoError(t, open())
		}
		require.Equal(t, patience, time.Since(began), "by one of them")
		time.Sleep(longest)
		s.now(0, errors.New("refused"))
		time.Sleep(askAgain)
		require.ErrorContains(t, open(), "refused")
		require.ErrorContains(t, open(), "refused", "it is closed")
	})
}

func TestARingHasRoomForSoMany(t *testing.T) {
	s := &service{}
	r := NewRing(s)
	open := func(n int) {
		_, err := r.Open(t.Context(), fmt.Sprint(n), "stream", stored)
		require.NoError(t, err)
	}
	for n := range ringSize + 1 {
		open(n)
		open(0)
	}
	require.Len(t, r.open, ringSize)
	require.Equal(t, ringSize, r.order.Len())
	s.calls.Store(0)
	open(0)
	require.Zero(t, s.calls.Load(), "used all the time")
	open(1)
	require.EqualValues(t, 1, s.calls.Load(), "used least lately")
}
