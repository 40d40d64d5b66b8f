package connectors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/memory"
)

// blind is a store that cannot read checkpoints.
type blind struct{ lease.Store }

var errBlind = errors.New("unreadable")

func (b blind) Get(ctx context.Context, key string) (control.Row, bool, error) {
	if strings.Contains(key, "/shards/") && !strings.Contains(key, "/leases/") {
		return control.Row{}, false, errBlind
	}
	return b.Store.Get(ctx, key)
}

func TestALeaseIsGivenUpWhereItsShardCannotBeRead(t *testing.T) {
	store := control.NewScratch()
	var events []string
	w, err := NewWorker(WorkerConfig{
		Pipeline: "p", Program: &Program{Spec: "spec", SpecText: []byte("{}")}, Source: &tides{shards: []Shard{{ID: "a"}}},
		Store: blind{store}, Lease: lease.Config{Owner: "me", Failover: 100 * time.Millisecond},
		Events: &Events{Lease: func(_ core.ShardID, what string) { events = append(events, what) }},
	})
	require.NoError(t, err)
	require.ErrorIs(t, w.Run(t.Context()), errBlind)
	require.Equal(t, []string{"held", "released"}, events)
	row, ok, err := store.Get(t.Context(), w.keys.leases(w.incarnation, "tides")+"shards/a")
	require.NoError(t, err)
	require.True(t, ok)
	var st lease.State
	require.NoError(t, json.Unmarshal(row.Value, &st))
	require.Empty(t, st.Owner)
}

// pausing is a reader whose batches come after a pause.
type pausing time.Duration

func (p pausing) Next(ctx context.Context) (core.Batch, error) {
	if err := core.Pause(ctx, time.Duration(p)); err != nil {
		return core.Batch{}, err
	}
	return rawBatch("s", 0, []string{"a", "b"}), nil
}

func (pausing) Close() error { return nil }

// TestABatchIsAccountedForWheneverItComes also has it come at the moment when its room is given back.
func TestABatchIsAccountedForWheneverItComes(t *testing.T) {
	for _, wait := range []time.Duration{0, tipWait - 1, tipWait, tipWait + 1} {
		for range 300 {
			synctest.Test(t, func(t *testing.T) {
				budget, err := memory.New(memory.Min)
				require.NoError(t, err)
				s := &session{w: &Worker{memory: budget.Holder()}}
				raw, room, err := s.next(t.Context(), pausing(wait))
				require.NoError(t, err)
				defer raw.Release()
				synctest.Wait() // for whoever gives back what was taken before
				reading, _ := budget.Used()
				require.Equal(t, 2*raw.Bytes+64*raw.NumRows(), reading, "after %s", wait)
				room.Give()
				reading, _ = budget.Used()
				require.Zero(t, reading)
			})
		}
	}
}

func TestAReaderThatFailsHoldsNothing(t *testing.T) {
	budget, err := memory.New(memory.Min)
	require.NoError(t, err)
	s := &session{w: &Worker{memory: budget.Holder()}}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = s.next(ended, pausing(time.Hour))
	require.ErrorIs(t, err, context.Canceled)
	reading, _ := budget.Used()
	require.Zero(t, reading)
}

// later is a reader that has its batch after some calls that may succeed the next time.
type later struct{ calls int }

func (l *later) Next(context.Context) (core.Batch, error) {
	if l.calls--; l.calls >= 0 {
		return core.Batch{}, fmt.Errorf("keys: %w", []error{core.ErrThrottled, syscall.EMFILE}[l.calls%2])
	}
	return rawBatch("s", 0, []string{"a"}), nil
}

func (*later) Close() error { return nil }

func TestAReaderThatHasToWaitIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget, err := memory.New(memory.Min)
		require.NoError(t, err)
		tries := 0
		events := &Events{Retry: func(string, int, time.Duration, error) { tries++ }}
		s := &session{w: &Worker{memory: budget.Holder(), cfg: WorkerConfig{Events: events}}}
		raw, room, err := s.next(t.Context(), &later{calls: 7})
		require.NoError(t, err)
		require.Equal(t, 7, tries)
		raw.Release()
		room.Give()

		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		_, _, err = s.next(ctx, &later{calls: 1 << 30})
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}
