package lease

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/core/control"
)

// mind is what a worker knows of the others: every row as it was last seen, and since when it is so, on this worker's own
// monotonic clock.
type mind struct {
	cfg     Config
	off     *guards
	leases  map[string]*sight  // by name
	order   []*sight           // the same, in order of their names
	members map[string]*moving // by name
	round   int64

	asked  time.Duration // when the rows were asked for that were seen last
	now    time.Duration // when they came: they may be as old as asked
	beaten time.Duration // when this worker's last beat was made
	uneven time.Duration // since when this worker is to get leases of others; negative: it is not
	heavy  time.Duration // likewise, to even out the load
}

// sight is a lease as it was last seen.
type sight struct {
	name    string
	row     control.Row // its version is 0 where there is none
	state   State
	foreign bool          // the row is not one of ours: somebody's, until it has stood still
	moved   time.Duration // when it was first seen to have this owner, epoch and counter
	free    time.Duration // since when it may be taken; negative: it may not
	asking  time.Duration // since when this worker asks for it; negative: it does not
	unused  time.Duration // since when nobody has any use for the row; negative: somebody has
	epochs  int64         // the largest epoch that was seen
	ready   bool          // the shard may be read now
	known   bool          // the shard is there
	busy    bool          // it is being released
	held    *Lease
	to      string // the worker that gets it, or is to
	round   int64
}

// never is the time of what is not so.
const never = time.Duration(-1)

// moving is a worker's row as it was last seen.
type moving struct {
	name    string
	version int64
	member  member
	valid   bool
	dead    bool // at the last look
	moved   time.Duration
	round   int64
}

func newMind(cfg Config, off *guards) *mind {
	return &mind{cfg: cfg, off: off, leases: map[string]*sight{}, members: map[string]*moving{}, beaten: -cfg.Failover, uneven: never, heavy: never}
}

// told is what a manager knows by itself.
type told struct {
	shards    map[string]bool   // that there are; true: it may be read now
	held      map[string]*Lease // by name
	releasing map[string]bool
}

// see takes in the rows that were asked for at one time and came at another.
func (m *mind) see(rows []control.Row, t told, asked, came time.Duration) {
	m.round++
	m.asked, m.now = asked, came
	for _, row := range rows {
		rest := strings.TrimPrefix(row.Key, m.cfg.Prefix)
		if name, ok := strings.CutPrefix(rest, leaseRows); ok {
			m.seeLease(name, row)
		} else if name, ok := strings.CutPrefix(rest, memberRows); ok {
			m.seeMember(name, row)
		}
	}
	for name, w := range m.members {
		if w.round != m.round {
			m.vanish(w, 0)
		}
		if w.dead = m.still(w.moved); w.dead && w.version == 0 {
			delete(m.members, name)
		}
	}
	m.match(t)
}

// vanish notes that a worker's row is gone, or is none any more. While the worker owns leases nobody had a reason to do so:
// unless it was dead before, it may live, and makes its row again.
func (m *mind) vanish(w *moving, version int64) {
	if w.valid && !w.dead {
		for _, s := range m.leases {
			if s.round == m.round && s.state.Owner == w.name {
				w.moved = m.now
			}
		}
	}
	w.version, w.valid, w.member = version, false, member{}
}

// match puts what the manager knows beside what was seen.
func (m *mind) match(t told) {
	for name := range t.shards {
		m.sight(name)
	}
	for name := range t.held {
		m.sight(name)
	}
	for name, s := range m.leases {
		s.ready, s.known = t.shards[name]
		s.held, s.busy = t.held[name], t.releasing[name]
		if s.held != nil && s.round == m.round && s.held.ours(s.state) {
			s.held.known.Store(s.row.Version)
		}
		if s.round == m.round || s.row.Version == 0 && (s.known || s.held != nil) {
			continue
		}
		if s.row.Version == 0 {
			delete(m.leases, name)
			m.order = nil
			continue
		}
		// Whoever owned the row makes it again, if it still wants it.
		s.row.Version, s.state.Wanted, s.asking, s.foreign = 0, "", never, false
	}
}

func (m *mind) sight(name string) *sight {
	s := m.leases[name]
	if s == nil {
		s = &sight{name: name, moved: m.now, free: never, asking: never, unused: never}
		m.leases[name] = s
		m.order = nil
	}
	return s
}

func (m *mind) seeLease(name string, row control.Row) {
	s := m.sight(name)
	s.round = m.round
	if s.row.Version == row.Version {
		return
	}
	st, ok := decodeState(row.Value)
	same := ok && !s.foreign && s.row.Version != 0 &&
		st.Owner == s.state.Owner && st.Epoch == s.state.Epoch && st.Counter == s.state.Counter
	if !same {
		s.moved = m.now
	}
	if st.Wanted != m.cfg.Owner || st.Owner != s.state.Owner || st.Epoch != s.state.Epoch {
		s.asking = never
	}
	if st.Wanted == m.cfg.Owner && s.asking < 0 {
		s.asking = m.now
	}
	s.row, s.state, s.foreign = row, st, !ok
	s.epochs = max(s.epochs, st.Epoch)
}

func (m *mind) seeMember(name string, row control.Row) {
	w := m.members[name]
	if w == nil {
		w = &moving{name: name, moved: m.now}
		m.members[name] = w
	}
	w.round = m.round
	if w.version == row.Version {
		return
	}
	x, ok := decodeMember(row.Value)
	if !ok {
		m.vanish(w, row.Version)
		return
	}
	w.version, w.member, w.valid, w.moved = row.Version, x, true, m.now
}

// all are the leases in order of their names.
func (m *mind) all() []*sight {
	if m.order == nil {
		m.order = slices.SortedFunc(maps.Values(m.leases), func(a, b *sight) int { return cmp.Compare(a.name, b.name) })
	}
	return m.order
}

// wrote takes in what this worker wrote itself.
func (m *mind) wrote(s *sight, value []byte, version int64) {
	m.seeLease(s.name, control.Row{Key: m.key(s.name), Value: value, Version: version})
	if s.held != nil {
		s.held.known.Store(version)
	}
}

func (m *mind) key(name string) string       { return m.cfg.Prefix + leaseRows + name }
func (m *mind) memberKey(name string) string { return m.cfg.Prefix + memberRows + name }

// still reports whether what was first seen at a time was there, unchanged, for the failover time: until the rows were asked
// for, since that is how old they may be.
func (m *mind) still(since time.Duration) bool { return m.asked-since >= m.cfg.Failover }

// living names the workers that live, as far as this one can tell: those whose row moved within the failover time, and the
// owners of leases that did, but for those that say that they have ended.
func (m *mind) living() map[string]bool {
	out := map[string]bool{m.cfg.Owner: true}
	if m.cfg.Exclusive {
		return out
	}
	for name, w := range m.members {
		if !m.still(w.moved) {
			out[name] = true
		}
	}
	for _, s := range m.leases {
		if s.state.Owner != "" && !m.still(s.moved) {
			out[s.state.Owner] = true
		}
	}
	for name, w := range m.members {
		if w.member.Left && name != m.cfg.Owner {
			delete(out, name)
		}
	}
	if m.off.counter {
		clear(out)
		out[m.cfg.Owner] = true
	}
	return out
}

// moves is when an owner was last seen to move.
func (m *mind) moves(s *sight) time.Duration {
	at := s.moved
	if w := m.members[s.state.Owner]; w != nil {
		at = max(at, w.moved)
	}
	return at
}
