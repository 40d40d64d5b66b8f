package core

import (
	"crypto/md5" //nolint:gosec // Kinesis routes by MD5; nothing is protected by it.
	"encoding/binary"
	"fmt"
	"math/big"
	"math/bits"
)

// HashKey is a point of the hash-key space 0..2^128-1, as AWS routes records by it.
type HashKey struct{ Hi, Lo uint64 }

// MaxHashKey is 2^128-1.
var MaxHashKey = HashKey{^uint64(0), ^uint64(0)}

// HashPartitionKey is the MD5 of the key's UTF-8 bytes read as a big-endian integer, the Kinesis rule.
func HashPartitionKey(key string) HashKey {
	sum := md5.Sum([]byte(key)) //nolint:gosec // see the import
	return HashKey{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:])}
}

// ParseHashKey reads a decimal of 0..2^128-1 without sign or leading zeros; else ErrInvalid.
func ParseHashKey(s string) (HashKey, error) {
	if s == "" || len(s) > 39 || (len(s) > 1 && s[0] == '0') {
		return HashKey{}, fmt.Errorf("hash key %q is not a decimal from 0 to 2^128-1: %w", s, ErrInvalid)
	}
	var k HashKey
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return HashKey{}, fmt.Errorf("hash key %q has a character that is no digit: %w", s, ErrInvalid)
		}
		c, lo := bits.Mul64(k.Lo, 10)
		over, hi := bits.Mul64(k.Hi, 10)
		hi, carry := bits.Add64(hi, c, 0)
		lo, c2 := bits.Add64(lo, uint64(d), 0)
		hi, carry2 := bits.Add64(hi, 0, c2)
		if over != 0 || carry != 0 || carry2 != 0 {
			return HashKey{}, fmt.Errorf("hash key %q is above 2^128-1: %w", s, ErrInvalid)
		}
		k = HashKey{hi, lo}
	}
	return k, nil
}

// Compare orders a and b as integers.
func (a HashKey) Compare(b HashKey) int {
	switch {
	case a == b:
		return 0
	case a.Hi < b.Hi || a.Hi == b.Hi && a.Lo < b.Lo:
		return -1
	default:
		return 1
	}
}

// Next is a+1; of MaxHashKey it is zero.
func (a HashKey) Next() HashKey {
	lo, c := bits.Add64(a.Lo, 1, 0)
	return HashKey{a.Hi + c, lo}
}

// Prev is a-1; of zero it is MaxHashKey.
func (a HashKey) Prev() HashKey {
	lo, b := bits.Sub64(a.Lo, 1, 0)
	return HashKey{a.Hi - b, lo}
}

// String is the decimal form.
func (a HashKey) String() string {
	n := new(big.Int).SetUint64(a.Hi)
	return n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(a.Lo)).String()
}

// HashRange is the part of the hash-key space that a shard owns, both ends included.
type HashRange struct{ Start, End HashKey }

// Contains reports whether k lies in r.
func (r HashRange) Contains(k HashKey) bool { return r.Start.Compare(k) <= 0 && k.Compare(r.End) <= 0 }

// Middle is the key that begins the upper half of r; of a range of one key, that key.
func (r HashRange) Middle() HashKey {
	if r.Start == r.End {
		return r.Start
	}
	lo, b := bits.Sub64(r.End.Lo, r.Start.Lo, 0)
	hi, _ := bits.Sub64(r.End.Hi, r.Start.Hi, b)
	lo, hi = lo>>1|hi<<63, hi>>1
	lo, c := bits.Add64(lo, r.Start.Lo, 1)
	hi, _ = bits.Add64(hi, r.Start.Hi, c)
	return HashKey{hi, lo}
}

// EvenRanges divides the whole space into n ranges of nearly equal size, in order. n must be at least 1.
func EvenRanges(n int) []HashRange {
	space := new(big.Int).Lsh(big.NewInt(1), 128)
	at := func(i int) HashKey {
		v := new(big.Int).Mul(space, big.NewInt(int64(i)))
		v.Div(v, big.NewInt(int64(n)))
		return HashKey{new(big.Int).Rsh(v, 64).Uint64(), v.Uint64()}
	}
	out := make([]HashRange, n)
	for i := range out {
		out[i] = HashRange{at(i), MaxHashKey}
		if i > 0 {
			out[i-1].End = out[i].Start.Prev()
		}
	}
	return out
}
