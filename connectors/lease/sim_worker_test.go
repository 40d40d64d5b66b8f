package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/penstock/penstock/core/control"
)

// simWorker is a process: a manager, and someone who reads under its leases.
type simWorker struct {
	s      *sim
	name   string
	procs  []*proc
	m      *Manager
	rate   float64       // of its clock
	born   time.Duration // true
	zero   time.Duration // what its clock said then
	lucky  bool          // its ways to the store are sound, it is never frozen
	slow   bool          // its sink takes longer than any lease lasts, now and then
	frozen time.Duration // until
	died   time.Duration
	gone   bool
	leaves bool

	reading map[string]*simReading
}

// simReading is a shard that a worker reads, and how far: what is not behind the checkpoint is in its memory only.
type simReading struct {
	lease *Lease
	from  int
	read  int
	row   control.Row
}

// progress is the row of a shard: who moved it last, under which lease, from where to where.
type progress struct {
	By    string
	Epoch int64
	From  int
	To    int
	Ended bool
}

const (
	leasePrefix    = "L/"
	progressPrefix = "P/"
)

func (w *simWorker) luck(p float64) bool { return !w.lucky && !w.s.calm && w.s.chance(p) }

func (w *simWorker) clock() time.Duration {
	return w.zero + time.Duration(float64(w.s.now-w.born)*w.rate)
}

// join starts a worker under a name.
func (s *sim) join(name string) *simWorker {
	w := &simWorker{
		s: s, name: name, rate: slowest + s.rng.Float64()*(fastest-slowest), born: s.now, zero: s.between(0, time.Hour),
		lucky: s.chance(0.5), slow: s.chance(0.3), reading: map[string]*simReading{},
	}
	w.m = NewManager(simStore{s, w}, Config{
		Prefix: leasePrefix, Owner: name, Failover: failover, Patience: patience, EachLease: s.each,
	})
	w.m.now, w.m.off = w.clock, s.off
	s.workers = append(s.workers, w)
	s.start(w, w.manage)
	s.start(w, w.look)
	s.start(w, w.work)
	return w
}

// manage is what Manager.Run does.
func (w *simWorker) manage() {
	for {
		wait, _ := w.m.round(context.Background())
		if w.leaves || !w.s.pause(time.Duration(float64(wait)/w.rate)) {
			return
		}
	}
}

// look tells the manager which shards there are, and counts what is read.
func (w *simWorker) look() {
	for !w.leaves {
		shards := w.s.listed() // the source's list, which may be old when the rows come
		rows, err := w.m.store.List(context.Background(), progressPrefix)
		if errors.Is(err, errDead) {
			return
		}
		if err == nil {
			w.m.Share(ready(shards, rows))
		}
		d := w.s.between(time.Second, 3*time.Second)
		for _, l := range w.m.Held() {
			l.Count(int64(w.s.shard(l.Name()).load * d.Seconds() * (0.9 + 0.2*w.s.rng.Float64()) / w.rate))
		}
		if !w.s.pause(d) {
			return
		}
	}
}

// ready says which shards may be read: those that were not read to their ends, whose parents were.
func ready(shards []*simShard, rows []control.Row) map[string]bool {
	ended := map[string]bool{}
	for _, r := range rows {
		var p progress
		if err := json.Unmarshal(r.Value, &p); err != nil {
			panic(err)
		}
		ended[strings.TrimPrefix(r.Key, progressPrefix)] = p.Ended
	}
	out := map[string]bool{}
	listed := map[string]bool{}
	for _, x := range shards {
		listed[x.name] = true
		out[x.name] = !ended[x.name]
	}
	for _, x := range shards {
		for _, p := range x.parents {
			if listed[p.name] && !ended[p.name] {
				out[x.name] = false
			}
		}
	}
	return out
}

// work reads under the leases, and flushes when it likes, when it must, and before it gives a lease up.
func (w *simWorker) work() {
	for {
		held := map[string]bool{}
		for _, l := range w.m.Held() {
			held[l.Name()] = true
			if r := w.reading[l.Name()]; r == nil || r.lease != l {
				if !w.attach(l) {
					return
				}
			}
			if !w.serve(w.reading[l.Name()]) {
				return
			}
		}
		for name := range w.reading {
			if !held[name] {
				delete(w.reading, name) // what was read and not flushed is dropped
			}
		}
		if w.leaves {
			if err := w.m.Leave(context.Background()); !errors.Is(err, errDead) {
				w.s.kill(w)
			}
			return
		}
		d := w.s.between(200*time.Millisecond, 3*time.Second)
		if w.s.calm {
			d *= 3
		}
		if w.slow && !w.s.calm && w.s.chance(0.1) {
			d = w.s.between(0, 5*failover) // the sink is slow
		}
		if !w.s.pause(d) {
			return
		}
	}
}

// attach begins to read under a lease, from the checkpoint on.
func (w *simWorker) attach(l *Lease) bool {
	delete(w.reading, l.Name())
	row, ok, err := w.m.store.Get(context.Background(), progressPrefix+l.Name())
	if err != nil {
		return !errors.Is(err, errDead)
	}
	var p progress
	if ok {
		if err := json.Unmarshal(row.Value, &p); err != nil {
			panic(err)
		}
	}
	row.Key = progressPrefix + l.Name()
	x := w.s.shard(l.Name())
	for _, parent := range x.parents {
		if !parent.trimmed && !w.s.progress(parent.name).Ended {
			w.s.oops("%s begins to read %s before its parent %s has ended", w.name, l.Name(), parent.name)
		}
	}
	if !p.Ended {
		w.reading[l.Name()] = &simReading{lease: l, from: p.To, read: p.To, row: row}
	}
	return true
}

// serve reads on under a lease, and flushes; false if the process died.
func (w *simWorker) serve(r *simReading) bool {
	if r == nil || r.lease.isLost() {
		return true
	}
	x := w.s.shard(r.lease.Name())
	wanted := r.lease.Wanted() || w.leaves
	if !wanted {
		n := w.s.rng.IntN(20)
		if w.s.calm {
			n *= 10
		}
		r.read = min(x.tip, r.read+n)
	}
	end := x.closed && r.read == x.tip
	if r.read > r.from && (wanted || w.s.chance(0.4)) || end {
		if err := w.flush(r, end); err != nil {
			return !errors.Is(err, errDead)
		}
	}
	if wanted && r.read == r.from && !end && w.reading[r.lease.Name()] == r {
		delete(w.reading, r.lease.Name())
		return !errors.Is(w.m.Release(context.Background(), r.lease), errDead)
	}
	return true
}

// flush moves the checkpoint through the lease. What is lost of a flush is read again by whoever has the lease.
func (w *simWorker) flush(r *simReading, end bool) error {
	name, to := r.lease.Name(), r.read
	for try := range 5 {
		check, err := r.lease.Known(), error(nil)
		if try > 0 || w.s.chance(0.5) {
			check, err = r.lease.Check(context.Background())
		}
		if errors.Is(err, ErrLost) {
			delete(w.reading, name)
		}
		if err != nil {
			return err
		}
		p := progress{By: w.name, Epoch: r.lease.Epoch(), From: r.from, To: to, Ended: end}
		version, err := w.m.store.Commit(context.Background(), control.Txn{
			Checks: []control.Check{check, {Key: r.row.Key, Version: r.row.Version}},
			Writes: []control.Write{{Key: r.row.Key, Value: encode(p)}},
		})
		if err == nil {
			r.from, r.row.Version = to, version
			if end {
				delete(w.reading, name)
			}
			return nil
		}
		if !errors.Is(err, control.ErrUnknown) && !errors.Is(err, control.ErrConflict) {
			return err
		}
		row, _, err := w.m.store.Get(context.Background(), r.row.Key)
		if err != nil {
			delete(w.reading, name) // it is attached anew
			return err
		}
		if row.Version != r.row.Version {
			delete(w.reading, name)
			return nil
		}
	}
	return nil
}

func (w *simWorker) String() string { return fmt.Sprintf("%s(%d)", w.name, len(w.reading)) }
