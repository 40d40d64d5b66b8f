package local

import (
	"context"
	"io/fs"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/shardlog/shardlogtest"
	"github.com/penstock/penstock/core/vfs"
)

// fullDisk is an engine whose puts were refused because its disk is full.
type fullDisk struct {
	fs     *vfs.Mem
	cfg    Config
	e      *Engine
	puts   shardlog.Writer
	checks shardlog.Writer
	acked  []int64
	checkd []int64
	next   int64
}

func fillDisk(t *testing.T) *fullDisk {
	t.Helper()
	d := &fullDisk{fs: vfs.NewMem(), cfg: Config{FileSize: 256 << 10, HotTail: 1, Reserve: 10 << 20, Vital: []shardlog.LogID{"control"}}}
	d.fs.Limit(20 << 20)
	d.open(t)
	require.NoError(t, d.e.Create(t.Context(), "control"))
	require.NoError(t, d.e.Create(t.Context(), "puts"))
	d.claim(t, 1)
	for {
		err := d.put(t.Context(), d.puts, &d.acked, 4000)
		if err == nil {
			continue
		}
		require.ErrorIs(t, err, shardlog.ErrFull)
		require.ErrorContains(t, err, "/log")
		break
	}
	for d.put(t.Context(), d.puts, &d.acked, 1) == nil {
	}
	require.NotEmpty(t, d.acked)
	return d
}

func (d *fullDisk) open(t *testing.T) {
	t.Helper()
	var err error
	d.e, err = Open(d.fs, "/log", d.cfg)
	require.NoError(t, err)
}

func (d *fullDisk) claim(t *testing.T, epoch shardlog.Epoch) {
	t.Helper()
	var err error
	d.checks, _, err = d.e.Claim(t.Context(), "control", epoch, "test")
	require.NoError(t, err)
	d.puts, _, err = d.e.Claim(t.Context(), "puts", epoch, "test")
	if epoch == 1 {
		require.NoError(t, err)
	} else {
		require.ErrorIs(t, err, shardlog.ErrFull)
	}
}

func (d *fullDisk) put(ctx context.Context, w shardlog.Writer, acked *[]int64, rows int) error {
	values := make([]int64, rows)
	for i := range values {
		values[i] = d.next
		d.next++
	}
	b := shardlogtest.Batch(d.next, values...)
	defer b.Rows.Release()
	_, err := w.Append(shardlog.Anywhere, b).Wait(ctx)
	if err == nil {
		*acked = append(*acked, values...)
	}
	return err
}

func (d *fullDisk) check(t *testing.T) {
	t.Helper()
	for id, want := range map[shardlog.LogID][]int64{"puts": d.acked, "control": d.checkd} {
		got, err := shardlogtest.ReadAll(t, d.e, id, 0)
		require.ErrorIs(t, err, shardlog.ErrTip)
		require.Equal(t, want, got)
	}
}

func TestAFullDiskLetsCheckpointsReadsAndTrimsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := fillDisk(t)
		for range 400 { // of 20 KiB and more, in new files too: far beyond what was left
			require.NoError(t, d.put(t.Context(), d.checks, &d.checkd, 1000))
			require.ErrorIs(t, d.put(t.Context(), d.puts, &d.acked, 1), shardlog.ErrFull)
		}
		d.check(t)
		require.NoError(t, d.e.Close())
		d.open(t) // it can be opened
		d.claim(t, 2)
		require.NoError(t, d.put(t.Context(), d.checks, &d.checkd, 1))
		d.check(t)
		tail, err := d.e.Tail(t.Context(), "puts")
		require.NoError(t, err)
		require.NoError(t, d.e.Trim(t.Context(), "puts", tail.Last+1)) // but checkpoints stand in the first files
		d.acked = nil
		require.NoError(t, d.e.Trim(t.Context(), "control", tail.Last+1))
		d.checkd = d.checkd[:0]
		got, err := shardlogtest.ReadAll(t, d.e, "control", 0)
		require.ErrorIs(t, err, shardlog.ErrTip)
		d.checkd = got
		time.Sleep(reserveRetry)
		d.puts, _, err = d.e.Claim(t.Context(), "puts", 3, "test")
		require.NoError(t, err, "a trim made space")
		require.NoError(t, d.put(t.Context(), d.puts, &d.acked, 4000))
		d.check(t)
		require.NoError(t, d.e.Close())
	})
}

func TestPutsGoOnWhenSpaceReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := fillDisk(t)
		require.NoError(t, d.put(t.Context(), d.checks, &d.checkd, 4000))
		time.Sleep(reserveRetry)
		require.ErrorIs(t, d.put(t.Context(), d.puts, &d.acked, 1), shardlog.ErrFull)
		d.fs.Limit(40 << 20)
		time.Sleep(reserveRetry)
		require.NoError(t, d.put(t.Context(), d.puts, &d.acked, 4000))
		require.True(t, d.e.reserve.whole)
		d.check(t)
		require.NoError(t, d.e.Close())
	})
}

func TestTheReserveEndsSometime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := fillDisk(t)
		var err error
		for range 10_000 {
			if err = d.put(t.Context(), d.checks, &d.checkd, 4000); err != nil {
				break
			}
		}
		require.ErrorIs(t, err, shardlog.ErrFull)
		require.NoError(t, d.e.Close())
		require.NotContains(t, snapshot(t, d.fs), reserveName)
		d.fs.Limit(0)
		d.open(t)
		d.check(t)
		require.NoError(t, d.e.Close())
	})
}

func TestAFullDiskMovesItsLogToSegmentsInTheReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := fillDisk(t)
		defer func() { _ = d.e.Close() }() // where it fails, tend would try for ever
		d.fs.Limit(19 << 20)               // nothing is left for a segment
		d.cfg.LogSize = 1 << 20
		d.e.mu.Lock()
		d.e.cfg.LogSize = d.cfg.LogSize
		d.e.mu.Unlock()
		d.e.nudge()
		time.Sleep(10 * tidyAgain)
		d.e.mu.Lock()
		require.LessOrEqual(t, d.e.logBytes, d.cfg.LogSize, "the log has its size")
		d.e.mu.Unlock()
		require.NoError(t, d.put(t.Context(), d.checks, &d.checkd, 1000))
		d.check(t)
		require.NoError(t, d.e.Close())
		d.open(t)
		d.check(t)
		tail, err := d.e.Tail(t.Context(), "puts")
		require.NoError(t, err)
		require.NoError(t, d.e.Trim(t.Context(), "puts", tail.Last+1))
		d.acked = nil
		time.Sleep(tidyAgain)
		d.puts, _, err = d.e.Claim(t.Context(), "puts", 3, "test")
		require.NoError(t, err, "segments were deleted")
		require.NoError(t, d.put(t.Context(), d.puts, &d.acked, 4000))
		d.check(t)
		require.NoError(t, d.e.Close())
	})
}

// TestAFileEndsOnceWhileNoFurtherOneCanBeMade: the disk is full just when the log goes on to its next file.
func TestAFileEndsOnceWhileNoFurtherOneCanBeMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fullDisk{fs: vfs.NewMem(), cfg: Config{FileSize: 64 << 10, HotTail: 1}}
		d.open(t)
		require.NoError(t, d.e.Create(t.Context(), "control"))
		require.NoError(t, d.e.Create(t.Context(), "puts"))
		d.claim(t, 1)
		d.fs.Fail(func(op, name string) error {
			if op == "create" {
				return &fs.PathError{Op: op, Path: name, Err: syscall.ENOSPC}
			}
			return nil
		})
		for d.put(t.Context(), d.puts, &d.acked, 1000) == nil {
		}
		for range 100 {
			require.ErrorIs(t, d.put(t.Context(), d.puts, &d.acked, 1), shardlog.ErrFull)
		}
		ends := func() (out []int) {
			d.e.mu.Lock()
			defer d.e.mu.Unlock()
			for _, f := range d.e.files {
				s, err := scan(f.f)
				require.NoError(t, err)
				n := 0
				for off := int64(headerSize); ; {
					g, _, err := s.group(off)
					if err != nil {
						break
					}
					if g.flags&flagEnd != 0 {
						n++
					}
					off += g.size()
				}
				out = append(out, n)
			}
			return out
		}
		require.Equal(t, []int{1}, ends())

		// What a power cut leaves then is a log as good as any other.
		cut := *d
		cut.fs = d.fs.CrashClone(nil)
		cut.open(t)
		cut.check(t)
		require.NoError(t, cut.e.Close())

		d.fs.Fail(nil)
		time.Sleep(reserveRetry)
		require.NoError(t, d.put(t.Context(), d.puts, &d.acked, 1000))
		require.Equal(t, []int{1, 0}, ends())
		d.check(t)
		require.NoError(t, d.e.Close())
		d.open(t)
		d.check(t)
		require.NoError(t, d.e.Close())
	})
}

// TestAFileThatEndsMoreThanOnceIsRead, as earlier versions left it behind a full disk.
func TestAFileThatEndsMoreThanOnceIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fullDisk{fs: vfs.NewMem(), cfg: Config{FileSize: 64 << 10, HotTail: 1}}
		d.open(t)
		require.NoError(t, d.e.Create(t.Context(), "control"))
		require.NoError(t, d.e.Create(t.Context(), "puts"))
		d.claim(t, 1)
		require.NoError(t, d.put(t.Context(), d.puts, &d.acked, 10))
		synctest.Wait()
		name := d.e.files[0].name
		text := d.fs.Get(name)
		sc, err := scan(d.e.files[0].f)
		require.NoError(t, err)
		var last group
		off := int64(headerSize)
		for {
			g, _, err := sc.group(off)
			if err != nil {
				break
			}
			last, off = g, off+g.size()
		}
		text = text[:off]
		for range 3 {
			g := group{file: last.file, number: last.number + 1, prev: last.crc, flags: flagEnd}
			b := make([]byte, g.size())
			g.seal(b)
			text, last = append(text, b...), g
		}
		cut := *d
		cut.fs = d.fs.CrashClone(nil)
		cut.fs.Set(name, text)
		cut.open(t)
		cut.check(t)
		require.NoError(t, cut.e.Close())
		require.NoError(t, d.e.Close())
	})
}
