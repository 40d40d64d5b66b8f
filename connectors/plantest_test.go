package connectors

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
)

// dropDashes is a stage that leaves out the words that begin with a dash.
type dropDashes struct{ schema *arrow.Schema }

func (dropDashes) Columns() []string                   { return []string{"word"} }
func (dropDashes) Bind(s *arrow.Schema) (Stage, error) { return dropDashes{s}, nil }
func (d dropDashes) Schema() *arrow.Schema             { return d.schema }
func (d dropDashes) Apply(_ context.Context, b core.Batch, v *Verdicts) (core.Batch, error) {
	rb := array.NewRecordBuilder(memory.DefaultAllocator, d.schema)
	defer rb.Release()
	for i := range int(b.NumRows()) {
		if b.Rows.Column(4).(*array.String).Value(i)[0] == '-' {
			v.Filter(1, 0)
			continue
		}
		rb.Field(0).(*array.Int64Builder).Append(b.Handles().Value(i))
		for c := 1; c < int(b.Rows.NumCols()); c++ {
			if err := rb.Field(c).AppendValueFromString(b.Rows.Column(c).ValueStr(i)); err != nil {
				return core.Batch{}, err
			}
		}
	}
	return b.WithRows(rb.NewRecord()), nil
}

// world is one run of the model test.
type world struct {
	table  table
	river  river
	coast  coast
	handed atomic.Int64 // plans that were made because another worker asked for a shard
	lost   atomic.Int64 // leases that were taken from a worker while it read
}

// play lets three workers, of which one comes later, run over a river that grows and splits, each frozen, killed and
// restarted by luck, until all is delivered. It returns what is wrong with the coast at the end, or nil.
func play(t *testing.T, seed uint64, fussy bool, without guards) error {
	t.Helper()
	_, _, wrong := playIn(t, seed, fussy, false, without)
	return wrong
}

// playIn is play, with or without a drought, in which records go before they are delivered. It returns what was lost.
func playIn(t *testing.T, seed uint64, fussy, dry bool, without guards) (w *world, lost []Gap, wrong error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w = &world{
			table: table{rows: map[string]control.Row{}},
			river: river{data: map[core.ShardID][]string{}, gone: map[core.ShardID]int{}, shards: []Shard{{ID: "s0"}, {ID: "s1"}}},
			coast: coast{objects: map[string][]string{}, letters: map[string]string{}, plans: map[string]string{}},
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		var all sync.WaitGroup
		for n := range 3 {
			all.Go(func() {
				_ = core.Pause(ctx, time.Duration(n/2)*15*time.Second)
				w.work(ctx, n, seed, fussy, without)
			})
		}
		w.rain(ctx, dry, rand.New(rand.NewPCG(seed, 99)))
		w.settle(ctx)
		cancel()
		all.Wait()
		lost, wrong = w.judge()
	})
	return w, lost, wrong
}

// work runs workers one after the other, each for a random time: stopped gently, or as if killed.
func (w *world) work(ctx context.Context, n int, seed uint64, fussy bool, without guards) {
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	for life := 0; ctx.Err() == nil; life++ {
		luck := &chaos{rng: rng}
		sink := coastView{&w.coast, luck, fussy}
		worker, err := NewWorker(WorkerConfig{
			Pipeline: "p",
			Program: &Program{
				Spec: "spec", SpecText: []byte("{}"), Decoder: words{}, Pinned: []string{"word"}, Sink: sink,
				Stages: []NamedTransform{{Name: "stages[0].drop", Transform: dropDashes{}}},
			},
			Source: riverView{&w.river, luck}, Start: Start{Kind: StartTrimHorizon}, DeadLetters: sink,
			Store:  view{&w.table, luck},
			Lease:  lease.Config{Owner: fmt.Sprintf("w%d-%d", n, life), Failover: 3 * time.Second},
			Buffer: BufferConfig{MaxRecords: int64(5 + luck.n(40)), MaxAge: Duration(time.Duration(1+luck.n(3)) * time.Second)},
			Drain:  time.Duration(luck.n(4000)) * time.Millisecond, // often too short
			Events: w.events(),
		})
		if err != nil {
			panic(err)
		}
		worker.without = without
		mortal, stop := context.WithTimeout(ctx, time.Duration(5+luck.n(120))*time.Second)
		if luck.n(3) == 0 {
			context.AfterFunc(mortal, func() { luck.dead.Store(true) })
		}
		_ = worker.Run(mortal)
		stop()
		_ = core.Pause(ctx, time.Duration(luck.n(3000))*time.Millisecond)
	}
}

// events count what the workers do.
func (w *world) events() *Events {
	return &Events{
		Planned: func(p Plan) {
			if p.Reason == reasonHandOver {
				w.handed.Add(1)
			}
		},
		Lease: func(_ core.ShardID, state string) {
			if state == "lost" {
				w.lost.Add(1)
			}
		},
	}
}

// rain adds records for a while, and splits s0 on the way.
func (w *world) rain(ctx context.Context, dry bool, rng *rand.Rand) {
	serial := 0
	for step := range 40 {
		_ = core.Pause(ctx, time.Duration(rng.IntN(1500))*time.Millisecond)
		if dry {
			w.river.drought(&w.table, rng)
		}
		w.river.mu.Lock()
		if step == 20 {
			w.river.shards[0].Closed = true
			w.river.shards = append(w.river.shards, Shard{ID: "s2", Parents: []core.ShardID{"s0"}}, Shard{ID: "s3", Parents: []core.ShardID{"s0"}})
		}
		for _, s := range w.river.shards {
			if s.Closed {
				continue
			}
			for range rng.IntN(8) {
				kinds := "abc-!"
				if step > 12 {
					kinds = "abcw-!"
				}
				serial++
				w.river.data[s.ID] = append(w.river.data[s.ID], string(kinds[rng.IntN(len(kinds))])+strconv.Itoa(serial))
			}
		}
		w.river.mu.Unlock()
	}
	w.river.mu.Lock()
	defer w.river.mu.Unlock()
	for i := range w.river.shards {
		w.river.shards[i].Closed = true
	}
}

// settle waits until every shard is read to its end, or no hope is left.
func (w *world) settle(ctx context.Context) {
	for ctx.Err() == nil {
		_ = core.Pause(ctx, time.Second)
		progress, err := ListProgress(ctx, view{&w.table, &chaos{rng: rand.New(rand.NewPCG(0, 0))}}, "p")
		if err == nil && len(progress) == 4 && !slices.ContainsFunc(progress, func(p Progress) bool { return !p.Ended }) {
			// Zombies may still write what they hold.
			_ = core.Pause(ctx, 2*time.Minute)
			return
		}
	}
}

// judge compares the coast with the river, and returns the gaps between them.
func (w *world) judge() (lost []Gap, wrong error) {
	progress, err := ListProgress(context.Background(), view{&w.table, &chaos{rng: rand.New(rand.NewPCG(0, 0))}}, "p")
	if err != nil {
		return nil, err
	}
	var totals Counts
	var records, trimmed int64
	gaps := map[string]Gap{}
	for _, p := range progress {
		totals = totals.Add(p.Totals)
		lost = append(lost, p.Lost...)
		for _, g := range p.Lost {
			from, _ := strconv.Atoi(string(g.From))
			through, _ := strconv.Atoi(string(g.Through))
			trimmed += int64(through - from)
			for _, word := range w.river.data[p.Shard][from:through] {
				gaps[word] = g
			}
		}
	}
	got := map[string]int{}
	for _, object := range w.coast.objects {
		for _, word := range object {
			got[word]++
		}
	}
	for _, raw := range w.coast.letters {
		got[raw]++
	}
	var errs []error
	for _, words := range w.river.data {
		records += int64(len(words))
		for _, word := range words {
			n := got[word]
			delete(got, word)
			g, missed := gaps[word]
			switch {
			case word[0] == '-' && n == 0, !missed && word[0] != '-' && n == 1, missed && n == 0:
			case missed && g.Plan != 0 && n == 1: // by a worker that did not know that its plan was given up
			default:
				errs = append(errs, fmt.Errorf("%s arrived %d times, in a gap: %v", word, n, missed))
			}
		}
	}
	for word := range got {
		errs = append(errs, fmt.Errorf("%s was never sent on", word))
	}
	if totals.Rows+trimmed != records || totals.Trimmed != trimmed || !totals.Balanced() {
		errs = append(errs, fmt.Errorf("ledger %+v, want %d rows and %d trimmed", totals, records-trimmed, trimmed))
	}
	if left := w.table.list("pins/"); len(left) > 0 {
		errs = append(errs, fmt.Errorf("%d pins are left", len(left)))
	}
	return lost, errors.Join(errs...)
}

func seeds() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("PENSTOCK_PLANTEST_SEEDS"), 10, 32); err == nil {
		return n
	}
	return 20
}

func TestEveryRowArrivesOnceWhateverHappensToTheWorkers(t *testing.T) {
	var handed, lost int64
	for seed := range seeds() {
		for _, fussy := range []bool{false, true} {
			w, _, err := playIn(t, seed, fussy, false, guards{})
			require.NoError(t, err, "seed %d, fussy %v", seed, fussy)
			handed += w.handed.Load()
			lost += w.lost.Load()
		}
	}
	t.Logf("campaign=plans seeds=%d plans_for_hand_overs=%d leases_lost=%d violations=0", seeds(), handed, lost)
	require.NotZero(t, handed)
	require.NotZero(t, lost)
}

func TestWhatGoesBeforeItIsDeliveredIsCountedAndTheRestArrives(t *testing.T) {
	var unread, plans int
	for seed := range seeds() {
		for _, fussy := range []bool{false, true} {
			_, lost, err := playIn(t, seed, fussy, true, guards{})
			require.NoError(t, err, "seed %d, fussy %v", seed, fussy)
			for _, g := range lost {
				if g.Plan == 0 {
					unread++
				} else {
					plans++
				}
			}
		}
	}
	require.NotZero(t, unread)
	require.NotZero(t, plans)
	t.Logf("%d gaps were never read, %d were of open plans", unread, plans)
}

// Leases are for liveness. What makes a row arrive once is that a plan is committed only where the checkpoint stands.
func TestRowsArriveOnceEvenIfTwoWorkersBothBelieveThatTheyOwnAShard(t *testing.T) {
	for seed := range seeds() {
		require.NoError(t, play(t, seed, true, guards{lease: true}), "seed %d", seed)
	}
}

func TestEachGuardIsNeeded(t *testing.T) {
	for name, without := range map[string]guards{
		"from":      {lease: true, from: true}, // with leases alone, an epoch that restarts would go unnoticed
		"open plan": {lease: true, openPlan: true},
		"decide":    {decide: true},
		"plan row":  {planRow: true},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(200) {
				if play(t, seed, true, without) != nil {
					return
				}
			}
			t.Fatal("200 seeds ran clean without the guard: the model test would not notice its loss")
		})
	}
}
