package lake_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core/scratch"
	"github.com/penstock/penstock/core/vfs"
	"github.com/penstock/penstock/sinks/internal/lake"
	"github.com/penstock/penstock/sinks/internal/ndjson"
	"github.com/penstock/penstock/sinks/internal/parquet"
)

// gathered stages the same rows each time, calling spill after each batch, and returns what is published.
func gathered(t *testing.T, format lake.Format, partitions int, room *scratch.Space, spill func(*lake.Staging)) map[string]string {
	t.Helper()
	store := &keeping{objects: map[string]string{}}
	st, err := lake.Stage(store, keyedLayout(format), connectors.Flush{
		Pipeline: "p", Incarnation: "i", Number: 7, Schema: worded, MaxOutputs: connectors.MaxOutputs, Scratch: room,
	})
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // made-up data
	for range 12 {
		b := words(rng, partitions, 500)
		require.NoError(t, st.Add(t.Context(), b, &connectors.Verdicts{}))
		b.Release()
		spill(st)
	}
	outputs, err := st.Outputs(t.Context())
	require.NoError(t, err)
	require.NoError(t, st.Publish(t.Context(), connectors.Plan{Pipeline: "p", Incarnation: "i", Number: 7, Outputs: outputs}, nil))
	require.NoError(t, st.Discard())
	return store.objects
}

// TestRowsThatWereSpilledAreTheSame, in the same order, as if they had stayed in memory.
func TestRowsThatWereSpilledAreTheSame(t *testing.T) {
	format := lake.Format{NDJSON: &ndjson.Config{}}
	for _, partitions := range []int{3, 200} {
		want := gathered(t, format, partitions, nil, func(*lake.Staging) {})
		require.Len(t, want, partitions+1)
		for name, size := range map[string]int64{"room enough": 1 << 30, "room for some": 300 << 10, "no room": 0} {
			t.Run(fmt.Sprintf("%s, %d partitions", name, partitions), func(t *testing.T) {
				room, err := scratch.New(vfs.OS{}, t.TempDir(), size)
				require.NoError(t, err)
				got := gathered(t, format, partitions, room, func(st *lake.Staging) {
					require.NoError(t, st.Spill(t.Context()))
					if size > 1<<20 {
						require.Less(t, st.Stats().Memory, int64(256<<10), "nothing stays in memory")
					}
				})
				require.Equal(t, want, got)
			})
		}
	}
}

// TestSpillingEndsRowGroupsThatAreWorthIt: what is encoded leaves memory, too.
func TestSpillingEndsRowGroupsThatAreWorthIt(t *testing.T) {
	var most, least int64
	gathered(t, lake.Format{Parquet: &parquet.Config{}}, 1, nil, func(st *lake.Staging) {
		if most > 0 {
			return
		}
		for range 40 {
			b := words(rand.New(rand.NewPCG(5, 6)), 1, 2000) //nolint:gosec // made-up data
			require.NoError(t, st.Add(t.Context(), b, &connectors.Verdicts{}))
			b.Release()
		}
		most = max(most, st.Stats().Memory)
		require.NoError(t, st.Spill(t.Context()))
		least = st.Stats().Memory
	})
	require.Greater(t, most, int64(2<<20))
	require.Less(t, least, int64(1<<20))
}
