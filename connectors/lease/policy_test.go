package lease

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/control"
)

// eyes is a mind to which rows are shown one after the other.
type eyes struct {
	*mind
	rows    map[string]control.Row
	version int64
	told    told
}

func open(owner string, shards ...string) *eyes {
	e := &eyes{rows: map[string]control.Row{}, told: told{shards: map[string]bool{}, held: map[string]*Lease{}}}
	for _, s := range shards {
		e.told.shards[s] = true
	}
	e.mind = newMind(Config{Owner: owner}.withDefaults(), &guards{})
	e.at(0)
	return e
}

func (e *eyes) lease(name string, st State) { e.row(leaseRows+name, encode(st)) }

func (e *eyes) beat(name string) {
	e.version++
	e.row(memberRows+name, encode(member{Counter: e.version}))
}

func (e *eyes) row(key string, value []byte) {
	e.version++
	e.rows[key] = control.Row{Key: key, Value: value, Version: e.version}
}

// at looks at a time.
func (e *eyes) at(now time.Duration) todo {
	var rows []control.Row
	for _, r := range e.rows {
		rows = append(rows, r)
	}
	e.see(rows, e.told, now, now)
	return e.decide()
}

func names(list []*sight) (out []string) {
	for _, s := range list {
		out = append(out, s.name)
	}
	return out
}

func TestARowOfAnotherLayoutIsLeftAloneUntilItStandsStill(t *testing.T) {
	e := open("me", "a")
	for at := time.Second; at < 5*failover; at += failover / 2 {
		e.row(leaseRows+"a", []byte(`{"leaseOwner":"kcl","leaseCounter":`+strconv.Itoa(int(at))+`}`))
		require.Empty(t, e.at(at).take)
	}
	require.Empty(t, e.at(5*failover).take)
	require.Equal(t, []string{"a"}, names(e.at(6*failover).take))
}

func TestOnlyALivingWorkerIsHandedALease(t *testing.T) {
	e := open("me", "a")
	st := State{Owner: "me", Epoch: 1, Wanted: "other"}
	e.told.held["a"] = &Lease{name: "a", owner: "me", epoch: 1, lost: make(chan struct{})}
	e.lease("a", st)
	require.Empty(t, e.at(time.Second).handOver, "nobody of that name has shown itself")
	e.beat("other")
	require.Equal(t, []string{"a"}, names(e.at(2*time.Second).handOver))
	require.Equal(t, []string{"a"}, names(e.at(11*time.Second).handOver))
	require.Empty(t, e.at(12*time.Second).handOver, "it is dead")
}

func TestAnOwnerWithoutARowLivesByItsLeasesCounter(t *testing.T) {
	e := open("me", "a")
	for i := range 5 {
		e.lease("a", State{Owner: "kcl", Epoch: 1, Counter: int64(i)})
		require.Empty(t, e.at(time.Duration(i+1)*failover/2).take)
	}
	require.Empty(t, e.at(3*failover).take)
	require.Equal(t, []string{"a"}, names(e.at(7*failover/2).take))
}

func TestAWishIsNoSignOfLife(t *testing.T) {
	e := open("me", "a")
	e.lease("a", State{Owner: "dead", Epoch: 1})
	require.Empty(t, e.at(time.Second).take)
	e.lease("a", State{Owner: "dead", Epoch: 1, Wanted: "other"})
	require.Empty(t, e.at(9*time.Second).take)
	require.Equal(t, []string{"a"}, names(e.at(11*time.Second).take))
}

func TestAClockThatWasAheadOfTheRowsProvesNothing(t *testing.T) {
	e := open("me", "a")
	e.lease("a", State{Owner: "other", Epoch: 1})
	e.at(time.Second)
	var rows []control.Row
	for _, r := range e.rows {
		rows = append(rows, r)
	}
	e.see(rows, e.told, 2*time.Second, time.Minute) // they were long on the way
	require.Empty(t, e.decide().take)
}

// TestBalanceEndsEven has random shares evened out: their numbers within one, their loads within about that of the heaviest,
// and nothing moves that need not.
func TestBalanceEndsEven(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		var shares []*share
		for w := range 1 + rng.IntN(8) {
			s := &share{name: strconv.Itoa(w)}
			for range rng.IntN(12) {
				x := &sight{state: State{Load: rng.Int64N(1 << rng.IntN(30))}}
				s.add(x)
				s.movable = append(s.movable, x)
			}
			shares = append(shares, s)
		}
		for range 20 { // a balance moves so many at a time
			for _, s := range shares {
				for _, x := range s.movable {
					x.to = ""
				}
			}
			counts, loads := balance(shares, false)
			apply(shares, append(counts, loads...))
		}
		least, most, light, heavy := shares[0].n, 0, shares[0].load, int64(0)
		for _, s := range shares {
			least, most = min(least, s.n), max(most, s.n)
			light, heavy = min(light, s.load), max(heavy, s.load)
		}
		require.LessOrEqual(t, most-least, 1)
		require.LessOrEqual(t, heavy-light, slackOf(shares))
		counts, loads := balance(shares, false)
		require.Empty(t, counts)
		require.Empty(t, loads)
	}
}

// apply has those who got leases own them.
func apply(shares []*share, moves []move) {
	for _, x := range moves {
		for _, s := range shares {
			if s.name == x.to {
				s.movable = append(s.movable, x.lease)
			}
		}
	}
}
