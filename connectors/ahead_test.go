package connectors

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
)

// slowWords is the decoder words, taking its time, and a different one for each batch.
type slowWords struct {
	words
	luck *chaos
	mu   *sync.Mutex
	now  *int
	most *int // how many batches were decoded at once
}

func (d slowWords) Decode(ctx context.Context, raw core.Batch, s *arrow.Schema, v *Verdicts) (core.Batch, bool, error) {
	d.mu.Lock()
	*d.now++
	*d.most = max(*d.most, *d.now)
	d.mu.Unlock()
	time.Sleep(time.Duration(100+d.luck.n(900)) * time.Millisecond)
	d.mu.Lock()
	*d.now--
	d.mu.Unlock()
	return d.words.Decode(ctx, raw, s, v)
}

// ended is a river that ends.
type ended struct{ riverView }

func (ended) Finite() bool { return true }

// TestABigShardIsDecodedOnAllProcessors, and its batches are handed over in order, also while the schema grows.
func TestABigShardIsDecodedOnAllProcessors(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	synctest.Test(t, func(t *testing.T) {
		luck := &chaos{rng: rand.New(rand.NewPCG(1, 2))}
		var want []string
		for i := range 3000 {
			kind := "abc!"[i%4]
			if i == 1700 {
				kind = 'w'
			}
			want = append(want, fmt.Sprintf("%c%d", kind, i))
		}
		w := &world{
			table: table{rows: map[string]control.Row{}},
			river: river{data: map[core.ShardID][]string{"s0": want}, shards: []Shard{{ID: "s0", Closed: true}}},
			coast: coast{objects: map[string][]string{}, letters: map[string]string{}, plans: map[string]string{}},
		}
		now, most := 0, 0
		var seen []string
		sink := coastView{&w.coast, luck, false}
		worker, err := NewWorker(WorkerConfig{
			Pipeline: "p",
			Program: &Program{
				Spec: "spec", SpecText: []byte("{}"), Decoder: slowWords{luck: luck, mu: &sync.Mutex{}, now: &now, most: &most}, Sink: sink,
			},
			Source: ended{riverView{&w.river, luck}}, Start: Start{Kind: StartTrimHorizon}, DeadLetters: sink,
			Store: view{&w.table, luck}, Lease: lease.Config{Owner: "w", Failover: time.Hour},
			Buffer: BufferConfig{MaxRecords: 500, MaxAge: Duration(time.Hour)},
			Events: &Events{Read: func(b core.Batch, _ time.Duration) {
				for i := range int(b.NumRows()) {
					seen = append(seen, string(rawData(b).Value(i)))
				}
			}},
		})
		require.NoError(t, err)
		require.NoError(t, worker.Run(t.Context()))
		require.Equal(t, want, seen)
		_, err = w.judge()
		require.NoError(t, err)
		require.Greater(t, most, 2, "batches are decoded one after another")
	})
}
