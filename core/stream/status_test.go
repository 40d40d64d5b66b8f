package stream

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/vfs"
)

// TestPhasesEndThoughTheClockStepsBack: a phase is short, and is not to last for as long as a clock was wrong. To step back is
// here to find a row that was written by a clock that was ahead.
func TestPhasesEndThoughTheClockStepsBack(t *testing.T) {
	const delay, day = time.Second, 24 * time.Hour
	synctest.Test(t, func(t *testing.T) {
		n := start(t, vfs.NewMem())
		defer n.close(t)
		ctx := t.Context()
		_, err := n.Create(ctx, "s", Settings{Delay: delay})
		require.NoError(t, err)
		s, err := n.Open(ctx, "s")
		require.NoError(t, err)
		is := func() Status {
			info, err := s.Info(ctx)
			require.NoError(t, err)
			return info.Status(time.Now())
		}
		write := func(change func(i *Info)) {
			require.NoError(t, n.update(ctx, "s", func(i *Info) error { change(i); return nil }))
		}
		require.Equal(t, Creating, is())
		time.Sleep(delay)
		require.Equal(t, Active, is())
		write(func(i *Info) { i.pass(Updating, time.Now().Add(day), delay) })
		require.Equal(t, Active, is())
		write(func(i *Info) { i.pass(Updating, time.Now(), delay) })
		require.Equal(t, Updating, is())
		time.Sleep(delay)
		require.Equal(t, Active, is())

		c := Consumer{Phase: Creating, Since: time.Now().Add(day), Until: time.Now().Add(day + delay)}
		require.Equal(t, Active, c.Status(time.Now()))
		require.Equal(t, Creating, c.Status(time.Now().Add(day)))
		c.Phase = Deleting
		require.True(t, c.gone(time.Now()))

		write(func(i *Info) { i.pass(Deleting, time.Now(), delay) })
		require.NoError(t, n.Trim(ctx, time.Now()))
		require.Equal(t, Deleting, is())
		write(func(i *Info) { i.pass(Deleting, time.Now().Add(day), delay) })
		require.Equal(t, Deleting, is())
		require.NoError(t, n.Trim(ctx, time.Now()))
		_, err = s.Info(ctx)
		require.ErrorIs(t, err, ErrNotFound)
	})
}

// TestAPhaseIsNotBegunAgain: a wall clock that steps back into it does not matter to who has read its row before.
func TestAPhaseIsNotBegunAgain(t *testing.T) {
	i := Info{Phase: Updating, Since: time.Now().Round(0), Until: time.Now().Add(time.Hour).Round(0)}
	i.resume(time.Now())
	require.Equal(t, Updating, i.Status(time.Now()))
	require.NotEqual(t, i.Until, i.Until.Round(0), "its end is on the monotonic clock")
	i.resume(time.Now().Add(time.Hour))
	require.Empty(t, i.Phase)
}
