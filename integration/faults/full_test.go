//go:build linux

package faults

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/core/vfs"
)

// tmpfs mounts a file system of so many bytes.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	need(t, os.Geteuid() == 0, "a full disk needs root, to mount a file system")
	dir := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

// TestAFullDiskRefusesPutsAndLosesNothing fills a disk of 64 MiB: puts are refused with an error that names the
// directory, while reads and the control store go on and the node can be started; when space returns, so do puts.
func TestAFullDiskRefusesPutsAndLosesNothing(t *testing.T) {
	disks := map[string]func(*testing.T) string{
		"tmpfs": func(t *testing.T) string { return tmpfs(t, "64m") },
		"ext4":  func(t *testing.T) string { return newDisk(t, "ext4").mount },
		"xfs":   func(t *testing.T) string { return newDisk(t, "xfs").mount },
	}
	for kind, disk := range disks {
		if kind != "tmpfs" && os.Getenv("REQUIRE_INTEGRATION") != "1" {
			continue // the others take their time
		}
		t.Run(kind, func(t *testing.T) {
			full(t, kind, disk(t))
		})
	}
}

func full(t *testing.T, kind, dir string) {
	ctx := t.Context()
	cfg := local.Config{FileSize: 4 << 20, HotTail: 1 << 20, Reserve: 16 << 20, Vital: []shardlog.LogID{controlLog}}
	ballast := filepath.Join(dir, "ballast")
	if kind != "tmpfs" { // leave about as much as the other has
		var st unix.Statfs_t
		require.NoError(t, unix.Statfs(dir, &st))
		allocate(t, ballast, int64(st.Bavail)*st.Bsize-(64<<20)) //nolint:gosec // a block size fits
	}
	data := filepath.Join(dir, "data")
	n, err := openNode(ctx, vfs.OS{}, data, cfg)
	require.NoError(t, err)
	_, err = n.streams.Create(ctx, mainStream, stream.Settings{Shards: shards})
	require.NoError(t, err)
	know := newTold()
	require.NoError(t, know.hear("created\t"+string(mainStream)))
	c := newChild(1, hearing(t, know))
	c.node, c.padding = n, 60_000
	err = c.write(ctx, c.rng, mainStream, 0, 1<<30)
	require.ErrorIs(t, err, shardlog.ErrFull)
	require.ErrorContains(t, err, data)
	require.Greater(t, know.acked, 500)

	commits := 0
	for range 300 { // more than fits into what is left
		commits++
		_, err := n.control.Commit(ctx, control.Txn{Writes: []control.Write{{Key: "checkpoint", Value: make([]byte, 20_000)}}})
		require.NoError(t, err, "commit %d", commits)
	}
	require.ErrorIs(t, c.write(ctx, c.rng, mainStream, 1, 1), shardlog.ErrFull)
	require.NoError(t, know.verify(ctx, n))
	require.NoError(t, n.close())
	n, err = openNode(ctx, vfs.OS{}, data, cfg)
	require.NoError(t, err, "a node starts on a full disk")
	c.node = n
	require.NoError(t, know.verify(ctx, n))
	require.ErrorIs(t, c.write(ctx, c.rng, mainStream, 2, 1), shardlog.ErrFull)

	if kind == "tmpfs" {
		require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=128m"))
	} else {
		require.NoError(t, os.Remove(ballast))
	}
	since := time.Now()
	for i := 3; ; i++ {
		if err = c.write(ctx, c.rng, mainStream, i, 1); err == nil || time.Since(since) > 5*time.Second {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	require.NoError(t, err)
	back := time.Since(since)
	require.NoError(t, know.verify(ctx, n))
	require.NoError(t, n.close())
	require.Empty(t, know.wrong)
	t.Logf("campaign=disk-full fs=%s acked=%d commits=%d back_after=%s missing=%d extra=%d", kind, know.acked, commits, back.Round(time.Millisecond), know.missing, know.extra)
}

// hearing takes in what children of this process tell.
func hearing(tb testing.TB, know *told) func(string) {
	tb.Helper()
	var mu sync.Mutex
	return func(line string) {
		mu.Lock()
		defer mu.Unlock()
		if err := know.hear(line); err != nil {
			tb.Error(err)
		}
	}
}

// allocate makes a file that takes so much space.
func allocate(t *testing.T, name string, size int64) {
	t.Helper()
	f, err := os.Create(name)
	require.NoError(t, err)
	require.NoError(t, unix.Fallocate(int(f.Fd()), 0, 0, size)) //nolint:gosec // a file descriptor fits
	require.NoError(t, f.Close())
}

// TestATrimFreesAFullDisk fills a disk with records and lets them go.
func TestATrimFreesAFullDisk(t *testing.T) {
	ctx := context.WithoutCancel(t.Context())
	data := filepath.Join(tmpfs(t, "64m"), "data")
	cfg := local.Config{FileSize: 4 << 20, HotTail: 1 << 20, Reserve: 16 << 20, Vital: []shardlog.LogID{controlLog}}
	n, err := openNode(ctx, vfs.OS{}, data, cfg)
	require.NoError(t, err)
	_, err = n.streams.Create(ctx, mainStream, stream.Settings{Shards: shards})
	require.NoError(t, err)
	c := newChild(1, func(string) {})
	c.node, c.padding = n, 60_000
	require.ErrorIs(t, c.write(ctx, c.rng, mainStream, 0, 1<<30), shardlog.ErrFull)
	for range 20 { // enough for a snapshot, so that the control log leaves the oldest files
		_, err := n.control.Commit(ctx, control.Txn{Writes: []control.Write{{Key: "checkpoint", Value: make([]byte, 2000)}}})
		require.NoError(t, err)
	}
	require.NoError(t, n.trim(ctx, time.Now().Add(time.Second)))
	require.Eventually(t, func() bool { return c.write(ctx, c.rng, mainStream, 1, 100) == nil }, 5*time.Second, 20*time.Millisecond)
	var st unix.Statfs_t
	require.NoError(t, unix.Statfs(data, &st))
	require.Greater(t, int64(st.Bavail)*st.Bsize, int64(24<<20)) //nolint:gosec // a block size fits
	require.NoError(t, n.close())
}
