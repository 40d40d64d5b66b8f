package lease

import (
	"cmp"
	"slices"
	"time"

	"github.com/penstock/penstock/core/control"
)

// todo is what a worker should do now.
type todo struct {
	lost     []*sight        // held, but the row says otherwise
	restore  []*sight        // held, but the row is gone
	drop     []*sight        // held, but the shard needs no reader any more
	handOver []*sight        // held, and wanted by another worker
	take     []*sight        // nobody's
	force    []*sight        // asked for in vain
	ask      []*sight        // another's, and better ours
	renew    []*sight        // held; the row's own counter is to move, or its load is to be said anew
	remove   []control.Check // rows that nobody has any use for
	beat     bool
	next     time.Duration // until the rows should be looked at again
}

// Bounds of the policy, in failover times where they are times.
const (
	uselessFor = 6 // a row that nobody has any use for stays, as another worker's list of shards may be newer
	heavyFor   = 2 // load is evened out once it was uneven for so long
	smooth     = 6 // what a shard's load is smoothed over
)

// decide is the policy: a pure function of what was seen, but for the times that it notes in the mind.
func (m *mind) decide() todo {
	out := todo{next: m.cfg.look()}
	if m.round == 1 && !m.cfg.Exclusive { // others that start now are to be seen before anything is taken
		return todo{beat: true, next: m.cfg.look() / 4}
	}
	living := m.living()
	all := m.all()
	if !m.cfg.Exclusive {
		m.announce(&out)
	}
	var free []*sight
	for _, s := range all {
		switch {
		case s.held != nil:
			m.keep(s, living, &out)
		case m.takeable(s, living):
			if s.free < 0 {
				s.free = m.now
			}
			free = append(free, s)
		default:
			s.free = never
			if s.row.Version != 0 && living[s.state.Owner] {
				out.wake(m.moves(s) + m.cfg.Failover - m.now)
			}
		}
	}
	if len(living) == 1 && len(free) == 0 { // nobody can die but this worker
		out.next = m.cfg.beat()
	}
	shares := m.shares(all, living)
	m.takeFree(free, shares, &out)
	m.level(all, shares, &out)
	if !m.off.tidy {
		m.tidy(all, living, &out)
	}
	return out
}

// wake has the rows looked at after d, if that is earlier.
func (t *todo) wake(d time.Duration) {
	if d > 0 {
		t.next = min(t.next, d)
	}
}

// keep looks after a lease that is held.
func (m *mind) keep(s *sight, living map[string]bool, out *todo) {
	s.free = never
	if s.known {
		s.unused = never
	}
	switch {
	case s.row.Version == 0 && !m.off.restore && !s.held.isLost():
		out.restore = append(out.restore, s)
		return
	case s.foreign, !s.held.ours(s.state), s.held.isLost():
		out.lost = append(out.lost, s)
		return
	case !s.ready && (s.known || m.useless(s)):
		out.drop = append(out.drop, s)
		return
	case m.wanted(s, living):
		out.handOver = append(out.handOver, s)
	}
	if out.beat && m.cfg.EachLease || s.held.rate.noteworthy(s.state.Load, m.now, m.cfg.Failover) {
		out.renew = append(out.renew, s)
	}
}

// wanted reports whether a living worker asks another for a lease.
func (m *mind) wanted(s *sight, living map[string]bool) bool {
	w := s.state.Wanted
	return w != "" && w != s.state.Owner && living[w]
}

// takeable reports whether anybody may take a lease that is not held now.
func (m *mind) takeable(s *sight, living map[string]bool) bool {
	switch {
	case s.busy, !s.ready && (!m.off.ready || !s.known):
		return false
	case s.foreign:
		return m.still(s.moved) || m.cfg.Exclusive
	case s.state.Owner == m.cfg.Owner: // by a commit whose answer was lost, or an earlier run under this name
		return !m.off.own
	}
	return s.state.Owner == "" || !living[s.state.Owner]
}

// useless reports whether nobody has had any use for a lease's row for long.
func (m *mind) useless(s *sight) bool {
	if s.unused < 0 {
		s.unused = m.now
	}
	return m.now-s.unused >= uselessFor*m.cfg.Failover
}

// takeFree takes what falls to this worker of the leases that nobody has. All workers see nearly the same, so they agree
// on what falls to whom; what a worker leaves lying at one look is anybody's from the next on.
func (m *mind) takeFree(free []*sight, shares []*share, out *todo) {
	me := m.cfg.Owner
	var left []*sight
	m.assign(free, shares)
	for _, s := range free {
		switch {
		case s.to == me:
			out.take = append(out.take, s)
		case m.off.overdue:
		case m.now-s.free >= m.cfg.look():
			left = append(left, s)
		default:
			out.wake(s.free + m.cfg.look() - m.now)
		}
	}
	if len(left) == 0 {
		return
	}
	// Each worker begins at another place, so that they come apart.
	i := slices.IndexFunc(shares, func(s *share) bool { return s.name == me })
	most := (len(left) + len(shares) - 1) / len(shares)
	for k := range most {
		out.take = append(out.take, left[(i*len(left)/len(shares)+k)%len(left)])
	}
}

// level asks for leases that others have too many of, a few at a time, and takes by force what was asked for in vain.
func (m *mind) level(all []*sight, shares []*share, out *todo) {
	if m.cfg.Exclusive {
		return
	}
	asking := 0
	for _, s := range all {
		if s.asking < 0 || s.held != nil || s.free >= 0 {
			continue
		}
		asking++
		if waited := m.now - s.asking; waited >= m.cfg.Patience || m.off.patience {
			out.force = append(out.force, s)
		} else {
			out.wake(m.cfg.Patience - waited)
		}
	}
	counts, loads := balance(shares, m.off.settle)
	a := m.due(counts, &m.uneven, m.cfg.look())
	b := m.due(loads, &m.heavy, heavyFor*m.cfg.Failover)
	room := max(2, len(all)/len(shares)/10) - asking
	for _, s := range append(a, b...) {
		if room <= 0 {
			break
		}
		room--
		out.ask = append(out.ask, s)
	}
}

// due are the leases that this worker is to get of others, once it is to get any for some time: things even out by
// themselves while leases are being taken, and loads rise and fall.
func (m *mind) due(moves []move, since *time.Duration, after time.Duration) (out []*sight) {
	for _, x := range moves {
		if x.to == m.cfg.Owner && x.lease.held == nil {
			out = append(out, x.lease)
		}
	}
	if len(out) == 0 {
		*since = never
		return nil
	}
	if *since < 0 {
		*since = m.now
	}
	if m.now-*since < after && !m.off.settle {
		return nil
	}
	return out
}

// announce says when this worker's row is to be written: a beat is due, or the row is not what was written last.
func (m *mind) announce(out *todo) {
	w := m.members[m.cfg.Owner]
	if w == nil || !w.valid || w.member.Left || m.now-m.beaten >= m.cfg.beat()-m.cfg.look()/4 {
		out.beat = true
	}
}

// tidy removes rows of workers that are dead and own nothing, and of leases that nobody has any use for. The first of the
// living does it, so that not all try.
func (m *mind) tidy(all []*sight, living map[string]bool, out *todo) {
	owns := map[string]bool{}
	for _, s := range all {
		if s.row.Version != 0 {
			owns[s.state.Owner] = true
		}
	}
	first := m.cfg.Owner
	for name, w := range m.members {
		if living[name] && w.valid {
			first = min(first, name)
		}
	}
	for _, s := range all {
		mine := s.state.Owner == m.cfg.Owner
		if s.row.Version == 0 || s.ready || s.held != nil || s.busy || living[s.state.Owner] && !mine || s.foreign && !m.still(s.moved) {
			if s.held == nil {
				s.unused = never
			}
			continue
		}
		if m.useless(s) && (mine || first == m.cfg.Owner) {
			out.remove = append(out.remove, control.Check{Key: s.row.Key, Version: s.row.Version})
		}
	}
	if first != m.cfg.Owner {
		return
	}
	for name, w := range m.members {
		if w.version != 0 && name != m.cfg.Owner && !living[name] && !owns[name] && (m.still(w.moved) || m.cfg.Exclusive) {
			out.remove = append(out.remove, control.Check{Key: m.memberKey(name), Version: w.version})
		}
	}
	slices.SortFunc(out.remove, func(a, b control.Check) int { return cmp.Compare(a.Key, b.Key) })
}
