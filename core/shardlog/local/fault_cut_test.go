package local

import (
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/vfs"
	"github.com/penstock/penstock/core/vfs/vfstest"
)

// number is the size of a campaign: that of an environment variable, or another.
func number(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, variable)
	return n
}

// TestPowerCutsAtEveryCallOfEveryWorkload stops workloads at each of their file-system calls, and of what was not
// synced then keeps nothing, everything, or twenty random selections of its sectors and names. PENSTOCK_CUT_STATES says
// how many such states are looked at.
func TestPowerCutsAtEveryCallOfEveryWorkload(t *testing.T) {
	t.Parallel()
	want := 10_000
	if os.Getenv("REQUIRE_INTEGRATION") == "1" && !slow {
		want = 110_000
	}
	want = number(t, "PENSTOCK_CUT_STATES", want)
	states, distinct, points, runs := 0, 0, 0, 0
	all := workloads()
	if slow {
		want, all = 1000, all[:4]
	}
	for seed := uint64(0); states < want || runs < len(all); seed++ {
		w := randomWorkload(seed)
		if runs < len(all) {
			w, seed = all[runs], 0
		}
		runs++
		for n := int64(1); ; n++ {
			cut := vfstest.At(n)
			d := newDriver(w.cfg, cut.Fail)
			err := d.run(t.Context(), w.steps)
			points++
			s, u := cutStates(t, d, w, cut, n)
			states, distinct = states+s, distinct+u
			if !cut.Came() {
				require.NoError(t, err, w.name)
				break
			}
		}
	}
	t.Logf("campaign=cut workloads=%d points=%d states=%d distinct=%d violations=0", runs, points, states, distinct)
}

// cutStates checks what a power cut may leave of a workload that was stopped at its n-th call.
func cutStates(t *testing.T, d *driver, w workload, cut *vfstest.Cut, n int64) (states, distinct int) {
	t.Helper()
	seen := map[uint64]bool{}
	for seed := range uint64(22) {
		left := cut.Left(d.fs, seed)
		states++
		if h := imageHash(t, left); seen[h] {
			continue
		} else {
			seen[h] = true
		}
		distinct++
		if err := d.check(t, left); err != nil {
			t.Fatalf("%s, cut at call %d, selection %d: %v\n%s", w.name, n, seed, err, fmt.Sprint(w.steps))
		}
	}
	return states, distinct
}

// namesUnder are the files in a folder, and in the folders in it.
func namesUnder(t *testing.T, fs *vfs.Mem, dir string) (out []string) {
	t.Helper()
	names, err := fs.List(dir)
	require.NoError(t, err)
	for _, name := range names {
		inside := namesUnder(t, fs, filepath.Join(dir, name))
		if len(inside) == 0 {
			inside = []string{filepath.Join(dir, name)}
		}
		out = append(out, inside...)
	}
	return out
}

var imageSeed = maphash.MakeSeed()

// imageHash tells images apart.
func imageHash(t *testing.T, fs *vfs.Mem) uint64 {
	t.Helper()
	var h maphash.Hash
	h.SetSeed(imageSeed)
	for _, name := range namesUnder(t, fs, "/log") {
		b := fs.Get(name)
		_, _ = fmt.Fprintf(&h, "%s %d\n", name, len(b)) // a hash takes everything
		h.Write(b)
	}
	return h.Sum64()
}
