package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/penstock/penstock/core/control"
)

// Sentinels of this package.
var (
	// ErrLost: stop without writing. Another worker took the lease.
	ErrLost = errors.New("lease lost")
	// ErrHeld: try again later. Another worker holds the lease and renews it.
	ErrHeld = errors.New("lease held by another worker")
)

// Store is a table of rows with multi-key compare-and-swap: a *control.Store, or another with the same meaning.
type Store interface {
	Get(ctx context.Context, key string) (control.Row, bool, error)
	List(ctx context.Context, prefix string) ([]control.Row, error)
	Commit(ctx context.Context, t control.Txn) (int64, error)
}

// State is what a lease's row says.
type State struct {
	Owner   string `json:"owner"`
	Epoch   int64  `json:"epoch"`   // rises whenever the lease is taken
	Counter int64  `json:"counter"` // rises whenever it is renewed
}

// Lease is a lease that this worker took. It may be lost at any time; Check tells.
type Lease struct {
	key   string
	owner string
	epoch int64
	store Store

	once sync.Once
	lost chan struct{}
}

// Key is the lease's row.
func (l *Lease) Key() string { return l.key }

// Epoch is the epoch under which the lease was taken.
func (l *Lease) Epoch() int64 { return l.epoch }

// Lost is closed when the lease is known to be lost. That it is open proves nothing.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// Check returns what a transaction must check so that it commits only while the lease is held, or ErrLost. A renewal
// between Check and the commit makes the commit fail with control.ErrConflict: check again and retry.
func (l *Lease) Check(ctx context.Context) (control.Check, error) {
	row, st, err := load(ctx, l.store, l.key)
	if err != nil {
		return control.Check{}, err
	}
	if !l.ours(st) {
		l.markLost()
		return control.Check{}, fmt.Errorf("%s is owned by %q in epoch %d: %w", l.key, st.Owner, st.Epoch, ErrLost)
	}
	return control.Check{Key: l.key, Version: row.Version}, nil
}

func (l *Lease) ours(st State) bool { return st.Owner == l.owner && st.Epoch == l.epoch }

func (l *Lease) markLost() { l.once.Do(func() { close(l.lost) }) }

// load reads a lease's row; where there is none, the row's version is 0.
func load(ctx context.Context, store Store, key string) (control.Row, State, error) {
	row, ok, err := store.Get(ctx, key)
	if err != nil || !ok {
		return control.Row{Key: key}, State{}, err
	}
	var st State
	if err := json.Unmarshal(row.Value, &st); err != nil {
		return control.Row{}, State{}, fmt.Errorf("read lease %s: %w", key, err)
	}
	return row, st, nil
}

func encode(st State) []byte {
	b, err := json.Marshal(st)
	if err != nil {
		panic(err) // a struct of strings and integers always marshals
	}
	return b
}
