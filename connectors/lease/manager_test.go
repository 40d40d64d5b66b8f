package lease

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/control"
)

// running starts a manager over some shards, which may all be read.
func running(t *testing.T, store Store, cfg Config, shards int) (m *Manager, stop func()) {
	t.Helper()
	cfg.Prefix, cfg.Failover = "p/", failover
	m = NewManager(store, cfg)
	all := map[string]bool{}
	for i := range shards {
		all[fmt.Sprintf("s%02d", i)] = true
	}
	m.Share(all)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		m.Run(ctx)
		close(ended)
	}()
	return m, func() {
		cancel()
		<-ended
	}
}

// handOver releases what is asked for, as soon as it is.
func handOver(m *Manager) {
	for _, l := range m.Held() {
		if l.Wanted() {
			_ = m.Release(context.Background(), l)
		}
	}
}

func TestALoneWorkerTakesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, stop := running(t, control.NewScratch(), Config{Owner: "a"}, 250)
		defer stop()
		time.Sleep(failover / 10)
		require.Len(t, m.Held(), 250)
		require.NotEmpty(t, m.Changed())
	})
}

func TestAnExclusiveWorkerTakesAllAtOnceAndWritesNothingAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := control.NewScratch()
		_, stop := running(t, store, Config{Owner: "before"}, 3)
		time.Sleep(failover)
		stop()
		m, stop := running(t, store, Config{Owner: "after", Exclusive: true}, 3)
		defer stop()
		require.NoError(t, m.Sync(t.Context()))
		require.Len(t, m.Held(), 3)
		was, err := store.List(t.Context(), "p/")
		require.NoError(t, err)
		time.Sleep(10 * failover)
		is, err := store.List(t.Context(), "p/")
		require.NoError(t, err)
		require.Equal(t, was, is)
		require.Len(t, is, 3, "the rows of workers are gone")
	})
}

func TestADeadWorkersLeasesAreTakenAfterTheFailoverTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := control.NewScratch()
		a, kill := running(t, store, Config{Owner: "a"}, 4)
		b, stop := running(t, store, Config{Owner: "b"}, 4)
		defer stop()
		time.Sleep(2 * failover)
		require.Len(t, a.Held(), 2)
		require.Len(t, b.Held(), 2)
		lost := a.Held()[0]
		kill()
		died := time.Now()
		for len(b.Held()) < 4 {
			time.Sleep(failover / 100)
		}
		took := time.Since(died)
		require.Greater(t, took, failover-failover*2/5, "its last beat was no longer ago")
		require.LessOrEqual(t, took, failover+2*time.Second)
		_, err := lost.Check(t.Context())
		require.ErrorIs(t, err, ErrLost)
	})
}

func TestLeasesAreHandedOverWithoutALoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := control.NewScratch()
		a, stopA := running(t, store, Config{Owner: "a"}, 10)
		defer stopA()
		time.Sleep(failover)
		all := a.Held()
		b, stopB := running(t, store, Config{Owner: "b"}, 10)
		for range 100 {
			time.Sleep(failover / 20)
			handOver(a)
			for _, l := range a.Held() {
				_, err := l.Check(t.Context())
				require.NoError(t, err)
			}
		}
		require.Len(t, a.Held(), 5)
		require.Len(t, b.Held(), 5)
		for _, l := range all {
			_, err := l.Check(t.Context())
			require.Equal(t, a.holds(l), err == nil)
		}
		stopB()
		require.NoError(t, b.Leave(t.Context()))
		time.Sleep(failover / 2)
		require.Len(t, a.Held(), 10, "what was given up is taken without a wait")
	})
}

func TestAskedInVainALeaseIsTakenByForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := control.NewScratch()
		a, stopA := running(t, store, Config{Owner: "a"}, 4)
		defer stopA()
		time.Sleep(failover)
		b, stopB := running(t, store, Config{Owner: "b"}, 4)
		defer stopB()
		time.Sleep(2 * failover)
		require.Empty(t, b.Held(), "it is patient")
		for _, l := range a.Held()[:1] {
			require.True(t, l.Wanted())
		}
		time.Sleep(3 * failover)
		require.Len(t, b.Held(), 2)
		require.Len(t, a.Held(), 2)
	})
}

func TestAShardThatEndedNeedsNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := control.NewScratch()
		m, stop := running(t, store, Config{Owner: "a"}, 2)
		defer stop()
		time.Sleep(failover)
		ended := m.Held()[0]
		m.Share(map[string]bool{ended.Name(): false, m.Held()[1].Name(): true})
		require.NoError(t, m.Sync(t.Context()))
		require.Len(t, m.Held(), 1)
		<-ended.Lost()
		_, ok, err := store.Get(t.Context(), ended.Key())
		require.NoError(t, err)
		require.False(t, ok)
	})
}

// sick is a store that does not answer.
type sick struct{ Store }

func (sick) List(context.Context, string) ([]control.Row, error) { return nil, errStore }

func TestARoundThatFailsSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, stop := running(t, sick{control.NewScratch()}, Config{Owner: "a"}, 1)
		defer stop()
		require.ErrorIs(t, m.Sync(t.Context()), errStore)
		require.Empty(t, m.Held())
	})
}

// deaf is a store that does not answer for a while.
type deaf struct {
	Store
	until time.Time
}

func (d deaf) List(ctx context.Context, prefix string) ([]control.Row, error) {
	if time.Now().Before(d.until) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return d.Store.List(ctx, prefix)
}

func TestSyncOutlastsAStoreThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, stop := running(t, deaf{control.NewScratch(), time.Now().Add(5 * failover)}, Config{Owner: "a"}, 3)
		defer stop()
		require.NoError(t, m.Sync(t.Context()))
		time.Sleep(failover)
		require.Len(t, m.Held(), 3)
	})
	synctest.Test(t, func(t *testing.T) {
		m, stop := running(t, deaf{control.NewScratch(), time.Now().Add(time.Hour)}, Config{Owner: "a"}, 3)
		defer stop()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, m.Sync(ctx), context.DeadlineExceeded)
	})
}
