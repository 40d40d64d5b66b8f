package expr

import (
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/transforms/internal/rowtest"
)

const benchRows = 16384

func benchBatch() core.Batch {
	rb := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{
		{Name: "event_type", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "bytes", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	}, nil))
	defer rb.Release()
	for i := range benchRows {
		rb.Field(0).(*array.StringBuilder).Append([]string{"click", "view", "heartbeat"}[i%3])
		rb.Field(1).(*array.Int64Builder).Append(int64(i % 1000))
	}
	rec := rb.NewRecord()
	defer rec.Release()
	return rowtest.Wrap(memory.DefaultAllocator, rec)
}

func BenchmarkExpressions(b *testing.B) {
	batch := benchBatch()
	defer batch.Release()
	for _, c := range []struct{ name, src string }{
		{"filter", `event_type != "heartbeat" && bytes > 0`},
		{"compute", `bytes * 8 / 1000 + 1`},
	} {
		e, err := Parse(c.src)
		require.NoError(b, err)
		p, err := e.Bind(batch.Rows.Schema())
		require.NoError(b, err)
		for name, eval := range map[string]func(core.Batch) *vec{"columns": p.eval, "rows": p.evalRows} {
			b.Run(c.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					eval(batch)
				}
				b.ReportMetric(float64(benchRows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}
