package lease

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/control"
)

// newSim is a world with some shards.
func newSim(seed uint64, shards int, off guards) *sim {
	s := &sim{
		rng: rand.New(rand.NewPCG(seed, 0)), rows: map[string]control.Row{}, off: off,
		truth: truth{leases: map[string]*leaseTruth{}, members: map[string]time.Duration{}, left: map[string]bool{}, touched: map[string]time.Duration{}},
	}
	s.each = s.chance(0.3)
	for range shards {
		s.spring()
	}
	return s
}

// spring makes a shard.
func (s *sim) spring(parents ...*simShard) {
	x := &simShard{name: fmt.Sprintf("s%02d", len(s.shards)), parents: parents, idle: s.now, bare: s.now}
	if s.chance(0.7) {
		x.load = float64(8<<10) * float64(1+s.rng.IntN(1<<s.rng.IntN(12)))
	}
	for _, p := range parents {
		p.closed = true
	}
	s.shards = append(s.shards, x)
}

func (s *sim) kill(w *simWorker) {
	w.gone, w.died = true, s.now
}

func (s *sim) living() (out []*simWorker) {
	for _, w := range s.workers {
		if !w.gone && !w.leaves {
			out = append(out, w)
		}
	}
	return out
}

func (s *sim) open() (out []*simShard) {
	for _, x := range s.listed() {
		if !x.closed {
			out = append(out, x)
		}
	}
	return out
}

// grow adds records every now and then.
func (s *sim) grow() {
	if s.calm {
		return
	}
	for _, x := range s.open() {
		x.tip += s.rng.IntN(30)
	}
	s.after(s.between(time.Second, 4*time.Second), s.grow)
}

// strike has something bad happen every now and then.
func (s *sim) strike() {
	if s.calm {
		return
	}
	living, open := s.living(), s.open()
	switch n := s.rng.IntN(20); {
	case len(living) < 2 || n < 4 && len(living) < 6:
		s.join(fmt.Sprintf("w%02d", len(s.workers)))
	case n < 6:
		s.kill(living[s.rng.IntN(len(living))])
	case n < 7: // it starts again under its name
		w := living[s.rng.IntN(len(living))]
		s.kill(w)
		s.join(w.name)
	case n < 8:
		living[s.rng.IntN(len(living))].leaves = true
	case n < 12:
		if w := living[s.rng.IntN(len(living))]; !w.lucky {
			w.frozen = s.now + s.between(failover/5, 3*failover)
		}
	case n < 14:
		s.damage()
	case n < 16 && len(open) < 12:
		s.spring(open[s.rng.IntN(len(open))])
		s.spring(s.shards[len(s.shards)-1].parents...)
	case n < 18 && len(open) > 2:
		i := 1 + s.rng.IntN(len(open)-1)
		s.spring(open[i-1], open[i])
	default:
		for _, x := range s.listed() {
			if s.progress(x.name).Ended && s.chance(0.5) {
				x.trimmed = true
			}
		}
	}
	s.after(s.between(time.Second, failover), s.strike)
}

// damage deletes a row or writes one over: of a lease, or of a worker.
func (s *sim) damage() {
	var keys []string
	for _, k := range s.keys {
		if strings.HasPrefix(k, leasePrefix) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return
	}
	key := keys[s.rng.IntN(len(keys))]
	s.version++
	if name, ok := strings.CutPrefix(key, leasePrefix+memberRows); ok {
		s.truth.touched[name] = s.now // what changes looks alive
	}
	if s.chance(0.6) {
		s.set(control.Write{Key: key})
		return
	}
	texts := []string{`{"leaseKey":"x","leaseOwner":"somebody","leaseCounter":7}`, `{`, `{"owner":7,"epoch":"x","counter":{}}`}
	s.set(control.Write{Key: key, Value: []byte(texts[s.rng.IntN(len(texts))])})
	if name, ok := strings.CutPrefix(key, leasePrefix+leaseRows); ok {
		s.lease(name).garbage = s.now
	}
}

// play is one life of a world: trouble for a while, then calm, after which everything has its place, and stays there.
func play(seed uint64, off guards) *sim {
	s := trouble(seed, off)
	defer s.end()
	s.calm = true
	for len(s.living()) == 0 {
		s.join(fmt.Sprintf("w%02d", len(s.workers)))
	}
	s.run(45 * failover)
	s.settled()
	before := s.truth.changes
	s.run(52 * failover)
	if s.truth.changes != before {
		s.oops("%d leases changed hands at rest", s.truth.changes-before)
	}
	s.settled()
	return s
}

// trouble is the first part of a life.
func trouble(seed uint64, off guards) *sim {
	s := newSim(seed, 1, off)
	for range s.rng.IntN(8) {
		s.spring()
	}
	for i := range 1 + s.rng.IntN(3) {
		s.join(fmt.Sprintf("w%02d", i))
	}
	s.after(0, s.audit)
	s.after(0, s.grow)
	s.after(failover, s.strike)
	s.run(12 * failover)
	return s
}

// end stops every goroutine.
func (s *sim) end() {
	for _, w := range s.workers {
		w.gone = true
	}
	for _, w := range s.workers {
		for _, p := range w.procs {
			p.stop()
		}
	}
}

func seeds() int64 {
	if n, err := strconv.ParseInt(os.Getenv("PENSTOCK_LEASE_SEEDS"), 10, 32); err == nil {
		return n
	}
	return 60
}

// TestManyWorkersShareTheShards plays many lives of the world. PENSTOCK_LEASE_SEEDS says how many.
func TestManyWorkersShareTheShards(t *testing.T) {
	var next, steps atomic.Int64
	var taken, forced, handed, bad atomic.Int64
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for bad.Load() < 10 {
				seed := next.Add(1) - 1
				if seed >= seeds() {
					return
				}
				s := play(uint64(seed), guards{})
				if len(s.wrong) > 0 {
					t.Errorf("seed %d: %s", seed, s.wrong[0])
					bad.Add(1)
				}
				steps.Add(s.steps)
				taken.Add(int64(s.truth.changes))
				forced.Add(int64(s.truth.forced))
				handed.Add(int64(s.truth.handed))
			}
		})
	}
	all.Wait()
	t.Logf("campaign=leases seeds=%d steps=%d taken=%d handed_over=%d forced=%d violations=%d",
		seeds(), steps.Load(), taken.Load(), handed.Load(), forced.Load(), bad.Load())
	require.NotZero(t, handed.Load())
	require.NotZero(t, forced.Load())
}
