package parquet_test

import (
	"io"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/generator"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/sinks/internal/parquet"
	"github.com/penstock/penstock/sinks/internal/rowhash"
	"github.com/penstock/penstock/transforms/json"
)

// clicks are made-up events, decoded, and how many bytes they have as JSON.
func clicks(t testing.TB, batches, each int) (out []arrow.Record, size int64) {
	t.Helper()
	g, err := generator.New(generator.Config{})
	require.NoError(t, err)
	d, err := json.New(json.Config{})
	require.NoError(t, err)
	var schema *arrow.Schema
	for n := range batches {
		b := array.NewRecordBuilder(memory.DefaultAllocator, core.RawSchema())
		for i := range each {
			_, data, err := g.Event(nil, int64(n*each+i))
			require.NoError(t, err)
			size += int64(len(data)) + 1
			for c := range 4 {
				b.Field(c).AppendEmptyValue()
			}
			b.Field(4).(*array.BinaryBuilder).Append(data)
		}
		raw := core.Batch{Rows: b.NewRecord()}
		b.Release()
		if schema == nil {
			schema, err = d.Widen(nil, raw, nil)
			require.NoError(t, err)
		}
		rows, _, err := d.Decode(t.Context(), raw, schema, &connectors.Verdicts{})
		require.NoError(t, err)
		out = append(out, rows.Rows)
	}
	return out, size
}

func BenchmarkWrite(b *testing.B) {
	recs, size := clicks(b, 30, 8192)
	for _, codec := range []string{"zstd", "snappy", "none"} {
		b.Run(codec, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				var n counter
				w, err := parquet.New(&n, recs[0].Schema(), parquet.Config{Compression: codec})
				require.NoError(b, err)
				for _, r := range recs {
					require.NoError(b, w.Write(r, nil))
				}
				require.NoError(b, w.Close())
				b.ReportMetric(float64(n)/float64(size), "size/json")
			}
		})
	}
	b.Run("rowhash", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		var hashes []uint64
		for b.Loop() {
			for _, r := range recs {
				var err error
				hashes, err = rowhash.Rows(hashes, r)
				require.NoError(b, err)
			}
		}
	})
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return io.Discard.Write(p)
}
