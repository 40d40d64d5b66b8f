package lease

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/penstock/penstock/core/control"
)

// ErrLost says that another worker took the lease, or that it was given up. Stop without writing.
var ErrLost = errors.New("lease lost")

// Store is a table of rows with multi-key compare-and-swap: a *control.Store, or another with the same meaning. A row's
// version never comes back, not even when the row was deleted and made again.
type Store interface {
	Get(ctx context.Context, key string) (control.Row, bool, error)
	List(ctx context.Context, prefix string) ([]control.Row, error)
	Commit(ctx context.Context, t control.Txn) (int64, error)
}

// Lease is a lease that this worker took. It may be lost at any time; Check tells.
type Lease struct {
	name  string
	key   string
	owner string
	epoch int64
	store Store
	off   *guards

	once   sync.Once
	lost   chan struct{}
	known  atomic.Int64 // the version of the row when the manager last saw it, or wrote it
	wanted atomic.Bool
	bytes  atomic.Int64
	rate   rate // the manager's
}

// Name is the lease's name among those that the manager was told of.
func (l *Lease) Name() string { return l.name }

// Key is the lease's row.
func (l *Lease) Key() string { return l.key }

// Epoch is the epoch under which the lease was taken.
func (l *Lease) Epoch() int64 { return l.epoch }

// Lost is closed when the lease is known to be lost. That it is open proves nothing.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// Wanted reports whether a living worker asks for the lease: make durable what was read under it, and release it. Who
// does not is served until the asker's patience ends.
func (l *Lease) Wanted() bool { return l.wanted.Load() }

// Count adds to the bytes that were read under the lease: the load that workers spread among them.
func (l *Lease) Count(bytes int64) { l.bytes.Add(bytes) }

// Known is Check without a question to the store: it demands that the row is as the manager last saw it. A transaction that
// it makes fail may pass with Check.
func (l *Lease) Known() control.Check { return control.Check{Key: l.key, Version: l.known.Load()} }

// Check returns what a transaction must check so that it commits only while the lease is held, or ErrLost. A write of the
// row between Check and the commit makes the commit fail with control.ErrConflict: check again and retry.
func (l *Lease) Check(ctx context.Context) (control.Check, error) {
	row, ok, err := l.store.Get(ctx, l.key)
	if err != nil {
		return control.Check{}, err
	}
	st, known := decodeState(row.Value)
	if l.off.epoch {
		return control.Check{Key: l.key, Version: row.Version}, nil
	}
	if gone := l.isLost(); gone || !ok || !known || !l.ours(st) {
		if known && ok && !gone {
			l.markLost()
		}
		return control.Check{}, fmt.Errorf("%s is owned by %q in epoch %d: %w", l.key, st.Owner, st.Epoch, ErrLost)
	}
	return control.Check{Key: l.key, Version: row.Version}, nil
}

func (l *Lease) ours(st State) bool { return st.Owner == l.owner && st.Epoch == l.epoch }

func (l *Lease) markLost() { l.once.Do(func() { close(l.lost) }) }

func (l *Lease) isLost() bool {
	select {
	case <-l.lost:
		return true
	default:
		return false
	}
}

// Bounded is the optional capability of a Store whose transactions have a largest size.
type Bounded interface {
	// Shards is of how many shards one transaction may be: of the lease and the progress of each, and a few rows beside.
	Shards() int
}
