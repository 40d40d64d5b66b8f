package stream

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestNumbersAreThoseOfBigIntegers: the layout by the book, shifted together.
func TestNumbersAreThoseOfBigIntegers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := numbering{rapid.Int64Range(0, 1<<36-1).Draw(t, "created"), rapid.Int64Range(0, MaxShards).Draw(t, "shard")}
		index, seconds := rapid.Int64Range(0, maxSequence).Draw(t, "index"), rapid.Int64Range(0, 1<<36-1).Draw(t, "seconds")
		v := big.NewInt(2<<40 | n.created<<4 | n.shard&0xf)
		v.Lsh(v, 64).Or(v, big.NewInt(index))
		v.Lsh(v, 8+36).Or(v, big.NewInt(seconds))
		v.Lsh(v, 32+4).Or(v, big.NewInt(n.shard<<4|2))
		require.Equal(t, v.String(), string(n.number(index, seconds)))
	})
}

func BenchmarkNumber(b *testing.B) {
	n := numbering{created: 1_400_000_000, shard: 3}
	b.ReportAllocs()
	for b.Loop() {
		_ = n.number(1<<40, 1_500_000_000)
	}
}
