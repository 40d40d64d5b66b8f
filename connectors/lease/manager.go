package lease

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Manager keeps the leases of one worker: it takes those that fall to it, renews them, and gives up those that another
// worker should have.
type Manager struct {
	store Store
	cfg   Config
	off   guards
	now   func() time.Duration // a monotonic clock

	mind    *mind // of the goroutine that makes rounds
	beats   int64
	asks    chan chan error // for a round
	changed chan struct{}

	mu        sync.Mutex // guards what follows
	shards    map[string]bool
	held      map[string]*Lease
	releasing map[string]bool

	looked      bool          // a round has come to its end
	first, last time.Duration // when the first such one began, and the last
}

// NewManager returns a manager that holds nothing and starts nothing.
func NewManager(store Store, cfg Config) *Manager {
	began := time.Now()
	m := &Manager{
		store: store, cfg: cfg.withDefaults(), now: func() time.Duration { return time.Since(began) },
		asks: make(chan chan error), changed: make(chan struct{}, 1),
		held: map[string]*Lease{}, releasing: map[string]bool{},
	}
	m.mind = newMind(m.cfg, &m.off)
	return m
}

// Share says which shards there are, and whether each may be read now: it is open to readers, and its parents were read to
// their ends. A lease of one that is known, and may not be read, is given up and its row deleted; one of a shard that is
// not known any more is kept, since another worker may know better.
func (m *Manager) Share(shards map[string]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shards = maps.Clone(shards)
}

// Held are the leases that are held, as far as this worker knows, in order of their names.
func (m *Manager) Held() []*Lease {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Values(m.held), func(a, b *Lease) int { return strings.Compare(a.name, b.name) })
}

// Failover is how long an owner must be seen to stand still before its leases may be taken.
func (m *Manager) Failover() time.Duration { return m.cfg.Failover }

// Watched reports whether the rows have been looked at for so long, and lately, that the leases of those who died before are taken
// from them.
func (m *Manager) Watched() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cfg.Exclusive || m.looked && m.now()-m.first > 2*m.cfg.Failover && m.now()-m.last < m.cfg.Failover
}

// Changed receives something after leases were taken, lost, or asked for by another worker.
func (m *Manager) Changed() <-chan struct{} { return m.changed }

// Run looks at the rows and does what they call for, until ctx ends. Errors of the store are retried: leases that cannot
// be renewed will be taken by another worker, which is the failover working.
func (m *Manager) Run(ctx context.Context) {
	var asker chan error
	for ctx.Err() == nil {
		limited, cancel := context.WithTimeout(ctx, m.cfg.Failover) // what takes longer is of no use
		began := m.now()
		wait, err := m.round(limited)
		if err == nil {
			m.noteRound(began)
		}
		if err != nil && limited.Err() != nil {
			err = errors.Join(errLate, err)
		}
		cancel()
		if asker != nil {
			asker <- err
			asker = nil
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-t.C:
		case asker = <-m.asks:
		}
		t.Stop()
	}
}

func (m *Manager) noteRound(began time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.looked {
		m.looked, m.first = true, began
	}
	m.last = began
}

// errLate says that the store did not answer within the failover time.
var errLate = errors.New("the round took too long")

// Sync waits until Run has made a round that began after the call. While the store cannot be reached it goes on waiting.
func (m *Manager) Sync(ctx context.Context) error {
	for {
		answer := make(chan error, 1)
		select {
		case m.asks <- answer:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case err := <-answer:
			if !errors.Is(err, errLate) {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// round reads the rows once and acts on them. It returns when to do so again.
func (m *Manager) round(ctx context.Context) (time.Duration, error) {
	asked := m.now()
	rows, err := m.store.List(ctx, m.cfg.Prefix)
	if err != nil {
		return m.cfg.look(), err
	}
	came := m.now()
	t := m.told()
	for _, l := range t.held {
		l.rate.measure(came, l.bytes.Load(), smooth*m.cfg.Failover)
	}
	m.mind.see(rows, t, asked, came)
	do := m.mind.decide()
	err = m.carryOut(ctx, do)
	if errors.Is(err, errBehind) {
		return m.cfg.look() / 4, nil
	}
	return max(do.next-(m.now()-came), time.Millisecond), err
}

func (m *Manager) told() told {
	m.mu.Lock()
	defer m.mu.Unlock()
	return told{m.shards, maps.Clone(m.held), maps.Clone(m.releasing)}
}

// holds reports whether a lease is still held.
func (m *Manager) holds(l *Lease) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return l != nil && m.held[l.name] == l
}

func (m *Manager) forget(l *Lease) {
	l.markLost()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held[l.name] == l {
		delete(m.held, l.name)
	}
}

func (m *Manager) tell() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}
