package connectors

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
)

// refusals are those of the first rows of the first record of raw.
func refusals(raw core.Batch, rows int) []Refusal {
	out := make([]Refusal, rows)
	for i := range out {
		out[i] = Refusal{raw.Handles().Value(0), int32(i), "stages[0].cast", "bad_cast", "no number"} //nolint:gosec // few
	}
	return out
}

// TestARecordOfManyRefusedRowsIsKeptAFewTimes: each row of it has a letter, and if each had the whole record, a record
// would become as many times larger as it has rows.
func TestARecordOfManyRefusedRowsIsKeptAFewTimes(t *testing.T) {
	const rows = 10_000
	p := &Program{}
	record := strings.Repeat("x", 300<<10)
	raw := rawBatch("s", 0, []string{record})
	defer raw.Release()
	letters := p.letters("p", "i", "src", raw, outcome{verdicts: Verdicts{Refused: refusals(raw, rows)}})
	require.Len(t, letters, rows)
	var size int64
	for i, l := range letters {
		size += l.size()
		require.EqualValues(t, i, l.Ord)
		require.Contains(t, l.Reason, "no number")
		if len(l.Raw) == 0 {
			require.Contains(t, l.Reason, "first letter")
		}
	}
	require.Equal(t, record, string(letters[0].Raw))
	require.Same(t, &letters[0].Raw[0], &letters[1].Raw[0], "letters of a record share it")
	require.Less(t, size, int64(8<<20))

	large := rawBatch("s", 0, []string{strings.Repeat("x", 5<<20), "small"})
	defer large.Release()
	letters = p.letters("p", "i", "src", large, outcome{verdicts: Verdicts{Refused: append(refusals(large, 2), Refusal{Handle: large.Handles().Value(1)})}})
	require.Len(t, letters[0].Raw, 5<<20, "a record is whole in its first letter, however large it is")
	require.Empty(t, letters[1].Raw)
	require.Equal(t, "small", string(letters[2].Raw))
}

// TestAStaleFlushIsFullOfLettersToo: they are all made at once when it closes.
func TestAStaleFlushIsFullOfLettersToo(t *testing.T) {
	raw := rawBatch("s", 0, []string{strings.Repeat("x", 1<<20)})
	defer raw.Release()
	o := outcome{bound: &bound{program: &Program{}}, verdicts: Verdicts{Refused: refusals(raw, 1)}}
	f := &flush{stale: true, bound: o.bound, staging: &coastStaging{}, spans: map[core.ShardID]*PlanSpan{}}
	w := &Worker{}
	cfg := &WorkerConfig{Buffer: BufferConfig{}.WithDefaults()}
	cfg.Buffer.MaxBytes = 1 << 40
	n := 0
	for ; f.full(cfg) == "" && n < 1000; n++ {
		require.NoError(t, f.add(t.Context(), w, raw, o, place{source: "src"}))
	}
	require.Equal(t, reasonMemory, f.full(cfg))
	require.LessOrEqual(t, n, maxLetterBytes>>20)
}
