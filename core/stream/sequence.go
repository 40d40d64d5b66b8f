package stream

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strconv"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
)

// A sequence number has the layout that AWS calls version 2: 47 hex digits, written as 56 decimal ones:
//
//	2 | shard create seconds (9) | shard index, low nibble (1) | sequence index (16) | 00 | seconds (9) | shard index (8) | 2
//
// The sequence index is position (43 bits) and row (20 bits); positions count from the shard's base, which lies above
// every position of its parents, so that numbers rise from parent to child.
type numbering struct {
	created int64 // seconds
	shard   int64 // index of the shard in its stream
}

const (
	rowBits     = 20
	maxSequence = 1<<63 - 1 // index of the end of a closed shard
)

// index is the sequence index of a row of the entry at pos of a shard with this base.
func index(base int64, pos shardlog.Pos, row int) int64 {
	return (base+int64(pos))<<rowBits | int64(row)
}

// number composes the sequence number of an index whose record arrived at a second.
func (n numbering) number(index, seconds int64) core.SequenceNumber {
	// 188 bits in three words, the lowest first.
	i, s := uint64(index), uint64(seconds)&(1<<36-1) //nolint:gosec // an index is not negative
	head := uint64(2<<40 | n.created<<4 | n.shard&0xf)
	return core.SequenceNumber(appendDecimal(make([]byte, 0, 60), [3]uint64{
		uint64(n.shard<<4|2) | s<<36, s>>28 | i<<16, i>>48 | head<<16, //nolint:gosec // as above
	}))
}

const (
	wordDigits = 19
	wordUnit   = 10_000_000_000_000_000_000 // the largest power of ten in a word: 19 digits
)

// appendDecimal appends a number below 10^57 that is given in words, the lowest first, in at least 38 digits. Every
// record that is put gets one, and big.Int takes ten times as long.
func appendDecimal(dst []byte, v [3]uint64) []byte {
	var parts [3]uint64
	for k := range parts {
		var rest uint64
		for w := len(v) - 1; w >= 0; w-- {
			v[w], rest = bits.Div64(rest, v[w], wordUnit)
		}
		parts[k] = rest
	}
	dst = strconv.AppendUint(dst, parts[2], 10)
	for _, part := range []uint64{parts[1], parts[0]} {
		var digits [wordDigits]byte
		for k := len(digits) - 1; k >= 0; k-- {
			digits[k] = byte('0' + part%10)
			part /= 10
		}
		dst = append(dst, digits[:]...)
	}
	return dst
}

// parse returns the index in a sequence number of this shard; ErrInvalid for another shard's, or what is no number.
func (n numbering) parse(s core.SequenceNumber) (int64, error) {
	clean, err := core.ParseSequenceNumber(string(s))
	if err != nil {
		return 0, err
	}
	v, ok := new(big.Int).SetString(string(clean), 10)
	if !ok || v.BitLen() > 188 {
		return 0, fmt.Errorf("sequence number %q is not one of Penstock's: %w", s, core.ErrInvalid)
	}
	low := new(big.Int).And(v, big.NewInt(1<<36-1)).Int64()
	high := new(big.Int).Rsh(v, 36+36+8+64).Int64()
	if low != n.shard<<4|2 || high != 2<<40|n.created<<4|n.shard&0xf {
		return 0, fmt.Errorf("sequence number %s is not of this shard: %w", s, core.ErrInvalid)
	}
	gap := new(big.Int).Rsh(v, 36+36)
	i := new(big.Int).Rsh(gap, 8)
	i.And(i, new(big.Int).SetUint64(math.MaxUint64))
	if gap.And(gap, big.NewInt(0xff)).Sign() != 0 || !i.IsInt64() {
		return 0, fmt.Errorf("sequence number %s has a layout that Penstock gives none: %w", s, core.ErrInvalid)
	}
	return i.Int64(), nil
}

// At composes the sequence number of a record of this shard from its index, which is its handle.
func (n numbering) At(handle, arrivalMillis int64) core.SequenceNumber {
	return n.number(handle, arrivalMillis/1000)
}
