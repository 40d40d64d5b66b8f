package metrics

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
)

// TestASourceThatKnowsSaysHowFarBehindItIs: one that waits for a server that does not answer is not at the tip.
func TestASourceThatKnowsSaysHowFarBehindItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New("")
		e := m.Events("p")
		age := func() float64 {
			m.ages.mu.Lock()
			defer m.ages.mu.Unlock()
			return m.ages.shards[shardKey{"p", "s"}].behind(time.Now())
		}
		shard := core.ShardID("s")
		e.Asked(shard)
		time.Sleep(time.Second)
		require.Zero(t, age(), "it waits, so there is nothing")
		e.Behind(shard, 5*time.Second)
		time.Sleep(time.Second)
		require.InDelta(t, 5000, age(), 0)
		e.Behind(shard, 0)
		require.Zero(t, age())
		time.Sleep(time.Minute)
		require.InDelta(t, 60_000, age(), 0)
	})
}
