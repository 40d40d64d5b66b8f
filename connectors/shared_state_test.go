package connectors

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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

type countCoast struct {
	coastView
	name  string
	takes *atomic.Int64
	mu    *sync.Mutex
	began *[]string
}

func (c countCoast) Stage(ctx context.Context, f Flush) (Staging, error) {
	st, err := c.coastView.Stage(ctx, f)
	return countStaging{st, c}, err
}

type countStaging struct {
	Staging
	c countCoast
}

func (s countStaging) Publish(ctx context.Context, p Plan, decide Decide) error {
	s.c.mu.Lock()
	*s.c.began = append(*s.c.began, fmt.Sprintf("%s publishes plan %d (%s) at %s;", s.c.name, p.Number, p.Reason, time.Now().Format("04:05.0")))
	s.c.mu.Unlock()
	select {
	case <-time.After(time.Duration(s.c.takes.Load())):
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.Staging.Publish(ctx, p, decide)
}

func (c *crew) joinCounted(name string, age time.Duration, mu *sync.Mutex, began *[]string) sailor {
	c.joined++
	chaos := &chaos{rng: rand.New(rand.NewPCG(1, c.joined))}
	sink := countCoast{coastView{&c.coast, chaos, false}, name, &c.slow, mu, began}
	w, err := NewWorker(WorkerConfig{
		Pipeline: "p", Program: &Program{Spec: "spec", SpecText: []byte("{}"), Decoder: words{}, Sink: sink},
		Source: riverView{&c.river, chaos}, Start: Start{Kind: StartTrimHorizon}, DeadLetters: sink,
		Store: sound{&c.table, chaos}, Lease: lease.Config{Owner: name, Failover: crewFailover},
		Buffer: BufferConfig{MaxRecords: 1000, MaxAge: Duration(age)}, Drain: time.Minute, Events: c.world.events(),
	})
	require.NoError(c.t, err)
	ctx, cancel := context.WithCancel(c.t.Context())
	ended := make(chan error, 1)
	c.all.Go(func() { ended <- w.Run(ctx) })
	return sailor{
		stop: func() { cancel(); require.NoError(c.t, <-ended) },
		kill: func() { chaos.dead.Store(true); cancel() },
	}
}

func TestAPausedWorkerLeavesPlansToTheLiving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const age = 2 * time.Second
		c := newCrew(t, "s0")
		var mu sync.Mutex
		var began []string
		c.slow.Store(int64(20 * time.Second))
		a := c.joinCounted("a", age, &mu, &began)
		c.pour(10)
		b := c.joinCounted("b", age, &mu, &began)
		time.Sleep(time.Minute) // all is delivered
		count := func() int { mu.Lock(); defer mu.Unlock(); return len(began) }
		for was := count(); count() == was; { // until a has a plan in hand, for 20s
			c.pour(1)
		}
		calm := sound{&c.table, &chaos{}}
		_, _, err := Pause(t.Context(), calm, "p")
		require.NoError(t, err)
		t.Log("paused at", time.Now().Format("04:05.0"))
		time.Sleep(2 * time.Minute)
		mu.Lock()
		t.Log(began)
		seen := map[string]int{}
		for _, s := range began {
			var who string
			var n int
			_, err := fmt.Sscanf(s, "%s publishes plan %d", &who, &n)
			require.NoError(t, err)
			seen[fmt.Sprint("plan ", n)]++
		}
		mu.Unlock()
		a.stop()
		b.stop()
		for plan, n := range seen {
			require.Equal(t, 1, n, "%s was carried out more than once though nobody died", plan)
		}
	})
}

func TestAPlanThatIsLeftOpenDuringAPauseIsFinished(t *testing.T) {
	const age = time.Hour
	open := 0
	for offset := range 25 {
		synctest.Test(t, func(t *testing.T) {
			c := newCrew(t, "s0")
			var mu sync.Mutex
			var began []string
			c.slow.Store(int64(20 * time.Second))
			a := c.joinCounted("a", age, &mu, &began)
			time.Sleep(time.Duration(offset) * 200 * time.Millisecond)
			c.pour(20)
			b := c.joinCounted("b", age, &mu, &began)
			time.Sleep(time.Minute) // a has read all, and gathers
			calm := sound{&c.table, &chaos{}}
			_, _, err := Pause(t.Context(), calm, "p")
			require.NoError(t, err)
			time.Sleep(10 * time.Second)
			a.kill() // which delivers what it had read
			c.slow.Store(0)
			time.Sleep(10 * time.Minute)
			plans, err := OpenPlans(t.Context(), calm, "p")
			require.NoError(t, err)
			mu.Lock()
			t.Logf("offset %d: open %d of %v", offset, len(plans), began)
			mu.Unlock()
			open += min(1, len(plans))
			b.stop()
		})
	}
	require.Zero(t, open, "of 25 pauses left a plan open, 10 minutes after its worker was killed, beside a living worker that waits")
}

// chased is a river that cannot say where its shards end.
type chased struct{ riverView }

func (r chased) Chase(_ context.Context, shard core.ShardID, after core.SequenceNumber) (Reader, error) {
	in, err := r.Read(context.Background(), shard, after)
	return chasing{in.(*riverReader)}, err
}

type chasing struct{ *riverReader }

func (x chasing) Next(ctx context.Context) (b core.Batch, err error) {
	x.r.mu.Lock()
	n := len(x.r.data[x.shard])
	x.r.mu.Unlock()
	if x.next == n {
		return b, ErrCaughtUp
	}
	return x.riverReader.Next(ctx)
}

// away is a table that does not answer from one time to another.
type away struct {
	sound
	from, to time.Time
}

func (a away) wait(ctx context.Context) error {
	if now := time.Now(); now.After(a.from) && now.Before(a.to) {
		select {
		case <-time.After(a.to.Sub(now)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (a away) Get(ctx context.Context, key string) (control.Row, bool, error) {
	if err := a.wait(ctx); err != nil {
		return control.Row{}, false, err
	}
	return a.sound.Get(ctx, key)
}

func (a away) List(ctx context.Context, prefix string) ([]control.Row, error) {
	if err := a.wait(ctx); err != nil {
		return nil, err
	}
	return a.sound.List(ctx, prefix)
}

func (a away) Commit(ctx context.Context, t control.Txn) (int64, error) {
	if err := a.wait(ctx); err != nil {
		return 0, errors.Join(control.ErrUnknown, err)
	}
	return a.sound.Commit(ctx, t)
}

func TestARunUntilCaughtUpWaitsForTheDeadOnesShards(t *testing.T) {
	bad := 0
	for i := range 40 {
		synctest.Test(t, func(t *testing.T) {
			c := newCrew(t, "s0")
			a := c.join("a")
			c.pour(10)
			time.Sleep(time.Minute)
			a.kill()
			c.all.Wait()
			c.pour(3) // 15 records that nobody has delivered
			delivered := func() (n int) {
				c.coast.mu.Lock()
				defer c.coast.mu.Unlock()
				for _, o := range c.coast.objects {
					n += len(o)
				}
				return n
			}
			was := delivered()
			ch := &chaos{rng: rand.New(rand.NewPCG(1, uint64(i)))}
			sink := coastView{&c.coast, ch, false}
			now := time.Now()
			store := away{sound{&c.table, ch}, now.Add(time.Second), now.Add(20*time.Second + time.Duration(i)*100*time.Millisecond)}
			w, err := NewWorker(WorkerConfig{
				Pipeline: "p", Program: &Program{Spec: "spec", SpecText: []byte("{}"), Decoder: words{}, Sink: sink},
				Source: chased{riverView{&c.river, ch}}, Start: Start{Kind: StartTrimHorizon}, DeadLetters: sink,
				Store: store, Lease: lease.Config{Owner: "b", Failover: crewFailover}, UntilCaughtUp: true,
				Buffer: BufferConfig{MaxRecords: 1000, MaxAge: Duration(2 * time.Second)}, Drain: time.Minute, Events: c.world.events(),
			})
			require.NoError(t, err)
			require.NoError(t, w.Run(t.Context()))
			if delivered() == was {
				bad++
			}
		})
	}
	require.Zero(t, bad, "of 40 runs that ended with success delivered nothing")
}
