// Package vfstest cuts the power of workloads over a vfs.Mem, at every file-system call they make, and looks at what a
// cut may leave. It knows nothing of what the workloads do.
package vfstest

import (
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/vfs"
)

// ErrCut is what calls return once the power is cut.
var ErrCut = errors.New("power cut")

// Cut is a power cut at the n-th call that is not a reading one: that call and all after it fail.
type Cut struct {
	n     int64
	calls atomic.Int64
}

// At returns a cut at the n-th call. Its Fail is for vfs.Mem.Fail.
func At(n int64) *Cut { return &Cut{n: n} }

// Fail counts a call, and fails it when the power is off.
func (c *Cut) Fail(op, _ string) error {
	if op != "read" && op != "open" && c.calls.Add(1) >= c.n {
		return ErrCut
	}
	return nil
}

// Came reports whether so many calls were made that the power was cut.
func (c *Cut) Came() bool { return c.calls.Load() >= c.n }

// Left is what the cut may leave: of what was not synced nothing for selection 0, everything for 1, else at random.
func (c *Cut) Left(fs *vfs.Mem, selection uint64) *vfs.Mem {
	switch selection {
	case 0:
		return fs.CrashClone(nil)
	case 1:
		return fs.Clone()
	}
	return fs.CrashClone(rand.New(rand.NewPCG(uint64(c.n), selection))) //nolint:gosec // n is small, and this is a test
}

// Life is one run of a workload.
type Life struct {
	Live  func(fs vfs.FS) error   // works until something fails
	Check func(left vfs.FS) error // looks at what a cut left; called for each selection
}

// EveryCall cuts the power at every call of workloads of the seeds 0, 1, ..., until at least a thousand states were looked
// at, or as many as PENSTOCK_CUT_STATES says. A life that ends without a cut must have succeeded.
func EveryCall(t *testing.T, campaign string, begin func(seed uint64) Life) {
	t.Helper()
	want, selections := 1000, uint64(8)
	if text := os.Getenv("PENSTOCK_CUT_STATES"); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err)
		want, selections = n, 22
	}
	states := 0
	for seed := uint64(0); states < want; seed++ {
		for n := int64(1); ; n++ {
			fs, cut, life := vfs.NewMem(), At(n), begin(seed)
			fs.Fail(cut.Fail)
			err := life.Live(fs)
			for sel := range selections {
				require.NoError(t, life.Check(cut.Left(fs, sel)), "seed %d, cut at call %d, selection %d", seed, n, sel)
				states++
			}
			if !cut.Came() {
				require.NoError(t, err)
				break
			}
		}
	}
	t.Logf("campaign=%s states=%d violations=0", campaign, states)
}
