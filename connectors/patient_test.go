package connectors

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog"
)

// scarce is a store whose log has no room for every second commit.
type scarce struct {
	lease.Store
	commits atomic.Int64
	why     error
}

func (s *scarce) Commit(ctx context.Context, t control.Txn) (int64, error) {
	if s.commits.Add(1)%2 == 1 {
		return 0, fmt.Errorf("commit: %w", s.why)
	}
	return s.Store.Commit(ctx, t)
}

// TestAPipelineWaitsForRoomInTheControlLog, whatever it was about to write: nothing was written, and nobody would start it
// again.
func TestAPipelineWaitsForRoomInTheControlLog(t *testing.T) {
	for name, why := range map[string]error{"a full disk": shardlog.ErrFull, "a full queue": core.ErrThrottled} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				luck := &chaos{rng: rand.New(rand.NewPCG(1, 2))}
				var records []string
				for i := range 300 {
					records = append(records, fmt.Sprintf("%c%d", "abw!"[i%4], i))
				}
				w := &world{
					table: table{rows: map[string]control.Row{}},
					river: river{data: map[core.ShardID][]string{"s0": records}, shards: []Shard{{ID: "s0", Closed: true}}},
					coast: coast{objects: map[string][]string{}, letters: map[string]string{}, plans: map[string]string{}},
				}
				sink := coastView{&w.coast, luck, false}
				var retried atomic.Int64
				worker, err := NewWorker(WorkerConfig{
					Pipeline: "p", Program: &Program{Spec: "spec", SpecText: []byte("{}"), Decoder: words{}, Sink: sink},
					Source: ended{riverView{&w.river, luck}}, Start: Start{Kind: StartTrimHorizon}, DeadLetters: sink,
					Store: &scarce{Store: view{&w.table, luck}, why: why}, Lease: lease.Config{Owner: "w", Failover: time.Hour},
					Buffer: BufferConfig{MaxRecords: 50, MaxAge: Duration(time.Hour)},
					Events: &Events{Retry: func(what string, _ int, _ time.Duration, err error) {
						if what == "commit" && errors.Is(err, why) {
							retried.Add(1)
						}
					}},
				})
				require.NoError(t, err)
				require.NoError(t, worker.Run(t.Context()))
				_, err = w.judge()
				require.NoError(t, err)
				require.NotZero(t, retried.Load())
			})
		})
	}
}
