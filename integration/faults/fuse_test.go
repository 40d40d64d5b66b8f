//go:build linux

package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/core/vfs"
)

// badDisk says what goes wrong on a file system, and watches what is done with a file whose fsync failed.
type badDisk struct {
	mu      sync.Mutex
	failAt  int // the fsync that fails with EIO; 0 for none
	syncs   int
	full    bool // writes and allocations get ENOSPC
	unclean map[*badFile]bool
	misuse  []string
}

func (d *badDisk) sync(f *badFile) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.syncs++
	if d.unclean[f] {
		d.misuse = append(d.misuse, "fsync")
	}
	if d.syncs == d.failAt {
		d.unclean[f] = true
		return syscall.EIO
	}
	return 0
}

func (d *badDisk) write(f *badFile) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.unclean[f] {
		d.misuse = append(d.misuse, "write")
	}
	if d.full {
		return syscall.ENOSPC
	}
	return 0
}

func (d *badDisk) set(failAt int, full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failAt, d.full, d.syncs = failAt, full, 0
}

// badNode is a loopback file or folder of a bad disk.
type badNode struct {
	*fs.LoopbackNode
	disk *badDisk
}

// WrapChild makes every node below one of these.
func (n *badNode) WrapChild(_ context.Context, ops fs.InodeEmbedder) fs.InodeEmbedder {
	return &badNode{ops.(*fs.LoopbackNode), n.disk}
}

type badFile struct {
	*fs.LoopbackFile
	disk *badDisk
}

func (f *badFile) Fsync(ctx context.Context, flags uint32) syscall.Errno {
	if e := f.disk.sync(f); e != 0 {
		return e
	}
	return f.LoopbackFile.Fsync(ctx, flags)
}

func (f *badFile) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	if e := f.disk.write(f); e != 0 {
		return 0, e
	}
	return f.LoopbackFile.Write(ctx, data, off)
}

func (f *badFile) Allocate(ctx context.Context, off, size uint64, mode uint32) syscall.Errno {
	if e := f.disk.write(f); e != 0 {
		return e
	}
	return f.LoopbackFile.Allocate(ctx, off, size, mode)
}

func (n *badNode) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	inode, h, fl, e := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	if e == 0 {
		h = &badFile{h.(*fs.LoopbackFile), n.disk}
	}
	return inode, h, fl, e
}

func (n *badNode) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, fl, e := n.LoopbackNode.Open(ctx, flags)
	if e == 0 {
		h = &badFile{h.(*fs.LoopbackFile), n.disk}
	}
	return h, fl, e
}

// mountBad mounts a bad disk, or skips the test and says what it needs.
func mountBad(t *testing.T) (string, *badDisk) {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skipf("NOT TESTED: a disk whose fsync fails needs FUSE, and this machine has none: %v", err)
	}
	need(t, os.Geteuid() == 0, "a disk whose fsync fails needs root, to mount it")
	dir := t.TempDir()
	back, mount := filepath.Join(dir, "back"), filepath.Join(dir, "mount")
	require.NoError(t, os.Mkdir(back, 0o700))
	require.NoError(t, os.Mkdir(mount, 0o700))
	disk := &badDisk{unclean: map[*badFile]bool{}}
	root := &fs.LoopbackRoot{Path: back}
	root.RootNode = &badNode{&fs.LoopbackNode{RootData: root}, disk}
	srv, err := fs.Mount(mount, root.RootNode, &fs.Options{MountOptions: fuse.MountOptions{DirectMount: true}})
	need(t, err == nil, fmt.Sprint("a disk whose fsync fails needs FUSE: ", err))
	t.Cleanup(func() { require.NoError(t, srv.Unmount()) })
	return mount, disk
}

// TestAFailedFsyncIsTheEndUntilTheNextStart makes the n-th fsync fail, for each n of a node's life: nothing is
// acknowledged after it, its file is not used again, and the next start has all that was acknowledged.
func TestAFailedFsyncIsTheEndUntilTheNextStart(t *testing.T) {
	mount, disk := mountBad(t)
	sum := told{}
	most := cyclesOf(t, "PENSTOCK_FSYNCS", 120, 40)
	for n := 1; n <= most; n++ {
		data := filepath.Join(mount, fmt.Sprint("data-", n))
		know := newTold()
		disk.set(n, false)
		c := newChild(uint64(n), hearing(t, know)) //nolint:gosec // it is small
		err := c.work(context.WithoutCancel(t.Context()), vfs.OS{}, data)
		require.ErrorIs(t, err, syscall.EIO, "fsync %d", n)
		if c.node != nil {
			require.ErrorIs(t, err, shardlog.ErrUnknown)
			select {
			case <-c.node.engine.Failed():
			default:
				t.Fatalf("fsync %d failed, but the log goes on", n)
			}
		}
		disk.set(0, false)
		know.kills++
		know.look(t, data)
		sum.acked, sum.read, sum.missing, sum.extra = sum.acked+know.acked, sum.read+know.read, sum.missing+know.missing, sum.extra+know.extra
		require.NoError(t, os.RemoveAll(data))
	}
	require.Empty(t, disk.misuse)
	t.Logf("campaign=fsync-fails runs=%d acked=%d read=%d missing=%d extra=%d", most, sum.acked, sum.read, sum.missing, sum.extra)
}

// TestAFullFUSEDiskRefusesDefinitely lets every write fail for want of space, and then none.
func TestAFullFUSEDiskRefusesDefinitely(t *testing.T) {
	mount, disk := mountBad(t)
	ctx := t.Context()
	n, err := openNode(ctx, vfs.OS{}, filepath.Join(mount, "data"), small)
	require.NoError(t, err)
	_, err = n.streams.Create(ctx, mainStream, stream.Settings{Shards: shards})
	require.NoError(t, err)
	know := newTold()
	require.NoError(t, know.hear("created\t"+string(mainStream)))
	c := newChild(1, hearing(t, know))
	c.node = n
	require.NoError(t, c.write(ctx, c.rng, mainStream, 0, 20))
	disk.set(0, true)
	err = c.write(ctx, c.rng, mainStream, 1, 1000)
	require.ErrorIs(t, err, shardlog.ErrFull)
	require.NotErrorIs(t, err, shardlog.ErrUnknown)
	disk.set(0, false)
	require.NoError(t, c.write(ctx, c.rng, mainStream, 2, 20))
	require.NoError(t, know.verify(ctx, n))
	require.NoError(t, n.close())
	require.Empty(t, know.wrong)
}
