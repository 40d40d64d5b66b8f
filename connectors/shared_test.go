package connectors

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
)

// crew is some workers of one pipeline in one process, over stores in memory that fail only where a test says so.
type crew struct {
	*world
	t      *testing.T
	all    sync.WaitGroup
	joined uint64       // how many have
	slow   atomic.Int64 // how long a sink takes, in ns

	mu     sync.Mutex
	events []string
}

const crewFailover = 3 * time.Second

func newCrew(t *testing.T, shards ...core.ShardID) *crew {
	t.Helper()
	c := &crew{t: t, world: &world{
		table: table{rows: map[string]control.Row{}},
		river: river{data: map[core.ShardID][]string{}, gone: map[core.ShardID]int{}},
		coast: coast{objects: map[string][]string{}, letters: map[string]string{}, plans: map[string]string{}},
	}}
	for _, id := range shards {
		c.river.shards = append(c.river.shards, Shard{ID: id})
	}
	return c
}

// sailor is a running worker.
type sailor struct {
	stop func() // and wait
	kill func() // nothing that it does reaches anybody from now on
}

// sound is the table, which always answers; to a worker that was killed, never.
type sound struct {
	*table
	chaos *chaos
}

func (s sound) Get(ctx context.Context, key string) (control.Row, bool, error) {
	r, ok := s.get(key)
	return r, ok, s.chaos.alive(ctx)
}

func (s sound) List(ctx context.Context, prefix string) ([]control.Row, error) {
	return s.list(prefix), s.chaos.alive(ctx)
}

func (s sound) Commit(ctx context.Context, t control.Txn) (int64, error) {
	if err := s.chaos.alive(ctx); err != nil {
		return 0, err
	}
	return 1, s.commit(t)
}

// slowCoast is a coast that takes its time.
type slowCoast struct {
	coastView
	takes *atomic.Int64
}

func (c slowCoast) Stage(ctx context.Context, f Flush) (Staging, error) {
	st, err := c.coastView.Stage(ctx, f)
	return slowStaging{st, c.takes}, err
}

type slowStaging struct {
	Staging
	takes *atomic.Int64
}

func (s slowStaging) Publish(ctx context.Context, p Plan, decide Decide) error {
	if err := core.Pause(ctx, time.Duration(s.takes.Load())); err != nil {
		return err
	}
	return s.Staging.Publish(ctx, p, decide)
}

// join starts a worker.
func (c *crew) join(name string) sailor {
	c.joined++
	chaos := &chaos{rng: rand.New(rand.NewPCG(1, c.joined))}
	sink := slowCoast{coastView{&c.coast, chaos, false}, &c.slow}
	counted := c.world.events()
	lost := counted.Lease
	counted.Lease = func(s core.ShardID, state string) {
		lost(s, state)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.events = append(c.events, fmt.Sprintf("%s %s %s", name, s, state))
	}
	w, err := NewWorker(WorkerConfig{
		Pipeline: "p", Program: &Program{Spec: "spec", SpecText: []byte("{}"), Decoder: words{}, Sink: sink},
		Source: riverView{&c.river, chaos}, Start: Start{Kind: StartTrimHorizon}, DeadLetters: sink,
		Store: sound{&c.table, chaos}, Lease: lease.Config{Owner: name, Failover: crewFailover},
		Buffer: BufferConfig{MaxRecords: 1000, MaxAge: Duration(2 * time.Second)}, Drain: time.Minute, Events: counted,
	})
	require.NoError(c.t, err)
	ctx, cancel := context.WithCancel(c.t.Context())
	ended := make(chan error, 1)
	c.all.Go(func() { ended <- w.Run(ctx) })
	return sailor{
		stop: func() {
			cancel()
			require.NoError(c.t, <-ended)
		},
		kill: func() {
			chaos.dead.Store(true)
			cancel()
		},
	}
}

// pour adds records to every open shard for some time.
func (c *crew) pour(seconds int) {
	for range seconds * 5 {
		c.river.mu.Lock()
		for _, s := range c.river.shards {
			if !s.Closed {
				n := len(c.river.data[s.ID])
				c.river.data[s.ID] = append(c.river.data[s.ID], fmt.Sprintf("a%s.%d", s.ID, n))
			}
		}
		c.river.mu.Unlock()
		time.Sleep(200 * time.Millisecond)
	}
}

// owners are the names of those who have leases, each as often as it has one.
func (c *crew) owners() (out []string) {
	for _, r := range c.table.list("pipelines/") {
		if strings.Contains(r.Key, "/leases/river/shards/") {
			var st lease.State
			require.NoError(c.t, json.Unmarshal(r.Value, &st))
			out = append(out, st.Owner)
		}
	}
	slices.Sort(out)
	return out
}

// until pours until the workers have so many leases each.
func (c *crew) until(want ...int) (took time.Duration) {
	c.t.Helper()
	for began := time.Now(); ; c.pour(1) {
		counts := map[string]int{}
		for _, name := range c.owners() {
			counts[name]++
		}
		if slices.Equal(slices.Sorted(maps.Values(counts)), want) {
			return time.Since(began)
		}
		require.Less(c.t, time.Since(began), time.Minute, "the leases are spread like %v", counts)
	}
}

// end closes every shard and waits until all is delivered, once.
func (c *crew) end() {
	c.river.mu.Lock()
	for i := range c.river.shards {
		c.river.shards[i].Closed = true
	}
	shards := len(c.river.shards)
	c.river.mu.Unlock()
	calm := sound{&c.table, &chaos{}}
	began := time.Now()
	for {
		progress, err := ListProgress(c.t.Context(), calm, "p")
		require.NoError(c.t, err)
		if len(progress) == shards && !slices.ContainsFunc(progress, func(p Progress) bool { return !p.Ended }) {
			break
		}
		require.Less(c.t, time.Since(began), time.Hour)
		time.Sleep(time.Second)
	}
	_, err := c.judge()
	require.NoError(c.t, err)
}

// split closes a shard and opens two children.
func (c *crew) split(id core.ShardID) {
	c.river.mu.Lock()
	defer c.river.mu.Unlock()
	for i := range c.river.shards {
		if c.river.shards[i].ID == id {
			c.river.shards[i].Closed = true
		}
	}
	for _, child := range []core.ShardID{id + "l", id + "r"} {
		c.river.shards = append(c.river.shards, Shard{ID: child, Parents: []core.ShardID{id}})
	}
}

func TestWorkersJoinLeaveAndDieWhileEveryRowArrivesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, "s0", "s1", "s2", "s3", "s4", "s5")
		a := c.join("a")
		c.until(6)
		b, d := c.join("b"), c.join("d")
		c.until(2, 2, 2)
		require.Zero(t, c.lost.Load(), "leases are handed over")
		c.pour(10)
		b.kill()
		require.LessOrEqual(t, c.until(3, 3), crewFailover+4*time.Second)
		e := c.join("e")
		c.until(2, 2, 2)
		c.split("s0")
		c.split("s1")
		c.until(2, 3, 3)
		a.stop()
		c.until(4, 4)
		require.Zero(t, c.lost.Load(), "but for the dead, nobody lost one")
		c.end()
		d.stop()
		e.stop()
		c.all.Wait()
		require.Empty(t, slices.DeleteFunc(c.owners(), func(name string) bool { return name == "" }))
	})
}

// TestALostLeaseCostsNothingOfOtherShards: what was gathered of them is delivered, and they are read on.
func TestALostLeaseCostsNothingOfOtherShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, "s0", "s1")
		a := c.join("a")
		c.until(2)
		c.pour(10)
		for _, r := range c.table.list("pipelines/") {
			if strings.HasSuffix(r.Key, "/leases/river/shards/s0") {
				require.NoError(t, c.table.commit(control.Txn{
					Writes: []control.Write{{Key: r.Key, Value: []byte(`{"owner":"thief","epoch":7,"counter":1}`)}},
				}))
			}
		}
		c.pour(1)
		require.Equal(t, []string{"a", "thief"}, c.owners())
		c.until(2)
		c.end()
		a.stop()
		require.Equal(t, []string{
			"a s0 held", "a s1 held", "a s0 lost", "a s0 held", // and s1 all the time
		}, c.events[:4])
		require.Equal(t, int64(1), c.lost.Load())
	})
}

// TestASlowSinkLosesNoLease also has a worker ask for leases: it is served late, or takes them by force, and every row
// arrives once.
func TestASlowSinkLosesNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, "s0", "s1", "s2", "s3")
		c.slow.Store(int64(20 * crewFailover))
		a := c.join("a")
		c.pour(300)
		require.Equal(t, []string{"a", "a", "a", "a"}, c.owners())
		require.Zero(t, c.lost.Load())
		b := c.join("b")
		c.until(2, 2)
		c.pour(60)
		c.slow.Store(0)
		c.end()
		a.stop()
		b.stop()
	})
}
