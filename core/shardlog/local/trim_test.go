package local

import (
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/shardlog/shardlogtest"
	"github.com/penstock/penstock/core/vfs"
)

func TestWithoutSpaceForSegmentsTheLogGrowsAndShrinksLater(t *testing.T) {
	mem := vfs.NewMem()
	mem.Fail(func(op, name string) error {
		if op == "write" && strings.Contains(name, segFolder) {
			return syscall.ENOSPC
		}
		return nil
	})
	cfg := toSegments()
	cfg.Reserve = -1 // it is only segments that have no space
	e := open(t, mem, "/log", cfg)
	require.NoError(t, e.Create(t.Context(), "log"))
	w, _, err := e.Claim(t.Context(), "log", 1, "test")
	require.NoError(t, err)
	put := func(from, to int64) {
		for i := from; i < to; i++ {
			b := shardlogtest.Batch(i+1, i)
			_, err := w.Append(shardlog.Anywhere, b).Wait(t.Context())
			require.NoError(t, err)
			b.Rows.Release()
		}
	}
	put(0, 60)
	require.ErrorIs(t, e.tidy(), syscall.ENOSPC)
	require.Empty(t, segmentFiles(t, mem), "what was begun is undone")
	got, err := shardlogtest.ReadAll(t, e, "log", 0)
	require.ErrorIs(t, err, shardlog.ErrTip)
	require.Len(t, got, 60)
	mem.Fail(nil)
	put(60, 70)
	require.NoError(t, e.tidy())
	require.NotEmpty(t, segmentFiles(t, mem))
	got, err = shardlogtest.ReadAll(t, e, "log", 0)
	require.ErrorIs(t, err, shardlog.ErrTip)
	require.Len(t, got, 70)
}

func TestADamagedFileIsNotMoved(t *testing.T) {
	mem := vfs.NewMem()
	cfg := Config{FileSize: 4096, GroupSize: 1}
	e, err := Open(mem, "/log", cfg)
	require.NoError(t, err)
	fill(t, e, "log", 30)
	e.mu.Lock()
	name, offset := e.files[0].name, e.logs["log"].refs[3].offset
	mem.Flip(name, offset*8+1000)
	e.cfg.LogSize = 1 // now it must go
	e.mu.Unlock()
	if err = e.tidy(); err == nil { // the engine's own try was first
		err = e.poisoned()
	}
	require.ErrorIs(t, err, shardlog.ErrCorrupt)
	require.ErrorContains(t, err, name)
	require.False(t, passing(err), "the node stops: nothing may be deleted")
	require.Empty(t, segmentFiles(t, mem))
	f, err := mem.Open(name)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.NoError(t, e.Close())
}

func TestAppendsWaitWhenTheLogOutgrowsItsSizeByFar(t *testing.T) {
	mem := vfs.NewMem()
	mem.Fail(func(op, name string) error {
		if op == "create" && strings.Contains(name, segFolder) {
			return syscall.EMFILE
		}
		return nil
	})
	cfg := toSegments()
	cfg.Queue = 16 << 10
	cfg.Vital = []shardlog.LogID{"vital"}
	e := open(t, mem, "/log", cfg)
	require.NoError(t, e.Create(t.Context(), "log"))
	w, _, err := e.Claim(t.Context(), "log", 1, "test")
	require.NoError(t, err)
	put := func() error {
		b := shardlogtest.Batch(1, 1)
		defer b.Rows.Release()
		_, err := w.Append(shardlog.Anywhere, b).Wait(t.Context())
		return err
	}
	acked := 0
	for err = put(); err == nil; err = put() {
		acked++
		require.Less(t, acked, 1000)
	}
	require.ErrorContains(t, err, "wait to leave the log for segments")
	require.NoError(t, e.Create(t.Context(), "vital"))
	w, _, err = e.Claim(t.Context(), "vital", 1, "test")
	require.NoError(t, err)
	require.NoError(t, put(), "what frees space goes on")
	w, _, err = e.Claim(t.Context(), "log", 2, "test")
	require.NoError(t, err)
	mem.Fail(nil)
	require.NoError(t, e.tidy())
	require.NoError(t, put())
	got, _ := shardlogtest.ReadAll(t, e, "log", 0)
	require.Len(t, got, acked+1)
}
