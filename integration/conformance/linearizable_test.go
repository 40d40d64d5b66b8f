//go:build linux

package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/servetest"
)

// perServer is how many histories one data directory sees.
const perServer = 50

// TestHistoriesAreLinearizable lets clients put, read, reshard, make, delete and tag at the same time, kills the server
// meanwhile, and looks for an order that explains every answer. PENSTOCK_HISTORIES says how often, PENSTOCK_HISTORY_SEED
// with which seed first.
func TestHistoriesAreLinearizable(t *testing.T) {
	histories, seed := 3, 1
	if os.Getenv("REQUIRE_INTEGRATION") == "1" {
		histories = 60
	}
	histories, seed = setting(t, "PENSTOCK_HISTORIES", histories), setting(t, "PENSTOCK_HISTORY_SEED", seed)
	var s *servetest.Server
	var sum tally
	for i := range histories {
		if i%perServer == 0 {
			if s != nil {
				s.Kill()
				require.NoError(t, os.RemoveAll(s.Dir))
			}
			s = servetest.New(t, "--state-delay", "0s")
		}
		sum.one(t, s, uint64(seed+i)) //nolint:gosec // not negative
	}
	t.Logf("campaign=linearizable histories=%d operations=%d unanswered=%d acked=%d read=%d gets=%d shards=%d kills=%d wrong=0",
		histories, sum.ops, sum.unanswered, sum.acked, sum.read, sum.gets, sum.shards, sum.kills)
	require.Positive(t, sum.acked)
}

// tally counts what histories had.
type tally struct{ ops, unanswered, acked, read, gets, shards, kills int }

// one runs a history and checks it.
func (v *tally) one(t *testing.T, s *servetest.Server, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 17))
	h := &history{sdk: s.Client(t), name: fmt.Sprintf("history-%d", seed), began: time.Now(), puts: map[string]*putOp{}}
	_, err := h.sdk.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &h.name, ShardCount: aws.Int32(2)})
	require.NoError(t, err)
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	rows := make(chan []row, 1)
	go func() { rows <- h.follow(ctx) }()
	var wg sync.WaitGroup
	for c := range clients {
		mine := rand.New(rand.NewPCG(rng.Uint64(), 1))
		wg.Go(func() { h.client(ctx, c, mine) })
	}
	for range seed % 3 {
		select {
		case <-time.After(time.Duration(rng.IntN(400)) * time.Millisecond):
		case <-ctx.Done():
		}
		s.Kill()
		v.kills++
		h.up.Lock()
		s.Restart(t)
		h.up.Unlock()
	}
	wg.Wait()
	h.over.Store(true)
	read := <-rows
	require.NoError(t, h.check(read), "history of seed %d", seed)
	v.add(h, read)
	_, err = h.sdk.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: &h.name})
	require.NoError(t, err)
}

func (v *tally) add(h *history, rows []row) {
	shards := map[string]bool{}
	for _, r := range rows {
		shards[r.shard] = true
	}
	for _, p := range h.puts {
		if p.acked {
			v.acked++
		} else {
			v.unanswered++
		}
	}
	v.ops += len(h.puts) + len(h.gets)
	for _, side := range h.sides {
		v.ops += len(side)
	}
	v.read, v.gets, v.shards = v.read+len(rows), v.gets+len(h.gets), v.shards+len(shards)
}
