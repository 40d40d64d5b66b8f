package stream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/core/vfs"
	"github.com/penstock/penstock/core/vfs/vfstest"
)

// even demands that the open shards of a stream share the hash keys evenly.
func even(t *testing.T, s *Stream, shards int) {
	t.Helper()
	info, err := s.Info(t.Context())
	require.NoError(t, err)
	require.Nil(t, info.Scale)
	require.Nil(t, info.Intent)
	require.Equal(t, core.EvenRanges(shards), openRanges(info))
}

func openRanges(info Info) []core.HashRange {
	var out []core.HashRange
	for _, sh := range info.Shards {
		if !sh.Closed {
			out = append(out, sh.Range)
		}
	}
	slices.SortFunc(out, func(a, b core.HashRange) int { return a.Start.Compare(b.Start) })
	return out
}

func TestScalingMakesEvenShards(t *testing.T) {
	t.Parallel()
	n := start(t, vfs.NewMem())
	defer n.close(t)
	for _, step := range [][2]int{{1, 2}, {2, 1}, {2, 3}, {3, 2}, {3, 5}, {7, 4}, {5, 10}, {10, 7}, {64, 128}, {128, 96}} {
		t.Run(fmt.Sprint(step), func(t *testing.T) {
			name := core.StreamName(fmt.Sprintf("s-%d-%d", step[0], step[1]))
			_, err := n.Create(t.Context(), name, Settings{Shards: step[0]})
			require.NoError(t, err)
			s, err := n.Open(t.Context(), name)
			require.NoError(t, err)
			before := put(t, s, "k", "a")
			info, err := s.Info(t.Context())
			require.NoError(t, err)
			splits, merges := info.away(step[1])
			open, err := s.Scale(t.Context(), step[1], 0)
			require.NoError(t, err)
			require.Equal(t, step[0], open)
			_, err = s.Split(t.Context(), core.NewShardID(0), nil)
			require.ErrorIs(t, err, ErrBusy)
			require.NoError(t, s.FinishScaling(t.Context()))
			even(t, s, step[1])
			require.Len(t, shardsOf(t, s), step[0]+2*splits+merges)
			after := put(t, s, "k", "b")
			require.Equal(t, 1, after[0].Seq.Compare(before[0].Seq))
		})
	}
}

func TestUnevenShardsAreScaledToo(t *testing.T) {
	t.Parallel()
	n := start(t, vfs.NewMem())
	defer n.close(t)
	rng := rand.New(rand.NewPCG(1, 2))
	s := open(t, n, 3)
	for range 8 {
		info, err := s.Info(t.Context())
		require.NoError(t, err)
		var ids []core.ShardID
		for _, sh := range info.Shards {
			if !sh.Closed {
				ids = append(ids, sh.ID)
			}
		}
		_, err = s.Split(t.Context(), ids[rng.IntN(len(ids))], nil)
		require.NoError(t, err)
	}
	two, err := s.Split(t.Context(), core.NewShardID(len(shardsOf(t, s))-1), nil)
	require.NoError(t, err)
	require.NotEmpty(t, two)
	_, err = s.Scale(t.Context(), 7, 0)
	require.NoError(t, err)
	require.NoError(t, s.FinishScaling(t.Context()))
	even(t, s, 7)
}

func TestScalingHasLimits(t *testing.T) {
	t.Parallel()
	n := start(t, vfs.NewMem())
	defer n.close(t)
	s := open(t, n, 4)
	for _, target := range []int{0, 1, 9, MaxShards + 1} {
		_, err := s.Scale(t.Context(), target, 0)
		require.ErrorIs(t, err, ErrLimit, target)
	}
	for i := range MaxScalings {
		_, err := s.Scale(t.Context(), 4+i%2, 0)
		require.NoError(t, err)
		require.NoError(t, s.FinishScaling(t.Context()))
	}
	_, err := s.Scale(t.Context(), 4, 0)
	require.ErrorContains(t, err, "10 times in 24 hours")
	require.NoError(t, s.amend(t.Context(), func(i *Info) error { // a day goes by
		i.Scaled[0] = i.Scaled[0].Add(-24 * time.Hour)
		return nil
	}))
	_, err = s.Scale(t.Context(), 4, 0)
	require.NoError(t, err)
}

func TestWhatWasScaledIsFinishedByTrim(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	n := start(t, fs)
	s := open(t, n, 3)
	_, err := s.Scale(t.Context(), 5, 0)
	require.NoError(t, err)
	n.close(t)
	n = start(t, fs)
	defer n.close(t)
	s, err = n.Open(t.Context(), "s")
	require.NoError(t, err)
	info, err := s.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, Updating, info.Status(time.Now()))
	require.NoError(t, n.Trim(t.Context(), time.Now()))
	even(t, s, 5)
}

func scaleStore(ctx context.Context, fs vfs.FS) (*local.Engine, *control.Store, *Store, error) {
	e, err := local.Open(fs, "/log", local.Config{FileSize: 1 << 15, Idle: time.Hour, Reserve: -1})
	if err != nil {
		return nil, nil, nil, err
	}
	c, err := control.Open(ctx, e, "control", "test", control.Config{SnapshotBytes: 16_000})
	if err != nil {
		return nil, nil, nil, errors.Join(err, e.Close())
	}
	return e, c, NewStore(e, c, "test"), nil
}

// scaleWorkload scales a stream that is put to: two splits and a merge.
func scaleWorkload(ctx context.Context, fs vfs.FS, acked map[string]core.SequenceNumber) (began bool, err error) {
	e, c, s, err := scaleStore(ctx, fs)
	if err != nil {
		return false, err
	}
	defer e.Close() //nolint:errcheck // the power is cut, or everything was read
	defer c.Close() //nolint:errcheck // likewise
	if _, err := s.Create(ctx, "s", Settings{Shards: 2}); err != nil {
		return false, err
	}
	st, err := s.Open(ctx, "s")
	if err != nil {
		return false, err
	}
	write := func(round int) error {
		var records []Record
		for i := range 6 {
			records = append(records, Record{Key: fmt.Sprint("key-", i), Data: fmt.Appendf(nil, "%d-%d", round, i)})
		}
		out, err := st.Put(ctx, records)
		for i, r := range out {
			if r.Err == nil {
				acked[string(records[i].Data)] = r.Seq
			} else {
				err = r.Err
			}
		}
		return err
	}
	if err := write(0); err != nil {
		return false, err
	}
	if _, err := st.Scale(ctx, 3, 0); err != nil {
		return false, err
	}
	if err := st.FinishScaling(ctx); err != nil {
		return true, err
	}
	return true, write(1)
}

// TestPowerCutsWhileScaling cuts the power at every file-system call of a stream's scaling: what was begun is finished
// by the next Trim, and every record that was acknowledged is there once.
func TestPowerCutsWhileScaling(t *testing.T) {
	t.Parallel()
	states, selections := 0, uint64(3)
	if os.Getenv("PENSTOCK_CUT_STATES") != "" {
		selections = 6
	}
	for n := int64(1); ; n++ {
		fs := vfs.NewMem()
		cut := vfstest.At(n)
		fs.Fail(cut.Fail)
		acked := map[string]core.SequenceNumber{}
		began, err := scaleWorkload(t.Context(), fs, acked)
		first := uint64(n) % 2 //nolint:gosec // not negative
		for sel := first; sel < first+selections; sel++ {
			checkScaling(t, cut.Left(fs, 2*sel), began, acked)
			states++
		}
		if !cut.Came() {
			require.NoError(t, err)
			break
		}
	}
	t.Logf("campaign=cut-scaling states=%d violations=0", states)
}

func checkScaling(t *testing.T, fs vfs.FS, began bool, acked map[string]core.SequenceNumber) {
	t.Helper()
	e, c, s, err := scaleStore(t.Context(), fs)
	require.NoError(t, err)
	defer func() {
		require.NoError(t, c.Close())
		require.NoError(t, e.Close())
	}()
	require.NoError(t, s.Trim(t.Context(), time.Now()))
	infos, err := s.List(t.Context())
	require.NoError(t, err)
	if len(infos) == 0 {
		require.False(t, began)
		require.Empty(t, acked)
		return
	}
	info := infos[0]
	require.Nil(t, info.Scale)
	require.Nil(t, info.Intent)
	ranges := openRanges(info)
	require.Contains(t, []int{2, 3}, len(ranges))
	require.Equal(t, core.EvenRanges(len(ranges)), ranges)
	if began {
		require.Len(t, ranges, 3, "what was begun is finished")
	}
	st, err := s.Open(t.Context(), "s")
	require.NoError(t, err)
	have := map[string]core.SequenceNumber{}
	for _, sh := range info.Shards {
		readThrough(t, st, sh, func(_ core.ShardID, _, data string, seq core.SequenceNumber) {
			require.Empty(t, have[data])
			have[data] = seq
		})
	}
	for data, seq := range acked {
		require.Equal(t, seq, have[data], data)
	}
	put(t, st, "k", "more")
}
