package stream

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/vfs"
)

// trimFor trims every minute, with the wall clock as it is, for some time.
func trimFor(t *testing.T, n *node, d time.Duration) {
	t.Helper()
	trimAt(t, n, d, time.Now)
}

// trimAt trims every minute with another wall clock.
func trimAt(t *testing.T, n *node, d time.Duration, wall func() time.Time) {
	t.Helper()
	for range d / time.Minute {
		require.NoError(t, n.Trim(t.Context(), wall()))
		time.Sleep(time.Minute)
	}
}

func TestWhatIsExpiredGoesAfterTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetention()
		require.Equal(t, expired{}, r.due("log", expired{before: 5}))
		time.Sleep(expiredStays - time.Second)
		require.Equal(t, expired{}, r.due("log", expired{before: 9}))
		time.Sleep(time.Second)
		require.Equal(t, expired{before: 5}, r.due("log", expired{before: 9, whole: true}), "what expired since waits")
		time.Sleep(expiredStays)
		require.Equal(t, expired{before: 2}, r.due("log", expired{before: 2}), "a longer retention brings back what was not deleted yet")
	})
}

func TestClocks(t *testing.T) {
	for name, c := range map[string]struct {
		skew  time.Duration
		agree bool
		now   time.Duration // after the monotonic clock
	}{
		"in step":              {0, true, 0},
		"half a minute ahead":  {30 * time.Second, true, 30 * time.Second},
		"half a minute behind": {-30 * time.Second, true, -30 * time.Second},
		"a day ahead":          {24 * time.Hour, false, maxSkew},
		"a day behind":         {-24 * time.Hour, false, -24 * time.Hour},
		"frozen for an hour":   {-time.Hour, false, -time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRetention()
				time.Sleep(time.Hour)
				wall := time.Now().Add(c.skew).Round(0)
				require.Equal(t, c.agree, r.agree(wall))
				require.WithinDuration(t, time.Now().Add(c.now).Round(0), r.now(wall), 0)
			})
		})
	}
}

func TestAClockJumpDeletesNothing(t *testing.T) {
	for name, skew := range map[string]time.Duration{"a day ahead": 24 * time.Hour, "thirty days ahead": 720 * time.Hour, "a day behind": -24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := start(t, vfs.NewMem())
				defer n.close(t)
				_, err := n.Create(t.Context(), "s", Settings{})
				require.NoError(t, err)
				s, err := n.Open(t.Context(), "s")
				require.NoError(t, err)
				put(t, s, "k", "a", "b")
				trimAt(t, n, time.Hour, func() time.Time { return time.Now().Add(skew) })
				data, _ := read(t, s, core.NewShardID(0), "", 2)
				require.Equal(t, []string{"a", "b"}, data)
			})
		})
	}
	t.Run("and when the clock is right again, time goes on", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := start(t, vfs.NewMem())
			defer n.close(t)
			info, err := n.Create(t.Context(), "s", Settings{})
			require.NoError(t, err)
			s, err := n.Open(t.Context(), "s")
			require.NoError(t, err)
			put(t, s, "k", "a")
			frozen := time.Now()
			time.Sleep(MinRetention + time.Minute)
			trimAt(t, n, time.Hour, func() time.Time { return frozen })
			tail, err := n.engine.Tail(t.Context(), info.Shards[0].Log)
			require.NoError(t, err)
			require.Equal(t, shardlog.Pos(1), tail.First)
			trimFor(t, n, 12*time.Minute)
			tail, err = n.engine.Tail(t.Context(), info.Shards[0].Log)
			require.NoError(t, err)
			require.Greater(t, tail.First, shardlog.Pos(1))
		})
	})
}

func TestTheHorizonIsExactToTheRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, vfs.NewMem())
		defer n.close(t)
		_, err := n.Create(t.Context(), "s", Settings{})
		require.NoError(t, err)
		s, err := n.Open(t.Context(), "s")
		require.NoError(t, err)
		shard := core.NewShardID(0)
		w := gatherInOneEntry(t, s)
		var given []core.SequenceNumber
		for i, key := range []string{"a", "b", "c", "d"} {
			w.put(key)
			if i < 3 {
				time.Sleep(time.Hour)
			}
		}
		given = w.send()
		began := time.Now().Add(-3 * time.Hour)

		time.Sleep(MinRetention - 3*time.Hour + time.Hour + time.Minute) // a and b have expired, within their entry
		data, _ := read(t, s, shard, "", 2)
		require.Equal(t, []string{"c", "d"}, data)
		r, err := s.Read(t.Context(), shard, given[0])
		require.NoError(t, err)
		_, err = r.Next(t.Context())
		require.ErrorIs(t, err, shardlog.ErrTrimmed)
		require.NoError(t, r.Close())
		data, _ = read(t, s, shard, given[1], 2)
		require.Equal(t, []string{"c", "d"}, data)
		at, err := s.Find(t.Context(), shard, AtTime(began))
		require.NoError(t, err)
		require.Empty(t, at)

		require.NoError(t, n.SetRetention(t.Context(), "s", 2*MinRetention)) // nothing was deleted, so it comes back
		data, _ = read(t, s, shard, "", 4)
		require.Equal(t, []string{"a", "b", "c", "d"}, data)
		for i, want := range []string{"a", "b", "c", "d"} {
			at, err := s.Find(t.Context(), shard, AtTime(began.Add(time.Duration(i)*time.Hour)))
			require.NoError(t, err)
			data, _ = read(t, s, shard, at, 1)
			require.Equal(t, want, data[0])
			at, err = s.Find(t.Context(), shard, At(given[i]))
			require.NoError(t, err)
			data, _ = read(t, s, shard, at, 1)
			require.Equal(t, want, data[0])
		}
		time.Sleep(3 * MinRetention)
		last, err := s.Last(t.Context(), shard)
		require.NoError(t, err)
		require.Empty(t, last, "what nobody can read is not the last record")
	})
}

// oneEntry makes one entry of several puts, as puts that wait for an entry before them do.
type oneEntry struct {
	t *testing.T
	w *shardWriter
	p []piece
}

func gatherInOneEntry(t *testing.T, s *Stream) *oneEntry {
	t.Helper()
	v, err := s.view(t.Context())
	require.NoError(t, err)
	w := v.open[0]
	require.NoError(t, w.claimed(t.Context()))
	w.flying = true
	return &oneEntry{t: t, w: w}
}

func (o *oneEntry) put(data string) {
	p, sent := o.w.add(nil, []Record{{Key: "k", Data: []byte(data)}}, []uint64{0})
	require.Empty(o.t, sent)
	o.p = append(o.p, p)
}

func (o *oneEntry) send() (given []core.SequenceNumber) {
	o.t.Helper()
	o.w.mu.Lock()
	sent := o.w.send(nil)
	o.w.mu.Unlock()
	land(sent)
	for _, p := range o.p {
		out := make([]Result, 1)
		p.wait(o.t.Context(), out)
		require.NoError(o.t, out[0].Err)
		given = append(given, out[0].Seq)
	}
	return given
}
