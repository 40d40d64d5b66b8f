package connectors

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
)

// provenPlan is a plan of one shard with one row an unit of sequence number.
func provenPlan(number int64, from, through core.SequenceNumber) Plan {
	rows := Counts{Records: 1, Rows: 1, Written: 1}
	return Plan{
		Pipeline: "p", Incarnation: "i", Number: number,
		Spans:   []PlanSpan{{Source: "s", Shard: "0", From: from, ProofFrom: from, Through: through, Counts: rows}},
		Outputs: []Output{{Name: "o", Rows: 1}},
	}
}

// A worker numbers its flush when it begins, and may be handed a shard for it later, so numbers are not in the order of
// the spans.
func TestProofFollowsSpansInWhateverOrderTheirPlansAre(t *testing.T) {
	plans := []Plan{provenPlan(1, "", "10"), provenPlan(3, "10", "20"), provenPlan(2, "20", "30"), provenPlan(4, "30", "40")}
	rand.Shuffle(len(plans), func(i, j int) { plans[i], plans[j] = plans[j], plans[i] })
	proof := NewProof("p")
	for _, p := range plans {
		proof.Add(p)
	}
	for range 2 { // asking changes nothing
		r := proof.Report()
		require.Empty(t, r.Problems)
		require.Equal(t, []ShardProof{{
			Incarnation: "i", Source: "s", Shard: "0", Through: "40", Counts: Counts{Records: 4, Rows: 4, Written: 4},
		}}, r.Shards)
	}
}

func TestProofSeesGapsAndOverlaps(t *testing.T) {
	for name, tt := range map[string]struct {
		last Plan
		want string
	}{
		"gap":      {provenPlan(2, "11", "20"), `plan 2, 0: a gap: it begins after "11", plan 1 before it ends at "10"`},
		"overlap":  {provenPlan(2, "9", "20"), `plan 2, 0: an overlap: it begins after "9", plan 1 before it ends at "10"`},
		"inside":   {provenPlan(2, "5", "7"), `plan 2, 0: an overlap: it begins after "5", plan 1 before it ends at "10"`},
		"the same": {provenPlan(2, "", "10"), `plan 2, 0: an overlap: it begins after "", plan 1 before it ends at "10"`},
	} {
		t.Run(name, func(t *testing.T) {
			proof := NewProof("p")
			proof.Add(tt.last)
			proof.Add(provenPlan(1, "", "10"))
			require.Equal(t, []string{tt.want}, proof.Report().Problems)
		})
	}
}
