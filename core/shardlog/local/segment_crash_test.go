package local

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/shardlog/shardlogtest"
	"github.com/penstock/penstock/core/vfs"
	"github.com/penstock/penstock/core/vfs/vfstest"
)

// toSegments makes nearly everything go to segments at once: of log "own" to its own, of the others to shared ones.
func toSegments() Config { return Config{FileSize: 4096, LogSize: 1, OwnSegment: 3000, HotTail: 1} }

// told is what a workload on several logs was told.
type told map[shardlog.LogID]*history

func (t told) of(id shardlog.LogID) *history {
	if t[id] == nil {
		t[id] = &history{maybe: map[int64]bool{}}
	}
	return t[id]
}

// segmentWorkload fills logs, moves what it can, trims, deletes and makes again, until something fails.
func segmentWorkload(ctx context.Context, fs vfs.FS, cfg Config, h told) {
	for epoch := shardlog.Epoch(1); epoch <= 2; epoch++ {
		e, err := Open(fs, "/log", cfg)
		if err != nil {
			return
		}
		err = segmentRound(ctx, e, epoch, h)
		_ = e.Close()
		if err != nil {
			return
		}
	}
}

func segmentRound(ctx context.Context, e *Engine, epoch shardlog.Epoch, h told) error {
	writers := map[shardlog.LogID]shardlog.Writer{}
	for _, id := range []shardlog.LogID{"own", "leftover", "brief"} {
		if err := e.Create(ctx, id); err != nil && !errors.Is(err, shardlog.ErrExists) {
			return err
		}
		h.of(id).created = true
		w, _, err := e.Claim(ctx, id, epoch, "test")
		if err != nil {
			return err
		}
		writers[id] = w
	}
	next := int64(epoch) * 1000
	put := func(id shardlog.LogID) error {
		b := shardlogtest.Batch(next+1, next)
		defer b.Rows.Release()
		_, err := writers[id].Append(shardlog.Anywhere, b).Wait(ctx)
		if err == nil {
			h.of(id).acked = append(h.of(id).acked, next)
		} else {
			h.of(id).maybe[next] = true
		}
		next++
		return err
	}
	for i := range 15 {
		for _, id := range []shardlog.LogID{"own", "own", "leftover", "brief"} {
			if id != "own" && i%4 != 0 {
				continue
			}
			if err := put(id); err != nil {
				return err
			}
		}
		if i%5 == 4 {
			if err := e.tidy(); err != nil {
				return err
			}
		}
	}
	if epoch == 1 {
		return nil
	}
	own := h.of("own")
	own.trimmed = 20
	tail, err := e.Find(ctx, "own", shardlogtest.Batch(own.acked[20]+1, 0).Arrival)
	if err == nil {
		err = e.Trim(ctx, "own", tail)
	}
	if err == nil {
		h["brief"] = &history{maybe: map[int64]bool{}, created: true, deleted: true}
		err = e.Delete(ctx, "brief")
	}
	if err == nil {
		err = e.tidy()
	}
	return err
}

// checkAll opens what a crash left and compares each log with what was told.
func checkAll(t *testing.T, fs vfs.FS, cfg Config, h told) {
	t.Helper()
	e, err := Open(fs, "/log", cfg)
	require.NoError(t, err)
	for range 2 {
		for id, want := range h {
			checkLog(t, e, id, want)
		}
		require.NoError(t, e.tidy())
	}
	require.NoError(t, e.Close())
	names, err := fs.List("/log/segments")
	require.NoError(t, err)
	for _, name := range names {
		require.NotContains(t, name, temporary)
	}
	e, err = Open(fs, "/log", cfg)
	require.NoError(t, err)
	for id, want := range h {
		checkLog(t, e, id, want)
	}
	require.NoError(t, e.Close())
}

func checkLog(t *testing.T, e *Engine, id shardlog.LogID, h *history) {
	t.Helper()
	got, err := shardlogtest.ReadAll(t, e, id, 0)
	if (!h.created || h.deleted) && errors.Is(err, shardlog.ErrNotFound) {
		return
	}
	require.ErrorIs(t, err, shardlog.ErrTip, "log %s", id)
	if h.deleted {
		return // the deletion was not acknowledged, or it was
	}
	require.IsIncreasing(t, append([]int64{-1}, got...))
	have := map[int64]bool{}
	for _, v := range got {
		have[v] = true
	}
	for i, v := range h.acked {
		if !have[v] && i >= h.trimmed {
			t.Fatalf("acknowledged %d of %s is lost; read %v", v, id, got)
		}
		delete(have, v)
	}
	for v := range have {
		require.True(t, h.maybe[v], "%d of %s was never appended, or refused", v, id)
	}
}

// TestPowerCutsWhileSegmentsAreMade stops the workload at each of its file-system calls, and looks at what a power cut
// may leave.
func TestPowerCutsWhileSegmentsAreMade(t *testing.T) {
	states := 0
	step := max(int64(1), int64(60/seeds(6))) // every call when it is asked for
	for n := int64(1); ; n += step {
		mem := vfs.NewMem()
		h := told{}
		cut := vfstest.At(n)
		mem.Fail(cut.Fail)
		segmentWorkload(t.Context(), mem, toSegments(), h)
		for seed := range seeds(6) {
			rng := rand.New(rand.NewPCG(uint64(n), uint64(seed)))
			if seed == 0 {
				rng = nil
			}
			left := mem.CrashClone(rng)
			if !t.Run(fmt.Sprint("call ", n, " seed ", seed), func(t *testing.T) { checkAll(t, left, toSegments(), h) }) {
				return
			}
			states++
		}
		if !cut.Came() {
			break
		}
	}
	t.Logf("campaign=segment-crash states=%d missing=0 extra=0", states)
}

// TestEveryCallMayFailWhileSegmentsAreMade lets each call fail once: nothing acknowledged is lost, and after a
// reopening the log works.
func TestEveryCallMayFailWhileSegmentsAreMade(t *testing.T) {
	step := max(int64(1), int64(60/seeds(6)))
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC, syscall.EMFILE} {
		for n := int64(1); ; n += step {
			mem := vfs.NewMem()
			h := told{}
			var calls atomic.Int64
			mem.Fail(func(string, string) error {
				if calls.Add(1) == n {
					return cause
				}
				return nil
			})
			segmentWorkload(t.Context(), mem, toSegments(), h)
			mem.Fail(nil)
			if !t.Run(fmt.Sprint(cause, " call ", n), func(t *testing.T) { checkAll(t, mem, toSegments(), h) }) {
				return
			}
			if calls.Load() < n {
				break
			}
		}
	}
}
