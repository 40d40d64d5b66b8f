package memory

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
)

func budget(t *testing.T) *Budget {
	t.Helper()
	b, err := New(Min)
	require.NoError(t, err)
	return b
}

func TestABudgetThatIsTooSmallIsRefused(t *testing.T) {
	_, err := New(Min - 1)
	require.ErrorIs(t, err, core.ErrInvalid)
	require.ErrorContains(t, err, "at least 128 MiB")
}

func TestReadersWaitForRoomInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget(t)
		h := b.Holder()
		first, err := h.Take(t.Context(), b.Reading()-10)
		require.NoError(t, err)
		var order []int
		var mu sync.Mutex
		for i, n := range []int64{100, 5} { // the second would fit, but stands behind the first
			go func() {
				r, err := h.Take(t.Context(), n)
				if err != nil {
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				r.Give()
			}()
			synctest.Wait()
		}
		require.Empty(t, order)
		require.True(t, first.Shrink(b.Reading()-200))
		synctest.Wait()
		require.ElementsMatch(t, []int{0, 1}, order)
		first.Give()
		first.Give()
		read, _ := b.Used()
		require.Zero(t, read)
	})
}

// A pipeline whose sink stands still has all of the part; another one goes on all the same, a batch at a time.
func TestAPipelineThatStandsStillDoesNotStopAnother(t *testing.T) {
	b := budget(t)
	stuck, other := b.Holder(), b.Holder()
	_, err := stuck.Take(t.Context(), b.Reading())
	require.NoError(t, err)
	for range 3 {
		r, err := other.Take(t.Context(), 1<<20)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = other.Take(ctx, 1<<20)
		require.ErrorIs(t, err, context.Canceled)
		r.Give()
	}
	read, _ := b.Used()
	require.Equal(t, b.Reading(), read)
}

func TestARecordLargerThanThePartPasses(t *testing.T) {
	b := budget(t)
	h := b.Holder()
	r, err := h.Take(t.Context(), 10*b.Total())
	require.NoError(t, err)
	require.True(t, r.Shrink(20*b.Total()), "more than everything is everything")
	r.Give()
}

func TestWhoGivesUpWaitingLetsOthersIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget(t)
		h := b.Holder()
		_, err := h.Take(t.Context(), b.Reading()/2)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		var gaveUp error
		go func() {
			_, gaveUp = h.Take(ctx, b.Reading())
		}()
		synctest.Wait()
		in := false
		go func() {
			_, err := h.Take(t.Context(), 1)
			in = err == nil
		}()
		synctest.Wait()
		require.False(t, in)
		cancel()
		synctest.Wait()
		require.True(t, in)
		require.ErrorIs(t, gaveUp, context.Canceled)
	})
}

func TestTheLargestFlushIsAskedToClose(t *testing.T) {
	b := budget(t)
	part := b.Staging()
	small, large := b.Holder().Account(), b.Holder().Account()
	large.Set(part * 3 / 4)
	small.Set(part / 4)
	require.False(t, large.IsFull())
	small.Set(part/4 + 1)
	require.True(t, large.IsFull())
	require.False(t, small.IsFull())

	// While the large one is written, the small one is asked when it grows, not while closing it would not help.
	large.Closing()
	small.Set(part / 16)
	large.Set(part)
	require.False(t, small.IsFull())
	small.Set(part / 2)
	require.True(t, small.IsFull())
	small.Reconsider()
	require.True(t, small.IsFull(), "nothing came free")
	large.Close()
	small.Reconsider()
	require.False(t, small.IsFull())
	small.Close()
	small.Close()
	_, staged := b.Used()
	require.Zero(t, staged)
	small.Set(5)
	_, staged = b.Used()
	require.Zero(t, staged, "what is closed holds nothing")
}

func TestWithoutABudgetNothingIsBounded(t *testing.T) {
	var h *Holder
	r, err := h.Take(t.Context(), 1<<60)
	require.NoError(t, err)
	require.True(t, r.Shrink(1<<61))
	r.Give()
	a := h.Account()
	a.Set(1 << 60)
	require.False(t, a.IsFull())
	a.Closing()
	a.Close()
}
