package lease

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fleet is a world without trouble, of workers that have nothing to flush.
func fleet(shards, workers int, each bool) *sim {
	s := newSim(1, 0, guards{})
	s.calm, s.each = true, each
	for range shards {
		s.shards = append(s.shards, &simShard{name: fmt.Sprintf("shardId-%012d", len(s.shards))})
	}
	for range workers {
		s.enlist()
	}
	return s
}

// enlist adds a worker that gives up at once what others ask for.
func (s *sim) enlist() {
	w := &simWorker{s: s, name: fmt.Sprintf("w%03d", len(s.workers)), rate: 1, born: s.now, lucky: true}
	w.m = NewManager(simStore{s, w}, Config{Prefix: leasePrefix, Owner: w.name, Failover: failover, EachLease: s.each})
	w.m.now = w.clock
	ready := map[string]bool{}
	for _, x := range s.shards {
		ready[x.name] = true
	}
	w.m.Share(ready)
	s.workers = append(s.workers, w)
	s.start(w, w.manage)
	s.start(w, func() {
		for s.pause(s.between(500*time.Millisecond, time.Second)) {
			if wanted := slices.DeleteFunc(w.m.Held(), func(l *Lease) bool { return !l.Wanted() }); len(wanted) > 0 {
				_ = w.m.Release(context.Background(), wanted...)
			}
		}
	})
}

// spread is how many leases a living worker has at least and at most, and how many they have in all.
func (s *sim) spread() (least, most, all int) {
	counts := map[string]int{}
	for _, w := range s.workers {
		if !w.gone {
			counts[w.name] = len(w.m.held)
			all += len(w.m.held)
		}
	}
	least, most = extent(counts)
	return least, most, all
}

// orphans is how many shards nobody has had yet, or a dead worker has; those on their way to another worker are not among
// them.
func (s *sim) orphans() (n int) {
	dead := map[string]bool{}
	for _, w := range s.workers {
		dead[w.name] = w.gone
	}
	for _, x := range s.shards {
		if lt := s.lease(x.name); lt.epoch == 0 || dead[lt.owner] {
			n++
		}
	}
	return n
}

// even lets time pass until no shard is without an owner, and then until they are owned evenly; it returns how long each took.
func (s *sim) even(t *testing.T) (owned, even time.Duration) {
	t.Helper()
	owned = never
	for began := s.now; ; s.run(s.now + 100*time.Millisecond) {
		least, most, all := s.spread()
		if owned < 0 && s.orphans() == 0 {
			owned = s.now - began
		}
		if all == len(s.shards) && most-least <= 1 {
			return owned, s.now - began
		}
		require.Less(t, s.now-began, 60*failover, "it is not even yet")
	}
}

// asked is how many requests the store has had, and forgets them.
func (s *sim) asked() (n int) {
	n = s.asks[0] + s.asks[1] + s.asks[2]
	s.asks = [3]int{}
	return n
}

// TestALargeFleetEvensOut, of 10,000 shards and 50 workers where PENSTOCK_LEASE_SEEDS is set, prints how long it takes and what it costs: with a failover time of 10s a look is 2s.
func TestALargeFleetEvensOut(t *testing.T) {
	shards, workers := 1000, 20
	if os.Getenv("PENSTOCK_LEASE_SEEDS") != "" {
		shards, workers = 10_000, 50
	}
	s := fleet(shards, workers, false)
	defer s.end()
	report := func(what string) time.Duration {
		s.run(s.now + 100*time.Millisecond)
		owned, even := s.even(t)
		t.Logf("fleet shards=%d workers=%d %s: owned after %s, even after %s (%.0f looks), requests=%d changes=%d",
			shards, workers, what, owned.Round(100*time.Millisecond), even.Round(100*time.Millisecond),
			even.Seconds()/(failover/5).Seconds(), s.asked(), s.truth.changes)
		s.truth.changes = 0
		return owned
	}
	report("start")
	s.enlist()
	report("one_joins")
	s.kill(s.workers[7])
	require.LessOrEqual(t, report("one_dies"), failover+failover/5+time.Second)
	for range workers / 5 {
		s.kill(s.living()[3])
	}
	require.LessOrEqual(t, report("a_fifth_dies"), failover+3*failover/5+time.Second, "what falls to another dead worker waits for a look")
	s.truth.changes = 0
	s.run(s.now + 2*failover)
	require.Zero(t, s.truth.changes, "leases change hands at rest")
}

// TestRequestsAtRest prints what leases cost a store, beside what KCL 3 asks for at least, by its settings: a renewal of each
// lease every failover/3, each worker's figures every 30s, and two reads of the table by the leader every two failover
// times.
func TestRequestsAtRest(t *testing.T) {
	const kclRenewals = 3600 / 3.308
	for _, size := range []struct{ shards, workers int }{{1, 1}, {4, 1}, {10, 1}, {10, 2}, {100, 4}, {1000, 10}} {
		for _, each := range []bool{false, true} {
			s := fleet(size.shards, size.workers, each)
			s.even(t)
			s.run(s.now + 10*failover)
			s.asked()
			s.run(s.now + time.Hour/20)
			ours := float64(s.asked()) * 20 / float64(size.shards)
			s.end()
			n, w := float64(size.shards), float64(size.workers)
			kcl := (kclRenewals*n + 120*w + 2*180) / n
			t.Logf("requests a shard and hour: shards=%d workers=%d each_lease=%v ours=%.0f kcl3=%.0f ratio=%.1f", size.shards, size.workers, each, ours, kcl, kcl/ours)
			if n/w >= 10 {
				require.Greater(t, kcl/ours, 3.0)
			}
		}
	}
}
