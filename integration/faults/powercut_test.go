//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestWhatWasAcknowledgedSurvivesAPowerCut shuts down real file systems without writing their journals, which is what a
// power cut does, at random moments and at chosen file-system calls. PENSTOCK_POWER_CUTS says how often, for each.
func TestWhatWasAcknowledgedSurvivesAPowerCut(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			disk := newDisk(t, kind)
			cuts := cyclesOf(t, "PENSTOCK_POWER_CUTS", 300, 10)
			rng := rand.New(rand.NewPCG(uint64(cuts), 9))
			sum := told{}
			for done := 0; done < cuts; {
				dir := filepath.Join(disk.mount, fmt.Sprint("data-", done))
				know := newTold()
				for i := 0; i < perDirectory && done < cuts; i++ {
					done++
					know.cut(t, disk, dir, uint64(done), rng)
					if rng.IntN(2) == 0 {
						know.look(t, dir)
					}
				}
				know.look(t, dir)
				require.NoError(t, os.RemoveAll(dir))
				disk.sync(t) // else the next cut brings the directory back
				sum.acked, sum.read, sum.missing, sum.extra = sum.acked+know.acked, sum.read+know.read, sum.missing+know.missing, sum.extra+know.extra
				sum.unheard, sum.segments, sum.halfway = sum.unheard+know.unheard, sum.segments+know.segments, sum.halfway+know.halfway
			}
			t.Logf("campaign=power-cut fs=%s cuts=%d acked=%d unheard=%d read=%d missing=%d extra=%d with_segments=%d with_half_a_segment=%d",
				kind, cuts, sum.acked, sum.unheard, sum.read, sum.missing, sum.extra, sum.segments, sum.halfway)
			require.Positive(t, sum.acked)
			if cuts >= 100 {
				require.Positive(t, sum.segments, "no segment was ever made")
				require.Positive(t, sum.halfway, "no cut came while a segment was made")
			}
		})
	}
}

// cut works on a directory of the disk until the power goes, and switches it on again.
func (t *told) cut(tb *testing.T, disk *disk, dir string, seed uint64, rng *rand.Rand) {
	tb.Helper()
	var mu sync.Mutex
	var once sync.Once
	var off atomic.Bool
	cut := func() {
		once.Do(func() {
			off.Store(true)
			disk.cut(tb)
		})
	}
	at := ""
	wait := time.Duration(rng.IntN(50)) * time.Millisecond
	if rng.IntN(2) == 0 {
		at, wait = dieAt(rng), 200*time.Millisecond
	}
	timer := time.AfterFunc(wait, cut)
	c := newChild(seed, func(line string) {
		mu.Lock()
		defer mu.Unlock()
		if off.Load() { // nobody hears a machine without power, and ext4 now and then calls a sync done that the shutdown overtook
			t.late(line)
			return
		}
		_ = t.hear(line)
	})
	err := c.work(context.Background(), dyingFrom(at, cut), dir)
	timer.Stop()
	require.True(tb, off.Load(), "it failed with the power on: %v", err)
	cut() // waits until it is done
	disk.on(tb)
	t.kills++
	t.count(tb, dir)
}

// count looks what the cut left of segments.
func (t *told) count(tb testing.TB, dir string) {
	tb.Helper()
	whole, half := 0, 0
	err := filepath.WalkDir(filepath.Join(dir, "log", "segments"), func(name string, _ fs.DirEntry, err error) error {
		switch {
		case strings.HasSuffix(name, ".tmp"):
			half++
		case strings.HasSuffix(name, ".arrow"):
			whole++
		}
		return err
	})
	if !errors.Is(err, fs.ErrNotExist) {
		require.NoError(tb, err)
	}
	t.segments, t.halfway = t.segments+min(whole, 1), t.halfway+min(half, 1)
}

// disk is a file system in an image file.
type disk struct {
	kind, device, mount string
}

// newDisk makes a file system, or skips the test and says what it needs.
func newDisk(t *testing.T, kind string) *disk {
	t.Helper()
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skipf("NOT TESTED: power cuts on %s need loop devices, and this machine has none: %v", kind, err)
	}
	need(t, os.Geteuid() == 0, "a power cut needs root, to mount a file system")
	for _, tool := range []string{"mkfs." + kind, "losetup"} {
		_, err := exec.LookPath(tool)
		need(t, err == nil, "a power cut on "+kind+" needs the command "+tool+" (packages e2fsprogs, xfsprogs, util-linux)")
	}
	dir := t.TempDir()
	image := filepath.Join(dir, "image")
	require.NoError(t, os.WriteFile(image, nil, 0o600))
	require.NoError(t, os.Truncate(image, 400<<20)) // the least that xfs takes is 300 MiB
	command(t, "mkfs."+kind, "-q", image)
	d := &disk{kind: kind, mount: filepath.Join(dir, "mount")}
	require.NoError(t, os.Mkdir(d.mount, 0o700))
	d.device = strings.TrimSpace(command(t, "losetup", "--find", "--show", image))
	t.Cleanup(func() {
		_ = unix.Unmount(d.mount, unix.MNT_DETACH) // even where a test that failed left a file open
		command(t, "losetup", "--detach", d.device)
	})
	require.NoError(t, unix.Mount(d.device, d.mount, kind, 0, ""))
	return d
}

// need skips a test, or fails it where everything must be there.
func need(t *testing.T, ok bool, what string) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv("REQUIRE_INTEGRATION") == "1":
		t.Fatal(what)
	default:
		t.Skip(what)
	}
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	var errs strings.Builder
	cmd := exec.Command(name, args...) //nolint:gosec // the test's own commands
	cmd.Stderr = &errs
	out, err := cmd.Output()
	require.NoError(t, err, "%s: %s", name, errs.String())
	return string(out)
}

// The call that ends a file system at once, and its way of doing so without writing the journal.
const (
	fsIocShutdown = 0x8004587d
	noLogFlush    = 2
)

// cut takes the power: every later call fails, and what was not synced is gone.
func (d *disk) cut(tb testing.TB) {
	f, err := os.Open(d.mount)
	if err == nil {
		err = errors.Join(unix.IoctlSetPointerInt(int(f.Fd()), fsIocShutdown, noLogFlush), f.Close()) //nolint:gosec // a file descriptor fits
	}
	if err != nil {
		tb.Error("shut down the file system:", err)
	}
}

// sync makes everything of the file system durable.
func (d *disk) sync(tb testing.TB) {
	tb.Helper()
	f, err := os.Open(d.mount)
	require.NoError(tb, err)
	defer f.Close() //nolint:errcheck // only read
	require.NoError(tb, unix.Syncfs(int(f.Fd())))
}

// on mounts the file system again, which replays its journal.
func (d *disk) on(tb testing.TB) {
	tb.Helper()
	require.NoError(tb, unix.Unmount(d.mount, 0))
	require.NoError(tb, unix.Mount(d.device, d.mount, d.kind, 0, ""))
}
