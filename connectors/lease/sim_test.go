package lease

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/core/control"
)

// sim is a world in which one thread at a time does something, chosen by a seed: workers with real managers over a store
// whose questions and answers are lost, late and repeated; clocks that run fast and slow; shards that split and merge.
type sim struct {
	rng    *rand.Rand
	now    time.Duration // true time, which nobody in it can see
	queue  events
	serial int64
	steps  int64
	calm   bool

	rows    map[string]control.Row
	keys    []string // of the rows, in order
	version int64
	truth   truth

	workers []*simWorker // every one there ever was; those that are gone stay, gone
	shards  []*simShard
	running *proc
	each    bool
	off     guards
	wrong   []string
	asks    [3]int // Get, List, Commit
}

const (
	failover = 10 * time.Second
	patience = 3 * failover
	slowest  = 0.9 // of the clocks
	fastest  = 1.1
)

// simShard is a shard of the source, and how far it was filled.
type simShard struct {
	name    string
	parents []*simShard
	tip     int
	closed  bool
	trimmed bool
	load    float64       // bytes a second
	idle    time.Duration // since when nobody reads it
	bare    time.Duration // since when it is read without a row
}

type event struct {
	at     time.Duration
	serial int64
	do     func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].serial < e[j].serial
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	*e = (*e)[:last]
	return x
}

// after has something done later.
func (s *sim) after(d time.Duration, do func()) {
	s.serial++
	heap.Push(&s.queue, event{s.now + d, s.serial, do})
}

// run lets time pass.
func (s *sim) run(until time.Duration) {
	for len(s.queue) > 0 && s.queue[0].at <= until && len(s.wrong) == 0 {
		e := heap.Pop(&s.queue).(event)
		s.now = e.at
		s.steps++
		e.do()
	}
	s.now = until
}

// oops notes what must not be.
func (s *sim) oops(format string, args ...any) {
	s.wrong = append(s.wrong, fmt.Sprintf("at %s: ", s.now)+fmt.Sprintf(format, args...))
}

func (s *sim) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(s.rng.Int64N(int64(hi-lo)+1))
}

func (s *sim) chance(p float64) bool { return s.rng.Float64() < p }

// proc is one of a worker's goroutines: it runs until it pauses, and nothing else runs meanwhile.
type proc struct {
	w     *simWorker
	next  func() (time.Duration, bool)
	stop  func()
	yield func(time.Duration) bool
}

var errDead = errors.New("the process is dead")

// start starts a goroutine of a worker.
func (s *sim) start(w *simWorker, body func()) {
	p := &proc{w: w}
	p.next, p.stop = iter.Pull(func(yield func(time.Duration) bool) {
		p.yield = yield
		body()
	})
	w.procs = append(w.procs, p)
	s.after(0, func() { s.resume(p) })
}

// resume runs a goroutine until it pauses again. One of a stopped process waits for the process to go on.
func (s *sim) resume(p *proc) {
	switch {
	case p.w.gone:
		p.stop()
		return
	case p.w.frozen > s.now:
		s.after(p.w.frozen-s.now, func() { s.resume(p) })
		return
	}
	s.running = p
	d, ok := p.next()
	s.running = nil
	if ok {
		s.after(d, func() { s.resume(p) })
	}
}

// pause lets the running goroutine wait for a true time; false if its process died meanwhile.
func (s *sim) pause(d time.Duration) bool {
	p := s.running // nil while a goroutine is being stopped
	return p != nil && !p.w.gone && p.yield(max(d, 0)) && !p.w.gone
}

// simStore is the store as one worker reaches it.
type simStore struct {
	s *sim
	w *simWorker
}

// way lets a question or an answer travel.
func (v simStore) way() error {
	d := v.s.between(time.Millisecond, 30*time.Millisecond)
	if v.w.luck(0.03) {
		d = v.s.between(0, 2*failover)
	}
	if !v.s.pause(d) {
		return errDead
	}
	return nil
}

func (v simStore) Get(_ context.Context, key string) (control.Row, bool, error) {
	v.s.asks[0]++
	if err := v.way(); err != nil {
		return control.Row{}, false, err
	}
	row, ok := v.s.rows[key]
	return row, ok, v.answer()
}

var errStore = errors.New("the store does not answer")

func (v simStore) answer() error {
	if err := v.way(); err != nil {
		return err
	}
	if v.w.luck(0.03) {
		return errStore
	}
	return nil
}

func (v simStore) List(_ context.Context, prefix string) ([]control.Row, error) {
	v.s.asks[1]++
	if err := v.way(); err != nil {
		return nil, err
	}
	from, _ := slices.BinarySearch(v.s.keys, prefix)
	var out []control.Row
	for _, k := range v.s.keys[from:] {
		if !strings.HasPrefix(k, prefix) {
			break
		}
		out = append(out, v.s.rows[k])
	}
	return out, v.answer()
}

// Commit may lose the question, the answer, carry it out later than it says, or twice.
func (v simStore) Commit(_ context.Context, t control.Txn) (int64, error) {
	v.s.asks[2]++
	if err := v.way(); err != nil {
		return 0, err
	}
	switch {
	case v.w.luck(0.02):
		return 0, control.ErrUnknown
	case v.w.luck(0.02):
		v.s.after(v.s.between(0, 3*failover), func() { _, _ = v.s.apply(v.w, t) })
		return 0, control.ErrUnknown
	case v.w.luck(0.02): // it is sent again by a client that knows no better, and the answer is that of the second
		_, _ = v.s.apply(v.w, t)
	}
	version, err := v.s.apply(v.w, t)
	if e := v.answer(); e != nil {
		return 0, control.ErrUnknown
	}
	return version, err
}

func (s *sim) apply(w *simWorker, t control.Txn) (int64, error) {
	for _, c := range t.Checks {
		if s.rows[c.Key].Version != c.Version {
			return 0, control.ErrConflict
		}
	}
	for _, x := range t.Writes {
		s.judge(w, x)
	}
	s.version++
	for _, x := range t.Writes {
		s.set(x)
	}
	return s.version, nil
}

func (s *sim) set(x control.Write) {
	at, ok := slices.BinarySearch(s.keys, x.Key)
	if x.Value == nil {
		delete(s.rows, x.Key)
		if ok {
			s.keys = slices.Delete(s.keys, at, at+1)
		}
		return
	}
	if !ok {
		s.keys = slices.Insert(s.keys, at, x.Key)
	}
	s.rows[x.Key] = control.Row{Key: x.Key, Value: x.Value, Version: s.version}
}
