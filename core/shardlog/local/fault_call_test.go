package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/vfs"
)

// fault makes the n-th file-system call fail, and watches what is done with a file whose sync failed.
type fault struct {
	mu      sync.Mutex
	cause   error
	n       int
	calls   int
	hit     string          // op of the call that failed
	unclean map[string]bool // files whose sync failed and that are still open
	misuse  error
}

func (f *fault) ask(op, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	switch {
	case op == "create" || op == "open":
		delete(f.unclean, name) // another descriptor
	case f.unclean[name] && (op == "sync" || op == "write"):
		f.misuse = fmt.Errorf("%s of %s, whose sync failed before", op, name)
	}
	if f.calls != f.n || errors.Is(f.cause, io.ErrShortWrite) && op != "write" {
		return nil
	}
	f.hit = op
	if op == "sync" {
		f.unclean[name] = true
	}
	return f.cause
}

// failed is the op of the call that failed, if one did.
func (f *fault) failed() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hit
}

// TestTheNthCallFails lets each file-system call of every workload fail, in two ways, or where everything must be tested in five: nothing is acknowledged that a
// power cut then takes, a file whose sync failed is not used any more, a full disk refuses definitely and leaves the log
// usable, and anything else poisons it until it is opened again.
func TestTheNthCallFails(t *testing.T) {
	t.Parallel()
	causes := []error{syscall.EIO, syscall.ENOSPC}
	if os.Getenv("REQUIRE_INTEGRATION") == "1" {
		causes = append(causes, syscall.EINTR, syscall.EMFILE, io.ErrShortWrite)
	}
	runs, poisoned, refused := 0, 0, 0
	for i, w := range append(workloads(), randomWorkload(1), randomWorkload(2)) {
		if slow && i%5 != 0 {
			continue
		}
		for _, cause := range causes {
			for n := 1; ; n++ {
				f := &fault{cause: cause, n: n, unclean: map[string]bool{}}
				d := newDriver(w.cfg, f.ask)
				where := fmt.Sprintf("%s: call %d: %v", w.name, n, cause)
				p, r := d.survive(t, w.steps, f, where)
				runs, poisoned, refused = runs+1, poisoned+p, refused+r
				require.NoError(t, f.misuse, where)
				for name, left := range map[string]*vfs.Mem{"kept": d.fs.Clone(), "cut": d.fs.CrashClone(nil)} {
					require.NoError(t, d.check(t, left), "%s (%s), %s", where, f.failed(), name)
				}
				if f.calls < n {
					break
				}
			}
		}
	}
	t.Logf("campaign=nth-call runs=%d poisoned=%d refused=%d violations=0", runs, poisoned, refused)
	require.Positive(t, poisoned)
	require.Positive(t, refused)
}

// survive runs the steps as a service does that is started again when its log is poisoned.
func (d *driver) survive(t *testing.T, steps []step, f *fault, where string) (poisoned, refused int) {
	t.Helper()
	defer d.end()
	ctx := t.Context()
	d.reopen(ctx, t, f, where)
	for _, s := range steps {
		before := f.failed()
		err := d.do(ctx, s)
		full := before == "" && f.failed() != "" && errors.Is(f.cause, syscall.ENOSPC) && (f.failed() == "write" || f.failed() == "allocate")
		switch {
		case err == nil && full:
			refused++
		case err == nil:
		case s.do == "reopen" || s.do == "kill":
			unharmed(t, err, "%s (%s), step %v", where, f.failed(), s)
			d.reopen(ctx, t, f, where)
		default:
			unharmed(t, err, "%s (%s), step %v", where, f.failed(), s)
			require.False(t, full, "%s: a full disk must refuse, not poison: %v", where, err)
			select {
			case <-d.e.Failed():
			default:
				t.Fatalf("%s: %v, but the log is not poisoned", where, err)
			}
			poisoned++
			d.abandon()
			d.reopen(ctx, t, f, where)
		}
	}
	return poisoned, refused
}

// unharmed demands that an error is of the fault, and of nothing that the engine lost or damaged.
func unharmed(t *testing.T, err error, where string, args ...any) {
	t.Helper()
	require.NotErrorIs(t, err, shardlog.ErrCorrupt, append([]any{where}, args...)...)
	require.NotErrorIs(t, err, errWrong, append([]any{where}, args...)...)
}

// abandon leaves the engine as a process does that ends.
func (d *driver) abandon() {
	d.left = append(d.left, d.e)
	d.e = nil
	d.fs = d.fs.Clone() // without the lock
	d.fs.Fail(d.fail)
}

// reopen opens the log, a second time where the fault fell into the first.
func (d *driver) reopen(ctx context.Context, t *testing.T, f *fault, where string) {
	t.Helper()
	for range 2 {
		var err error
		if d.e == nil {
			err = d.open(ctx)
		} else {
			err = d.settle(ctx)
		}
		if err == nil {
			return
		}
		unharmed(t, err, "%s (%s)", where, f.failed())
		if d.e != nil && d.e.poisoned() != nil { // files are let go in the background as soon as it is open
			d.abandon()
		}
	}
	t.Fatalf("%s (%s): it cannot be opened", where, f.failed())
}
