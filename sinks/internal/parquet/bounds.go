package parquet

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/parquet-go/parquet-go/format"
)

// maxBound is how long a string may be to stand in the footer as a bound.
const maxBound = 64

// bounds are the least and the greatest value of a column chunk, which let readers pass over row groups.
type bounds struct {
	any      bool
	min, max uint64 // of numbers, by their bits in 64; of strings their first eight bytes
	from, to []byte // of strings, cut where they are too long to be of use
}

func (b *bounds) bool(v bool) {
	x := uint64(0)
	if v {
		x = 1
	}
	if !b.any || x < b.min {
		b.min = x
	}
	if !b.any || x > b.max {
		b.max = x
	}
	b.any = true
}

// text takes a string.
func (b *bounds) text(s []byte) {
	k := prefix(s)
	if b.any && k > b.min && k < b.max {
		return
	}
	s = s[:min(len(s), maxBound+1)]
	if !b.any || bytes.Compare(s, b.from) < 0 {
		b.from, b.min = append(b.from[:0], s...), k
	}
	if !b.any || bytes.Compare(s, b.to) > 0 {
		b.to, b.max = append(b.to[:0], s...), k
	}
	b.any = true
}

// prefix orders strings by their first eight bytes.
func prefix(s []byte) uint64 {
	if len(s) >= 8 {
		return binary.BigEndian.Uint64(s)
	}
	var b [8]byte
	copy(b[:], s)
	return binary.BigEndian.Uint64(b[:])
}

// words takes values of 64 bits as a page has them.
func (b *bounds) words(kind arrow.Type, page []byte) {
	switch kind {
	case arrow.FLOAT64:
		for ; len(page) >= 8; page = page[8:] {
			b.float(math.Float64frombits(binary.LittleEndian.Uint64(page)))
		}
	case arrow.UINT64:
		for ; len(page) >= 8; page = page[8:] {
			b.unsigned(binary.LittleEndian.Uint64(page))
		}
	default:
		for ; len(page) >= 8; page = page[8:] {
			b.signed(int64(binary.LittleEndian.Uint64(page))) //nolint:gosec // by its bits
		}
	}
}

// narrow takes values of 32 bits as a page has them.
func (b *bounds) narrow(kind arrow.Type, page []byte) {
	for ; len(page) >= 4; page = page[4:] {
		v := binary.LittleEndian.Uint32(page)
		switch kind {
		case arrow.FLOAT32:
			b.float(float64(math.Float32frombits(v)))
		case arrow.UINT8, arrow.UINT16, arrow.UINT32:
			b.unsigned(uint64(v))
		default:
			b.signed(int64(int32(v))) //nolint:gosec // by its bits
		}
	}
}

func (b *bounds) signed(v int64) {
	if !b.any || v < int64(b.min) { //nolint:gosec // by its bits
		b.min = uint64(v) //nolint:gosec // by its bits
	}
	if !b.any || v > int64(b.max) { //nolint:gosec // by its bits
		b.max = uint64(v) //nolint:gosec // by its bits
	}
	b.any = true
}

func (b *bounds) unsigned(v uint64) {
	if !b.any || v < b.min {
		b.min = v
	}
	if !b.any || v > b.max {
		b.max = v
	}
	b.any = true
}

// float leaves NaNs out, which readers do too. Of zeros the bounds hold both.
func (b *bounds) float(v float64) {
	if v != v {
		return
	}
	if !b.any || v < math.Float64frombits(b.min) {
		b.min = math.Float64bits(v)
	}
	if !b.any || v > math.Float64frombits(b.max) {
		b.max = math.Float64bits(v)
	}
	b.any = true
}

// dictionary takes all values of a dictionary, of numbers of the type that kind says.
func (b *bounds) dictionary(kind arrow.Type, typ format.Type, d *dictionary) {
	if typ != format.ByteArray {
		b.words(kind, d.plain)
		return
	}
	for i := range d.ends {
		b.text(d.value(int32(i))[4:]) //nolint:gosec // bounded by maxDictionaryValues
	}
}

// statistics are those of a chunk with that many nulls. Bounds are left out where there is no value, or a long one.
func (b *bounds) statistics(typ format.Type, nulls int64) format.Statistics {
	s := format.Statistics{NullCount: nulls}
	if !b.any || len(b.from) > maxBound || len(b.to) > maxBound {
		return s
	}
	switch typ { //nolint:exhaustive // the others are not made
	case format.Boolean:
		s.MinValue, s.MaxValue = []byte{byte(b.min)}, []byte{byte(b.max)} //nolint:gosec // 0 or 1
	case format.Int32:
		s.MinValue, s.MaxValue = narrowBytes(uint32(b.min)), narrowBytes(uint32(b.max)) //nolint:gosec // by its bits
	case format.Float:
		low, high := b.zeros()
		s.MinValue, s.MaxValue = narrowBytes(math.Float32bits(float32(low))), narrowBytes(math.Float32bits(float32(high)))
	case format.Int64:
		s.MinValue, s.MaxValue = wideBytes(b.min), wideBytes(b.max)
	case format.Double:
		low, high := b.zeros()
		s.MinValue, s.MaxValue = wideBytes(math.Float64bits(low)), wideBytes(math.Float64bits(high))
	case format.ByteArray:
		s.MinValue, s.MaxValue = b.from, b.to
	}
	return s
}

// zeros are the bounds of doubles, those that are zero with the sign that covers both zeros.
func (b *bounds) zeros() (low, high float64) {
	low, high = math.Float64frombits(b.min), math.Float64frombits(b.max)
	if low == 0 {
		low = math.Copysign(0, -1)
	}
	if high == 0 {
		high = 0
	}
	return low, high
}

func wideBytes(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

func narrowBytes(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
