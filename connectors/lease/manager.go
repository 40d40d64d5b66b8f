package lease

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/penstock/penstock/core/control"
)

// Config says how a worker takes and keeps leases.
type Config struct {
	Owner    string        // names this worker; no two running workers may share it
	Failover time.Duration // how long an unmoved counter must be seen before a lease may be taken. Default 10s
	// Exclusive says that no other worker can be alive, because this process alone holds the store: leases of other
	// owners are taken at once.
	Exclusive bool
}

// Manager takes leases for one worker and renews them.
type Manager struct {
	store Store
	cfg   Config

	mu   sync.Mutex
	held map[string]*Lease
	seen map[string]sighting
}

// sighting is when a lease's state was first seen to be what it is.
type sighting struct {
	state State
	since time.Time
}

// NewManager returns a manager that holds nothing and starts nothing.
func NewManager(store Store, cfg Config) *Manager {
	if cfg.Failover <= 0 {
		cfg.Failover = 10 * time.Second
	}
	return &Manager{store: store, cfg: cfg, held: map[string]*Lease{}, seen: map[string]sighting{}}
}

// Take takes the lease of key if nobody holds it or its holder has stood still for the failover time. ErrHeld
// otherwise: call again later, the manager remembers since when the holder has not moved.
func (m *Manager) Take(ctx context.Context, key string) (*Lease, error) {
	row, st, err := load(ctx, m.store, key)
	if err != nil {
		return nil, err
	}
	if l := m.holding(key); l != nil && l.ours(st) {
		return l, nil
	}
	if !m.takeable(key, st) {
		return nil, fmt.Errorf("%s is held by %q: %w", key, st.Owner, ErrHeld)
	}
	next := State{Owner: m.cfg.Owner, Epoch: st.Epoch + 1}
	_, err = m.store.Commit(ctx, control.Txn{
		Checks: []control.Check{{Key: key, Version: row.Version}},
		Writes: []control.Write{{Key: key, Value: encode(next)}},
	})
	switch {
	case errors.Is(err, control.ErrConflict):
		return nil, fmt.Errorf("%s was taken at the same time: %w", key, ErrHeld)
	case errors.Is(err, control.ErrUnknown):
		if _, st, err = load(ctx, m.store, key); err != nil {
			return nil, err
		} else if st != next {
			return nil, fmt.Errorf("%s: outcome unknown, now held by %q: %w", key, st.Owner, ErrHeld)
		}
	case err != nil:
		return nil, fmt.Errorf("take lease %s: %w", key, err)
	}
	l := &Lease{key: key, owner: next.Owner, epoch: next.Epoch, store: m.store, lost: make(chan struct{})}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held[key] = l
	delete(m.seen, key)
	return l, nil
}

// takeable reports whether a lease in state st may be taken now.
func (m *Manager) takeable(key string, st State) bool {
	if st.Owner == "" || m.cfg.Exclusive {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.seen[key]
	if !ok || s.state != st {
		m.seen[key] = sighting{st, time.Now()}
		return false
	}
	return time.Since(s.since) >= m.cfg.Failover
}

func (m *Manager) holding(key string) *Lease {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held[key]
}

// Run renews what is held, three times within the failover time, until ctx ends; nothing where there is nobody to see it.
// Errors of the store are retried: a lease that cannot be renewed will be taken by another worker, which is the failover
// working.
func (m *Manager) Run(ctx context.Context) {
	if m.cfg.Exclusive {
		return
	}
	t := time.NewTicker(m.cfg.Failover / 3)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			for _, l := range m.snapshot() {
				if err := m.renew(ctx, l); errors.Is(err, ErrLost) {
					m.forget(l)
				}
			}
		}
	}
}

func (m *Manager) snapshot() []*Lease {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.held))
}

func (m *Manager) forget(l *Lease) {
	l.markLost()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held[l.key] == l {
		delete(m.held, l.key)
	}
}

// renew bumps the counter of a lease that is still ours.
func (m *Manager) renew(ctx context.Context, l *Lease) error {
	row, st, err := load(ctx, m.store, l.key)
	if err != nil {
		return err
	}
	if !l.ours(st) {
		return ErrLost
	}
	st.Counter++
	_, err = m.store.Commit(ctx, control.Txn{
		Checks: []control.Check{{Key: l.key, Version: row.Version}},
		Writes: []control.Write{{Key: l.key, Value: encode(st)}},
	})
	return err
}

// Release gives a lease up so that another worker can take it at once. The epoch stays, so it still rises when taken.
func (m *Manager) Release(ctx context.Context, l *Lease) error {
	m.forget(l)
	row, st, err := load(ctx, m.store, l.key)
	if err != nil || !l.ours(st) {
		return err
	}
	_, err = m.store.Commit(ctx, control.Txn{
		Checks: []control.Check{{Key: l.key, Version: row.Version}},
		Writes: []control.Write{{Key: l.key, Value: encode(State{Epoch: st.Epoch, Counter: st.Counter})}},
	})
	if errors.Is(err, control.ErrConflict) {
		return nil // taken meanwhile
	}
	return err
}
