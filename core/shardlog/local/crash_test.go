package local

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/shardlog/shardlogtest"
	"github.com/penstock/penstock/core/vfs"
	"github.com/penstock/penstock/core/vfs/vfstest"
)

// history is what a workload was told.
type history struct {
	acked   []int64
	maybe   map[int64]bool // the outcome is unknown
	trimmed int            // of acked, how many a trim that was asked for covers
	created bool
	deleted bool // or the deletion was asked for
}

// appendTrimReopen appends, trims and reopens until something fails, and records what it was told.
func appendTrimReopen(ctx context.Context, fs vfs.FS, cfg Config, h *history) {
	next := int64(0)
	for epoch := shardlog.Epoch(1); epoch <= 3; epoch++ {
		e, err := Open(fs, "/log", cfg)
		if err != nil {
			return
		}
		err = e.Create(ctx, "log")
		if err != nil && !errors.Is(err, shardlog.ErrExists) {
			_ = e.Close()
			return
		}
		h.created = true
		w, _, err := e.Claim(ctx, "log", epoch, "test")
		for i := 0; err == nil && i < 4; i++ {
			b := shardlogtest.Batch(next+1, next)
			_, err = w.Append(shardlog.Anywhere, b).Wait(ctx)
			b.Rows.Release()
			if err == nil {
				h.acked = append(h.acked, next)
			} else {
				h.maybe[next] = true
			}
			next++
		}
		if err == nil && epoch == 2 {
			h.trimmed = 2
			err = e.Trim(ctx, "log", 4) // OPEN, 0, 1
		}
		_ = e.Close()
		if err != nil {
			return
		}
	}
}

// check opens what a crash left and compares it with the history.
func check(t *testing.T, fs vfs.FS, cfg Config, h *history) {
	t.Helper()
	e, err := Open(fs, "/log", cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	got, err := shardlogtest.ReadAll(t, e, "log", 0)
	if !h.created && errors.Is(err, shardlog.ErrNotFound) {
		return
	}
	require.ErrorIs(t, err, shardlog.ErrTip)
	require.IsIncreasing(t, append([]int64{-1}, got...))
	have := map[int64]bool{}
	for _, v := range got {
		have[v] = true
	}
	for i, v := range h.acked {
		if !have[v] && i >= h.trimmed {
			t.Fatalf("acknowledged %d is lost; read %v", v, got)
		}
		delete(have, v)
	}
	for v := range have {
		require.True(t, h.maybe[v], "%d was never appended, or refused", v)
	}
	// It can be written to at once.
	w, _, err := e.Claim(t.Context(), "log", 100, "test")
	require.NoError(t, err)
	b := shardlogtest.Batch(1000, 1000)
	defer b.Rows.Release()
	_, err = w.Append(shardlog.Anywhere, b).Wait(t.Context())
	require.NoError(t, err)
}

func seeds(otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv("PENSTOCK_CRASH_SEEDS")); err == nil {
		return n
	}
	return otherwise
}

// TestPowerCutsAtEveryCall stops a workload at each of its file-system calls, takes what a power cut may leave of what
// was not synced, and looks for what was acknowledged.
func TestPowerCutsAtEveryCall(t *testing.T) {
	states := 0
	for name, cfg := range map[string]Config{"one file": {}, "many files": {FileSize: 4096}} {
		for n := int64(1); ; n++ {
			mem := vfs.NewMem()
			h := &history{maybe: map[int64]bool{}}
			cut := vfstest.At(n)
			mem.Fail(cut.Fail)
			appendTrimReopen(t.Context(), mem, cfg, h)
			for seed := range seeds(6) {
				rng := rand.New(rand.NewPCG(uint64(n), uint64(seed)))
				if seed == 0 {
					rng = nil
				}
				left := mem.CrashClone(rng)
				if !t.Run(fmt.Sprint(name, " call ", n, " seed ", seed), func(t *testing.T) { check(t, left, cfg, h) }) {
					return
				}
				states++
			}
			if !cut.Came() {
				break
			}
		}
	}
	t.Logf("%d states", states)
}

// TestEveryCallMayFail lets each file-system call fail once and go on: nothing acknowledged is lost, and after a
// reopening the log works.
func TestEveryCallMayFail(t *testing.T) {
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC, syscall.EMFILE} {
		for n := int64(1); ; n++ {
			mem := vfs.NewMem()
			h := &history{maybe: map[int64]bool{}}
			var calls atomic.Int64
			mem.Fail(func(string, string) error {
				if calls.Add(1) == n {
					return cause
				}
				return nil
			})
			appendTrimReopen(t.Context(), mem, Config{FileSize: 4096}, h)
			mem.Fail(nil)
			if !t.Run(fmt.Sprint(cause, " call ", n), func(t *testing.T) { check(t, mem, Config{}, h) }) {
				return
			}
			if calls.Load() < n {
				break
			}
		}
	}
}

func TestAFullDiskRefusesAndRecovers(t *testing.T) {
	mem := vfs.NewMem()
	e, err := Open(mem, "/log", Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	require.NoError(t, e.Create(t.Context(), "log"))
	w, _, err := e.Claim(t.Context(), "log", 1, "test")
	require.NoError(t, err)
	put := func(v int64) error {
		b := shardlogtest.Batch(v, v)
		defer b.Rows.Release()
		_, err := w.Append(shardlog.Anywhere, b).Wait(t.Context())
		return err
	}
	require.NoError(t, put(1))
	mem.Fail(func(op, _ string) error {
		if op == "write" || op == "allocate" {
			return syscall.ENOSPC
		}
		return nil
	})
	require.ErrorIs(t, put(2), shardlog.ErrFull)
	require.ErrorIs(t, put(3), shardlog.ErrFull)
	mem.Fail(nil)
	require.NoError(t, put(4))
	got, _ := shardlogtest.ReadAll(t, e, "log", 0)
	require.Equal(t, []int64{1, 4}, got)
}

func TestAFailedSyncPoisons(t *testing.T) {
	mem := vfs.NewMem()
	e, err := Open(mem, "/log", Config{})
	require.NoError(t, err)
	require.NoError(t, e.Create(t.Context(), "log"))
	w, _, err := e.Claim(t.Context(), "log", 1, "test")
	require.NoError(t, err)
	mem.Fail(func(op, _ string) error {
		if op == "sync" {
			return syscall.EIO
		}
		return nil
	})
	b := shardlogtest.Batch(1, 1)
	defer b.Rows.Release()
	_, err = w.Append(shardlog.Anywhere, b).Wait(t.Context())
	require.ErrorIs(t, err, shardlog.ErrUnknown)
	<-e.Failed()
	mem.Fail(nil)
	_, err = w.Append(shardlog.Anywhere, b).Wait(t.Context())
	require.ErrorIs(t, err, shardlog.ErrUnknown)
	require.NoError(t, e.Close())
}

// TestFlippedBits flips each bit of the log that was proven synced: opening or reading it fails with ErrCorrupt, or
// gives everything. Only what nothing follows may be damaged unseen, and the closing group is empty.
func TestFlippedBits(t *testing.T) {
	mem := vfs.NewMem()
	h := &history{maybe: map[int64]bool{}}
	appendTrimReopen(t.Context(), mem, Config{}, h)
	names, err := mem.List("/log")
	require.NoError(t, err)
	detected, harmless := 0, 0
	for _, name := range names {
		if name == "lock" {
			continue
		}
		f, err := mem.Open("/log/" + name)
		require.NoError(t, err)
		size, err := f.Size()
		require.NoError(t, err)
		for bit := int64(0); bit < size*8; bit += 5 {
			hurt := mem.CrashClone(rand.New(rand.NewPCG(1, 1)))
			hurt.Flip("/log/"+name, bit)
			e, err := Open(hurt, "/log", Config{})
			if err != nil {
				require.ErrorIs(t, err, shardlog.ErrCorrupt, "%s bit %d", name, bit)
				require.ErrorContains(t, err, "at byte ")
				detected++
				continue
			}
			got, err := shardlogtest.ReadAll(t, e, "log", 0)
			require.NoError(t, e.Close())
			if errors.Is(err, shardlog.ErrCorrupt) {
				detected++
				continue
			}
			require.ErrorIs(t, err, shardlog.ErrTip)
			require.Equal(t, h.acked[h.trimmed:], got, "%s bit %d", name, bit)
			harmless++
		}
	}
	t.Logf("%d flips detected, %d harmless", detected, harmless)
	require.Greater(t, detected, harmless)
}
