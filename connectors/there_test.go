package connectors

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
)

// TestReadThereWaitsForNothing, not where the newest record expires between the listing of the shards and the reading.
func TestReadThereWaitsForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, "s0")
		c.pour(1)
		src := riverView{&c.river, &chaos{rng: rand.New(rand.NewPCG(1, 1))}}
		last := core.SequenceNumber("5")
		c.river.gone["s0"] = 5
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		err := ReadThere(ctx, src, Shard{ID: "s0", Last: last}, "", func(core.Batch) (bool, error) { return true, nil })
		require.NoError(t, err, "it waited an hour for a record that comes later")
	})
}
