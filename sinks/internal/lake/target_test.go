package lake_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/sinks/internal/lake"
	"github.com/penstock/penstock/sinks/internal/ndjson"
	"github.com/penstock/penstock/sinks/internal/parquet"
)

var worded = core.SchemaOf(
	arrow.Field{Name: "p", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	arrow.Field{Name: "word", Type: arrow.BinaryTypes.String, Nullable: true},
	arrow.Field{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
)

// words is a batch of rows of random partitions, a fifth of them of partition 0.
func words(rng *rand.Rand, partitions, rows int) core.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, worded)
	defer b.Release()
	for i := range rows {
		p := 0
		if i%5 > 0 {
			p = rng.IntN(partitions)
		}
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.Int32Builder).Append(0)
		b.Field(2).(*array.TimestampBuilder).Append(0)
		b.Field(3).(*array.StringBuilder).Append("k")
		b.Field(4).(*array.Int64Builder).Append(int64(p))
		b.Field(5).(*array.StringBuilder).Append(fmt.Sprintf("word %x and a tail that repeats", rng.Uint64()))
		b.Field(6).(*array.Int64Builder).Append(rng.Int64())
	}
	return core.Batch{Rows: b.NewRecord()}
}

// TestAFileThatReachesItsTargetIsSeen, however many partitions there are, and closes near the target.
func TestAFileThatReachesItsTargetIsSeen(t *testing.T) {
	const target = 512 << 10
	for name, format := range map[string]lake.Format{
		"parquet": {Parquet: &parquet.Config{}}, "plain parquet": {Parquet: &parquet.Config{Compression: "none"}},
		"gzip": {NDJSON: &ndjson.Config{Compression: "gzip"}},
	} {
		for _, partitions := range []int{1, 400} {
			t.Run(fmt.Sprintf("%s in %d", name, partitions), func(t *testing.T) {
				l := keyedLayout(format)
				l.TargetFileSize = target
				store := &counting{}
				st, err := lake.Stage(store, l, connectors.Flush{Pipeline: "p", Incarnation: "i", Number: 7, Schema: worded, MaxOutputs: connectors.MaxOutputs})
				require.NoError(t, err)
				rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // made-up data
				rows := 0
				for st.Stats().Largest < target {
					b := words(rng, partitions, 1000)
					require.NoError(t, st.Add(t.Context(), b, &connectors.Verdicts{}))
					b.Release()
					rows += 1000
					require.Less(t, rows, 1_000_000, "no file was seen to reach the target")
				}
				outputs, err := st.Outputs(t.Context())
				require.NoError(t, err)
				require.NoError(t, st.Publish(t.Context(), connectors.Plan{Pipeline: "p", Incarnation: "i", Number: 7, Outputs: outputs}, nil))
				require.NoError(t, st.Discard())
				size := store.names[outputs[0].Name]
				t.Logf("%d rows, %d KiB", rows, size>>10)
				require.InDelta(t, target, size, target*0.25)
				require.LessOrEqual(t, store.most, 500)
			})
		}
	}
}
