package stream

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/stream/limit"
	"github.com/penstock/penstock/core/vfs"
)

// onDemand is a stream and its node, in a bubble of its own time.
func onDemand(t *testing.T, then func(t *testing.T, n *node, s *Stream)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := start(t, vfs.NewMem())
		defer n.close(t)
		_, err := n.Create(t.Context(), "s", Settings{Mode: OnDemand})
		require.NoError(t, err)
		s, err := n.Open(t.Context(), "s")
		require.NoError(t, err)
		require.Len(t, shardsOf(t, s), FirstOnDemand)
		then(t, n, s)
	})
}

// pour puts records of a size within one window, and lets a minute go by.
func pour(t *testing.T, n *node, s *Stream, records, size int, key func(i int) string) {
	t.Helper()
	for from := 0; from < records; from += 500 {
		var call []Record
		for i := from; i < min(records, from+500); i++ {
			call = append(call, Record{Key: key(i), Data: make([]byte, size)})
		}
		out, err := s.Put(t.Context(), call)
		require.NoError(t, err)
		for _, r := range out {
			require.NoError(t, r.Err)
		}
	}
	time.Sleep(time.Minute)
	require.NoError(t, n.Trim(t.Context(), time.Now()))
}

func spread(i int) string { return fmt.Sprint("key-", i) }

func openCount(t *testing.T, s *Stream) int {
	t.Helper()
	info, err := s.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, Active, info.Status(time.Now()))
	return info.OpenShards()
}

func TestAnOnDemandStreamDoublesWithItsRecords(t *testing.T) {
	onDemand(t, func(t *testing.T, n *node, s *Stream) {
		pour(t, n, s, 20_000, 1, spread) // 2,000 a second: half of what four shards are made for
		require.Equal(t, 4, openCount(t, s))
		pour(t, n, s, 20_010, 1, spread)
		even(t, s, 8)
		pour(t, n, s, 20_010, 1, spread)
		require.Equal(t, 8, openCount(t, s))
		pour(t, n, s, 40_010, 1, spread)
		even(t, s, 16)
		for range 3 {
			pour(t, n, s, 10, 1, spread)
		}
		even(t, s, 16)
	})
}

func TestAnOnDemandStreamDoublesWithItsBytes(t *testing.T) {
	onDemand(t, func(t *testing.T, n *node, s *Stream) {
		pour(t, n, s, 40, 500<<10, spread) // just below 2 MiB a second
		require.Equal(t, 4, openCount(t, s))
		pour(t, n, s, 42, 500<<10, spread)
		even(t, s, 8)
	})
}

func TestAHotShardIsSplitButNotWithoutEnd(t *testing.T) {
	onDemand(t, func(t *testing.T, n *node, s *Stream) {
		one := func(int) string { return "the one key" }
		pour(t, n, s, 10_010, 1, one)
		require.Equal(t, 5, openCount(t, s))
		for range 20 {
			pour(t, n, s, 10_010, 1, one)
		}
		most := openCount(t, s)
		require.LessOrEqual(t, most, 16, "a shard of one key cannot be helped")
		pour(t, n, s, 10_010, 1, one)
		require.Equal(t, most, openCount(t, s))
	})
}

func TestAProvisionedStreamDoesNotGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, vfs.NewMem())
		defer n.close(t)
		s := open(t, n, 1)
		pour(t, n, s, 20_010, 1, spread)
		require.Equal(t, 1, openCount(t, s))
	})
}

func TestAHotShardThatIsHeldToItsLimitsIsSplit(t *testing.T) {
	onDemand(t, func(t *testing.T, n *node, s *Stream) {
		l, err := limit.New(1)
		require.NoError(t, err)
		hot := s.seen.Load().open[0].shard
		for range 30 {
			put := 0
			call := make([]Record, 500)
			for i := range call {
				call[i] = Record{Key: "k", Hash: &hot.Range.Start, Data: []byte("x")}
			}
			for range 4 { // 2,000 records in a second
				out, err := s.PutWithin(t.Context(), l, call)
				require.NoError(t, err)
				for _, r := range out {
					require.Equal(t, hot.ID, r.Shard)
					if r.Err == nil {
						put++
						continue
					}
					require.ErrorIs(t, r.Err, core.ErrThrottled)
				}
			}
			require.Equal(t, 1000, put)
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		require.NoError(t, n.Trim(t.Context(), time.Now()))
		require.Equal(t, 5, openCount(t, s))
	})
}

func TestTheMeterKeepsThePeak(t *testing.T) {
	t.Parallel()
	var m meter
	at := time.Now()
	count := func(n int, shard core.ShardID) {
		m.count(at, make([]Record, n), func() (out []Result) {
			for range n {
				out = append(out, Result{Shard: shard})
			}
			return out
		}())
	}
	count(100, "a")
	count(50, "b")
	at = at.Add(meterWindow)
	count(10, "a")
	at = at.Add(time.Hour)
	peak, peaks := m.take(at)
	require.Equal(t, flow{records: 15}, peak)
	require.Equal(t, map[core.ShardID]flow{"a": {records: 10}, "b": {records: 5}}, peaks)
	peak, peaks = m.take(at)
	require.Zero(t, peak)
	require.Empty(t, peaks)
}

// roomless is an engine that can make no more logs.
type roomless struct{ shardlog.Engine }

var errNoRoom = errors.New("no room for another log")

func (roomless) Create(context.Context, shardlog.LogID) error { return errNoRoom }

func TestWhatCannotGrowIsTrimmed(t *testing.T) {
	onDemand(t, func(t *testing.T, n *node, s *Stream) {
		given := put(t, s, "k", "a")
		v, err := s.view(t.Context())
		require.NoError(t, err)
		holds, err := v.shard(given[0].Shard)
		require.NoError(t, err)
		store := NewStore(roomless{n.engine}, n.table, "test")
		require.NoError(t, s.amend(t.Context(), func(i *Info) error { return i.scale(8, time.Now()) }))
		for range 26 * 60 {
			require.ErrorIs(t, store.Trim(t.Context(), time.Now()), errNoRoom)
			time.Sleep(time.Minute)
		}
		tail, err := n.engine.Tail(t.Context(), holds.Log)
		require.NoError(t, err)
		require.Greater(t, tail.First, tail.Last, "its record is trimmed")
		require.NoError(t, n.Trim(t.Context(), time.Now()))
		even(t, s, 8)
	})
}
