package lease

import (
	"cmp"
	"slices"
)

// share is what a living worker has, and is about to have.
type share struct {
	name    string
	n       int // leases
	load    int64
	most    int64    // the load of the heaviest
	movable []*sight // those of them that it owns and nobody asks for
}

func (s *share) add(x *sight) {
	s.n++
	s.load += x.state.Load
	s.most = max(s.most, x.state.Load)
}

// shares are the living workers, in order of their names, and what they own; what is asked for counts as the asker's.
func (m *mind) shares(all []*sight, living map[string]bool) []*share {
	byName := map[string]*share{}
	out := make([]*share, 0, len(living))
	for name := range living {
		if w := m.members[name]; w != nil && !w.valid && name != m.cfg.Owner {
			continue // it leaves, or makes its row again
		}
		byName[name] = &share{name: name}
		out = append(out, byName[name])
	}
	slices.SortFunc(out, func(a, b *share) int { return cmp.Compare(a.name, b.name) })
	for _, x := range all {
		x.to = ""
		if x.row.Version == 0 || x.foreign || x.known && !x.ready {
			continue
		}
		if m.wanted(x, living) {
			x.to = x.state.Wanted
		}
		if x.free >= 0 {
			continue // it is assigned below
		}
		s := byName[cmp.Or(x.to, x.state.Owner)]
		if s == nil {
			continue
		}
		s.add(x)
		if x.to == "" {
			s.movable = append(s.movable, x)
		}
	}
	return out
}

// assign says for each lease that nobody has to whom it falls: to who asked for it, or has it by name, and else to whoever
// has the fewest, the heaviest first.
func (m *mind) assign(free []*sight, shares []*share) {
	order := slices.Clone(free)
	slices.SortStableFunc(order, func(a, b *sight) int { return cmp.Compare(b.state.Load, a.state.Load) })
	for _, x := range order {
		if x.to == "" && x.state.Owner == m.cfg.Owner {
			x.to = m.cfg.Owner
		}
		to := shares[0]
		for _, s := range shares {
			if s.name == x.to || x.to == "" && lighter(s, to) {
				to = s
			}
		}
		x.to = to.name
		to.add(x)
	}
}

// lighter orders workers by how many leases they have, then by load.
func lighter(a, b *share) bool { return a.n < b.n || a.n == b.n && a.load < b.load }

// move is a lease that one worker should get from another.
type move struct {
	lease *sight
	to    string
}

// balance returns the moves that bring the numbers of leases within one of each other, and then those that bring the loads
// within about that of the heaviest lease: where they differ by more there always is a move or an exchange that lessens the
// difference. The same input gives the same moves in every worker.
func balance(shares []*share, restless bool) (counts, loads []move) {
	slack := slackOf(shares)
	gap := 2
	if restless {
		gap = 1
	}
	for {
		most, least := extremes(shares, lighter)
		if most == nil || most.n-least.n < gap {
			break
		}
		x := nearest(most.movable, (most.load-least.load)/2)
		counts = append(counts, shift(x, most, least))
	}
	for range shares {
		most, least := extremes(shares, func(a, b *share) bool { return a.load < b.load })
		if most == nil || most.load-least.load <= slack {
			break
		}
		x, y := exchange(most, least)
		if x == nil {
			break
		}
		loads = append(loads, shift(x, most, least))
		if y != nil {
			loads = append(loads, shift(y, least, most))
		}
	}
	return counts, loads
}

// slackOf is the difference between loads for which nothing is done: somewhat more than one lease can cause, since loads
// are not known better.
func slackOf(shares []*share) int64 {
	var heaviest int64
	for _, s := range shares {
		heaviest = max(heaviest, s.most)
	}
	return max(heaviest+heaviest/8, trickle) + trickle/4
}

// extremes are the last worker in an order that can give a lease, and the first.
func extremes(shares []*share, less func(a, b *share) bool) (most, least *share) {
	for _, s := range shares {
		if len(s.movable) > 0 && (most == nil || less(most, s)) {
			most = s
		}
		if least == nil || less(s, least) {
			least = s
		}
	}
	return most, least
}

// shift moves a lease.
func shift(x *sight, from, to *share) move {
	i := slices.Index(from.movable, x)
	from.movable = slices.Delete(from.movable, i, i+1)
	from.n--
	from.load -= x.state.Load
	to.add(x)
	x.to = to.name
	return move{x, to.name}
}

// nearest is the lease whose load is nearest to a target.
func nearest(leases []*sight, target int64) *sight {
	return slices.MinFunc(leases, func(a, b *sight) int {
		return cmp.Compare(apart(a.state.Load, target), apart(b.state.Load, target))
	})
}

func apart(a, b int64) int64 { return max(a-b, b-a) }

// exchange finds the lease to move from one worker to another whose load is less, and the one to move back, if any, that
// leave their loads the nearest to each other and their numbers of leases as even as they are; nil if none helps.
func exchange(most, least *share) (x, y *sight) {
	diff := most.load - least.load
	best := diff
	back := slices.Clone(least.movable)
	slices.SortStableFunc(back, func(a, b *sight) int { return cmp.Compare(a.state.Load, b.state.Load) })
	for _, a := range most.movable {
		if most.n > least.n {
			if d := apart(diff, 2*a.state.Load); d < best {
				best, x, y = d, a, nil
			}
		}
		// The best to have back makes the difference of the two half of that of the workers.
		i, _ := slices.BinarySearchFunc(back, a.state.Load-diff/2, func(s *sight, t int64) int { return cmp.Compare(s.state.Load, t) })
		for _, b := range back[max(0, i-1):min(len(back), i+1)] {
			if d := apart(diff, 2*(a.state.Load-b.state.Load)); d < best {
				best, x, y = d, a, b
			}
		}
	}
	return x, y
}
