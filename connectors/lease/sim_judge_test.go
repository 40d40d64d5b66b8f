package lease

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/core/control"
)

// truth is what really happened to the rows, whoever noticed.
type truth struct {
	leases  map[string]*leaseTruth
	members map[string]time.Duration // when each worker's row was last written by it
	left    map[string]bool
	touched map[string]time.Duration // when it was last damaged
	changes int                      // of owners
	forced  int
	handed  int // leases that were released because another worker asked
}

type leaseTruth struct {
	owner   string
	epoch   int64
	moved   time.Duration
	wanted  string
	wished  time.Duration // since when
	garbage time.Duration // since when the row is nobody's; negative: it is not
}

func (s *sim) lease(name string) *leaseTruth {
	lt := s.truth.leases[name]
	if lt == nil {
		lt = &leaseTruth{garbage: never}
		s.truth.leases[name] = lt
	}
	return lt
}

// judge looks at a write that is about to happen.
func (s *sim) judge(w *simWorker, x control.Write) {
	switch {
	case strings.HasPrefix(x.Key, progressPrefix):
		s.judgeProgress(strings.TrimPrefix(x.Key, progressPrefix), x.Value)
	case strings.HasPrefix(x.Key, leasePrefix+memberRows):
		s.judgeMember(w, strings.TrimPrefix(x.Key, leasePrefix+memberRows), x.Value)
	case strings.HasPrefix(x.Key, leasePrefix+leaseRows):
		s.judgeLease(w, strings.TrimPrefix(x.Key, leasePrefix+leaseRows), x.Value)
	}
}

// judgeProgress: a checkpoint moves through a lease that is held, from where it is, forwards, in its turn.
func (s *sim) judgeProgress(name string, value []byte) {
	var p progress
	if err := json.Unmarshal(value, &p); err != nil {
		panic(err)
	}
	was, lt := s.progress(name), s.lease(name)
	if lt.owner != p.By || lt.epoch != p.Epoch {
		s.oops("%s moves the checkpoint of %s in epoch %d, which %s has in epoch %d", p.By, name, p.Epoch, lt.owner, lt.epoch)
	}
	if p.From != was.To || p.To < p.From || was.Ended {
		s.oops("the checkpoint of %s goes from %d to %d, and was at %d", name, p.From, p.To, was.To)
	}
	if !s.turn(name) {
		s.oops("%s was read before its parents have ended", name)
	}
}

func (s *sim) judgeMember(w *simWorker, name string, value []byte) {
	at, ok := s.truth.members[name]
	if value != nil {
		m, _ := decodeMember(value)
		s.truth.members[name], s.truth.left[name] = s.now, m.Left
		return
	}
	_, valid := decodeMember(s.rows[leasePrefix+memberRows+name].Value) // what is none is nobody's loss
	if w.name != name && ok && valid && s.alive(name) && s.now-at < failover*10/11 {
		s.oops("%s removes the row of %s, which lives", w.name, name)
	}
}

func (s *sim) judgeLease(w *simWorker, name string, value []byte) {
	lt := s.lease(name)
	if value == nil {
		if lt.owner != w.name && lt.owner != "" && s.quiet(lt) < failover*10/11 {
			s.oops("%s removes the lease of %s, which %s has", w.name, name, lt.owner)
		}
		lt.owner, lt.wanted = "", ""
		return
	}
	st, ok := decodeState(value)
	switch {
	case !ok:
		s.oops("%s writes a row that is no lease: %s", w.name, value)
	case st.Wanted != "" && st.Wanted == st.Owner:
		s.oops("%s asks itself for %s", st.Owner, name)
	case st.Owner == "":
		s.judgeRelease(w, name, lt, st)
	case st.Owner == w.name && (lt.owner != w.name || lt.epoch != st.Epoch):
		s.judgeTake(w, name, lt)
	}
	if st.Owner == w.name {
		lt.moved, lt.garbage = s.now, never
	}
	if st.Wanted != lt.wanted {
		lt.wanted, lt.wished = st.Wanted, s.now
	}
	lt.owner, lt.epoch = st.Owner, st.Epoch
}

// judgeRelease: only who has a lease gives it up, and not before what it read is behind the checkpoint.
func (s *sim) judgeRelease(w *simWorker, name string, lt *leaseTruth, st State) {
	if lt.owner != w.name || lt.epoch != st.Epoch {
		s.oops("%s releases %s in epoch %d, which %s has in epoch %d", w.name, name, st.Epoch, lt.owner, lt.epoch)
	}
	if r := w.reading[name]; r != nil && !w.leaves && r.read != r.from {
		s.oops("%s hands %s over before what it read through %d is behind the checkpoint %d", w.name, name, r.read, r.from)
	}
	if !w.leaves {
		s.truth.handed++
	}
}

// judgeTake: a lease is taken in its turn, and from its owner only if that stood still for the failover time, on the fastest
// of clocks, or was asked for it long enough.
func (s *sim) judgeTake(w *simWorker, name string, lt *leaseTruth) {
	s.truth.changes++
	if !s.turn(name) {
		s.oops("%s takes %s before its parents have ended", w.name, name)
	}
	if _, ok := s.rows[leasePrefix+leaseRows+name]; !ok { // who came after it was deleted cannot know of an owner
		return
	}
	if lt.owner == "" || lt.owner == w.name || s.truth.left[lt.owner] || s.quiet(lt) >= failover*10/11 {
		return
	}
	if at, ok := s.truth.touched[lt.owner]; ok && s.now-at < failover { // the row of who looked dead before is gone
		return
	}
	if lt.wanted != w.name || s.now-lt.wished < patience*10/11 {
		s.oops("%s takes %s from %s, which moved %s ago", w.name, name, lt.owner, s.quiet(lt))
	}
	s.truth.forced++
}

// quiet is for how long the owner of a lease stood still.
func (s *sim) quiet(lt *leaseTruth) time.Duration {
	if lt.garbage >= 0 {
		return s.now - lt.garbage
	}
	at := lt.moved
	if t, ok := s.truth.members[lt.owner]; ok {
		at = max(at, t)
	}
	return s.now - at
}

func (s *sim) progress(name string) (p progress) {
	if row, ok := s.rows[progressPrefix+name]; ok {
		if err := json.Unmarshal(row.Value, &p); err != nil {
			panic(err)
		}
	}
	return p
}

func (s *sim) shard(name string) *simShard {
	i := slices.IndexFunc(s.shards, func(x *simShard) bool { return x.name == name })
	return s.shards[i]
}

// turn reports whether the parents of a shard have ended.
func (s *sim) turn(name string) bool {
	return !slices.ContainsFunc(s.shard(name).parents, func(p *simShard) bool { return !p.trimmed && !s.progress(p.name).Ended })
}

func (s *sim) alive(name string) bool {
	return slices.ContainsFunc(s.workers, func(w *simWorker) bool { return w.name == name && !w.gone })
}

// listed are the shards that the source shows.
func (s *sim) listed() (out []*simShard) {
	for _, x := range s.shards {
		if !x.trimmed {
			out = append(out, x)
		}
	}
	return out
}

// reader is the worker that reads a shard, or nil.
func (s *sim) reader(name string) *simWorker {
	lt := s.lease(name)
	for _, w := range s.workers {
		if w.gone || w.frozen > s.now || w.name != lt.owner {
			continue
		}
		if l := w.m.held[name]; l != nil && l.epoch == lt.epoch {
			return w
		}
	}
	return nil
}

// audit sees every second that no shard is without a reader for more than twice the failover time, on the slowest of
// clocks, while a worker lives whose way to the store is sound.
func (s *sim) audit() {
	const limit = 2 * failover * 10 / 9
	sound := slices.ContainsFunc(s.workers, func(w *simWorker) bool {
		return w.lucky && !w.gone && !w.leaves && s.now-w.born > limit
	})
	for _, x := range s.listed() {
		if !s.turn(x.name) || s.progress(x.name).Ended || s.reader(x.name) != nil {
			x.idle = s.now
		}
		lt := s.lease(x.name)
		x.idle = max(x.idle, s.now-s.quiet(lt), s.truth.touched[lt.owner]) // who moved is not dead
		if w := s.reader(x.name); w == nil || !w.lucky || w.leaves || s.rows[leasePrefix+leaseRows+x.name].Version != 0 {
			x.bare = s.now
		}
		if s.now-x.bare > failover {
			s.oops("the row of %s is gone since %s, and %s holds the lease", x.name, x.bare, s.lease(x.name).owner)
		}
		if s.now-x.idle > limit && sound {
			s.oops("nobody has read %s since %s: %+v %s", x.name, x.idle, *s.lease(x.name), s.rows[leasePrefix+leaseRows+x.name].Value)
		}
	}
	s.after(time.Second, s.audit)
}

// settled is what is wrong in a world that has been calm for long.
func (s *sim) settled() {
	if len(s.wrong) > 0 {
		return
	}
	counts, loads := map[string]int{}, map[string]float64{}
	var heaviest float64
	for _, w := range s.workers {
		if !w.gone {
			counts[w.name], loads[w.name] = 0, 0
		}
	}
	rows := len(counts)
	for _, x := range s.listed() {
		p := s.progress(x.name)
		if p.To != x.tip || p.Ended != x.closed {
			s.oops("%s was read through %d of %d, closed %v, ended %v", x.name, p.To, x.tip, x.closed, p.Ended)
		}
		if x.closed {
			continue
		}
		rows++
		w := s.reader(x.name)
		if w == nil {
			s.oops("nobody reads %s", x.name)
			continue
		}
		counts[w.name]++
		loads[w.name] += x.load
		heaviest = max(heaviest, x.load)
	}
	least, most := extent(counts)
	if most-least > 1 {
		s.oops("the leases are spread like %v", counts)
	}
	light, heavy := extent(loads)
	if heavy-light > max(heaviest, trickle)+0.3*heavy+trickle/2 {
		s.oops("the load is spread like %v, the heaviest shard has %.0f", loads, heaviest)
	}
	n := 0
	for _, k := range s.keys {
		if strings.HasPrefix(k, leasePrefix) {
			n++
		}
	}
	if n != rows {
		s.oops("there are %d rows, want %d: %v", n, rows, s.keys)
	}
}

func extent[N int | float64](of map[string]N) (least, most N) {
	first := true
	for _, n := range of {
		if first {
			least, most, first = n, n, false
		}
		least, most = min(least, n), max(most, n)
	}
	return least, most
}
