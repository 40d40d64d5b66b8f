package local

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/vfs"
)

// BenchmarkColdRead catches up through segments that the operating system holds nothing of in memory.
func BenchmarkColdRead(b *testing.B) {
	const entries = 2000
	dir := b.TempDir()
	e, err := Open(vfs.OS{}, dir, Config{FileSize: 64 << 20, LogSize: 1, HotTail: 1, MoveRate: 1 << 40})
	require.NoError(b, err)
	defer func() { require.NoError(b, e.Close()) }()
	require.NoError(b, e.Create(b.Context(), "log"))
	w, _, err := e.Claim(b.Context(), "log", 1, "bench")
	require.NoError(b, err)
	batch := benchBatch(b)
	defer batch.Rows.Release()
	for range entries {
		_, err := w.Append(shardlog.Anywhere, batch).Wait(b.Context())
		require.NoError(b, err)
	}
	require.NoError(b, e.tidy())
	b.ReportAllocs()
	b.SetBytes(entries * benchRows * benchRow)
	for b.Loop() {
		b.StopTimer()
		for _, name := range onDisk(b, dir) {
			f, err := os.Open(name)
			require.NoError(b, err)
			require.NoError(b, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
			require.NoError(b, f.Close())
		}
		b.StartTimer()
		require.Equal(b, entries, count(b, e, 0))
	}
}
