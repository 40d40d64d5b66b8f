package local

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/vfs"
)

// BenchmarkAppend has 16 writers, each with one append in flight: with a log that keeps its files, and with one whose
// files move to segments all the time.
func BenchmarkAppend(b *testing.B) {
	for name, cfg := range map[string]Config{
		"kept":           {FileSize: 64 << 20, LogSize: 1 << 40},
		"moving":         {FileSize: 16 << 20, LogSize: 1 << 20},
		"moving to zstd": {FileSize: 16 << 20, LogSize: 1 << 20, Compression: "zstd"},
	} {
		b.Run(name, func(b *testing.B) { benchmarkAppend(b, cfg) })
	}
}

const benchWriters = 16

func benchmarkAppend(b *testing.B, cfg Config) {
	b.Helper()
	e, err := Open(vfs.OS{}, b.TempDir(), cfg)
	require.NoError(b, err)
	defer func() { require.NoError(b, e.Close()) }()
	batch := benchBatch(b)
	defer batch.Rows.Release()
	work, took := make(chan struct{}), make([][]time.Duration, benchWriters)
	var wg sync.WaitGroup
	for i := range benchWriters {
		id := shardlog.LogID(fmt.Sprint("log-", i))
		require.NoError(b, e.Create(b.Context(), id))
		w, _, err := e.Claim(b.Context(), id, 1, "bench")
		require.NoError(b, err)
		wg.Go(func() {
			for range work {
				start := time.Now()
				if _, err := w.Append(shardlog.Anywhere, batch).Wait(b.Context()); err != nil {
					b.Error(err)
				}
				took[i] = append(took[i], time.Since(start))
			}
		})
	}
	b.ReportAllocs()
	b.SetBytes(benchRows * benchRow)
	for b.Loop() {
		work <- struct{}{}
	}
	close(work)
	wg.Wait()
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(all[len(all)-1].Microseconds()), "max-µs")
}

// BenchmarkRead reads a log from its beginning: from segments as they were just written, and from ones that are opened
// anew for each reading.
func BenchmarkRead(b *testing.B) {
	const entries = 2000
	for _, compression := range []string{"none", "lz4", "zstd"} {
		dir := filepath.Join(b.TempDir(), compression)
		cfg := Config{FileSize: 64 << 20, LogSize: 1, HotTail: 1, Compression: compression, MoveRate: 1 << 40}
		e, err := Open(vfs.OS{}, dir, cfg)
		require.NoError(b, err)
		require.NoError(b, e.Create(b.Context(), "log"))
		w, _, err := e.Claim(b.Context(), "log", 1, "bench")
		require.NoError(b, err)
		batch := benchBatch(b)
		for range entries {
			_, err := w.Append(shardlog.Anywhere, batch).Wait(b.Context())
			require.NoError(b, err)
		}
		batch.Rows.Release()
		require.NoError(b, e.tidy())
		b.Run("sequential "+compression, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(entries * benchRows * benchRow)
			for b.Loop() {
				require.Equal(b, entries, count(b, e, 0))
			}
		})
		require.NoError(b, e.Close())
		b.Run("opened anew "+compression, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(entries / 2 * benchRows * benchRow)
			for b.Loop() {
				e, err := Open(vfs.OS{}, dir, cfg)
				require.NoError(b, err)
				require.Equal(b, entries/2, count(b, e, entries/2+2))
				require.NoError(b, e.Close())
			}
		})
	}
}

func count(b *testing.B, e *Engine, from shardlog.Pos) (n int) {
	b.Helper()
	c, err := e.Read(b.Context(), "log", from, shardlog.ReadOpts{NoWait: true})
	require.NoError(b, err)
	for {
		if _, err := c.Next(b.Context()); err != nil {
			require.ErrorIs(b, err, shardlog.ErrTip)
			require.NoError(b, c.Close())
			return n
		}
		n++
	}
}
