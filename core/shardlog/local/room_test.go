package local

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/vfs"
)

func TestRoomIsWaitedForWhileTheQueueIsFull(t *testing.T) {
	e, err := Open(vfs.NewMem(), "/log", Config{Queue: 1000, Reserve: -1})
	require.NoError(t, err)
	defer e.Close() //nolint:errcheck // nothing is in it
	require.NoError(t, e.Room(t.Context()))
	fill := func(n int64) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.queued += n
	}
	fill(600)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, e.Room(ctx), context.DeadlineExceeded)
	time.AfterFunc(20*time.Millisecond, func() { fill(-600) })
	require.NoError(t, e.Room(t.Context()))
}
