//go:build unix

package faults

import (
	"bufio"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/vfs"
)

// cyclesOf is how many cycles a campaign has: those of an environment variable, those of a whole test, or few.
func cyclesOf(t *testing.T, variable string, whole, few int) int {
	t.Helper()
	if text := os.Getenv(variable); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err, variable)
		return n
	}
	if os.Getenv("REQUIRE_INTEGRATION") == "1" {
		return whole
	}
	return few
}

// perDirectory is how many children work on a directory after one another.
const perDirectory = 25

// TestWhatWasAcknowledgedSurvivesKill9 kills writers at random moments, and before and after chosen file-system calls;
// what they acknowledged is read back, in order and once. PENSTOCK_KILL_CYCLES says how often.
func TestWhatWasAcknowledgedSurvivesKill9(t *testing.T) {
	cycles := cyclesOf(t, "PENSTOCK_KILL_CYCLES", 1000, 50)
	rng := rand.New(rand.NewPCG(uint64(cycles), 5))
	sum := told{}
	for done := 0; done < cycles; {
		dir := filepath.Join(t.TempDir(), "data")
		know := newTold()
		for i := 0; i < perDirectory && done < cycles; i++ {
			done++
			know.child(t, dir, uint64(done), rng)
			if rng.IntN(3) == 0 { // else the next child opens what this one left
				know.look(t, dir)
			}
		}
		know.look(t, dir)
		require.NoError(t, os.RemoveAll(dir))
		sum.acked, sum.read, sum.missing, sum.extra = sum.acked+know.acked, sum.read+know.read, sum.missing+know.missing, sum.extra+know.extra
	}
	t.Logf("campaign=kill-log kills=%d acked=%d read=%d missing=%d extra=%d", cycles, sum.acked, sum.read, sum.missing, sum.extra)
	require.Positive(t, sum.acked)
}

// child starts a child, kills it, or lets it kill itself, and takes in what it told.
func (t *told) child(tb *testing.T, dir string, seed uint64, rng *rand.Rand) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	at := ""
	if rng.IntN(2) == 0 {
		at = dieAt(rng)
	}
	cmd := exec.CommandContext(ctx, os.Args[0]) //nolint:gosec // this very binary
	cmd.Env = append(os.Environ(), "PENSTOCK_FAULTS_DIR="+dir, "PENSTOCK_FAULTS_SEED="+strconv.FormatUint(seed, 10), "PENSTOCK_FAULTS_DIE_AT="+at)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe() // open until the end
	require.NoError(tb, err)
	defer in.Close() //nolint:errcheck // nothing was written
	r, w, err := os.Pipe()
	require.NoError(tb, err)
	cmd.ExtraFiles = []*os.File{w}
	require.NoError(tb, cmd.Start())
	require.NoError(tb, w.Close())
	// A quarter dies at a moment, perhaps of its start; a quarter a moment after it told so many things; half by their own
	// hand, or at last where the call does not come.
	wait, after := time.Duration(rng.IntN(40))*time.Millisecond, -1
	if at != "" {
		wait = 150 * time.Millisecond
	} else if rng.IntN(2) == 0 {
		wait, after = 2*time.Second, rng.IntN(100)
	}
	timer := time.AfterFunc(wait, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	var failed error
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if after--; after == 0 {
			timer.Reset(time.Duration(rng.IntN(1000)) * time.Microsecond)
		}
		failed = errors.Join(failed, t.hear(lines.Text()))
	}
	require.NoError(tb, errors.Join(lines.Err(), r.Close()))
	err = cmd.Wait()
	require.NoError(tb, failed, "child %d of %s", seed, dir)
	var exit *exec.ExitError
	require.ErrorAs(tb, err, &exit)
	status := exit.Sys().(syscall.WaitStatus)
	require.True(tb, status.Signaled() && status.Signal() == syscall.SIGKILL, "child %d ended by itself: %v", seed, err)
	t.kills++
}

// look opens the directory and compares everything in it.
func (t *told) look(tb *testing.T, dir string) {
	tb.Helper()
	n, err := openNode(tb.Context(), vfs.OS{}, dir, small)
	require.NoError(tb, err)
	defer func() { require.NoError(tb, n.close()) }()
	require.NoError(tb, t.verify(tb.Context(), n))
	require.Empty(tb, t.wrong, "missing %d, extra %d", t.missing, t.extra)
}
