package stream

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/core/vfs"
)

// BenchmarkPut puts 500 records a call, or 4 MiB of large ones, from eight callers on the real file system.
func BenchmarkPut(b *testing.B) {
	for _, shards := range []int{1, 16, 1000} {
		for _, size := range []int{100, 1024, 100 << 10} {
			if size > 1024 && shards != 16 {
				continue
			}
			b.Run(fmt.Sprint("shards=", shards, "/", size, "B"), func(b *testing.B) { benchmarkPut(b, shards, size, 500) })
		}
	}
}

// BenchmarkPutOne puts one record a call.
func BenchmarkPutOne(b *testing.B) {
	for _, shards := range []int{1, 1000} {
		b.Run(fmt.Sprint("shards=", shards), func(b *testing.B) { benchmarkPut(b, shards, 100, 1) })
	}
}

func benchmarkPut(b *testing.B, shards, size, each int) {
	e, err := local.Open(vfs.OS{}, b.TempDir(), local.Config{})
	require.NoError(b, err)
	c, err := control.Open(b.Context(), e, "control", "bench", control.Config{})
	require.NoError(b, err)
	n := NewStore(e, c, "bench")
	_, err = n.Create(b.Context(), "s", Settings{Shards: shards})
	require.NoError(b, err)
	s, err := n.Open(b.Context(), "s")
	require.NoError(b, err)
	data := make([]byte, size)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	each = max(1, min(each, (4<<20)/size))
	call := func(from int) []Record {
		records := make([]Record, each)
		for i := range records {
			records[i] = Record{Key: fmt.Sprint("key-", from*each+i), Data: data}
		}
		return records
	}
	for i := range max(1, 20*shards/each) { // every shard is claimed before the clock runs
		_, err := s.Put(b.Context(), call(i))
		require.NoError(b, err)
	}
	b.SetBytes(int64(size * each))
	b.ReportAllocs()
	b.SetParallelism(4)
	b.ResetTimer()
	var callers atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		records := call(int(callers.Add(1)) * 1000)
		for pb.Next() {
			out, err := s.Put(b.Context(), records)
			if err != nil || out[0].Err != nil {
				b.Error(err, out)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N*each)/b.Elapsed().Seconds(), "records/s")
	require.NoError(b, c.Close())
	require.NoError(b, e.Close())
}
