package parquet

import (
	"encoding/binary"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/cespare/xxhash/v2"
)

// dictionary numbers the distinct values of a column chunk in the order in which they are met.
type dictionary struct {
	slots  []uint32 // number+1 of the value whose hash leads there; 0: free
	hashes []uint32
	ends   []int32 // where each value ends in plain
	plain  []byte  // the values as a page has them
}

const (
	maxDictionaryBytes  = 1 << 20
	maxDictionaryValues = 1 << 16
	minSlots            = 256
)

func newDictionary() *dictionary { return &dictionary{slots: make([]uint32, minSlots)} }

// full reports whether the dictionary outgrew its bounds; the values to come are better written plainly.
func (d *dictionary) full() bool {
	return len(d.plain) > maxDictionaryBytes || len(d.hashes) > maxDictionaryValues
}

// held is how much memory it takes.
func (d *dictionary) held() int64 {
	return int64(cap(d.plain) + 4*len(d.slots) + 4*cap(d.hashes) + 4*cap(d.ends))
}

// value is value i as a page has it.
func (d *dictionary) value(i int32) []byte {
	from := int32(0)
	if i > 0 {
		from = d.ends[i-1]
	}
	return d.plain[from:d.ends[i]]
}

// text is the number of a string.
func (d *dictionary) text(s []byte) int32 {
	h := uint32(xxhash.Sum64(s)) //nolint:gosec // the low bits of it
	mask := uint32(len(d.slots) - 1)
	for k := h & mask; d.slots[k] != 0; k = (k + 1) & mask {
		if i := int32(d.slots[k] - 1); d.hashes[i] == h && string(d.value(i)[4:]) == string(s) { //nolint:gosec // bounded by maxDictionaryValues and one batch
			return i
		}
	}
	d.plain = append(binary.LittleEndian.AppendUint32(d.plain, uint32(len(s))), s...) //nolint:gosec // bounded by a record
	return d.add(h)
}

// word is the number of a value of 64 bits.
func (d *dictionary) word(v uint64) int32 {
	h := uint32(v * 0x9e3779b97f4a7c15 >> 32) //nolint:gosec // the high bits of it
	mask := uint32(len(d.slots) - 1)
	for k := h & mask; d.slots[k] != 0; k = (k + 1) & mask {
		if i := int32(d.slots[k] - 1); d.hashes[i] == h && binary.LittleEndian.Uint64(d.plain[8*i:]) == v { //nolint:gosec // as above
			return i
		}
	}
	d.plain = binary.LittleEndian.AppendUint64(d.plain, v)
	return d.add(h)
}

// add numbers the value that was appended to plain.
func (d *dictionary) add(h uint32) int32 {
	n := len(d.hashes)
	d.hashes, d.ends = append(d.hashes, h), append(d.ends, int32(len(d.plain))) //nolint:gosec // bounded by maxDictionaryBytes and one batch
	if 2*len(d.hashes) > len(d.slots) {
		d.slots = make([]uint32, 2*len(d.slots))
		for i, h := range d.hashes {
			d.put(uint32(i+1), h) //nolint:gosec // as above
		}
	} else {
		d.put(uint32(n+1), h) //nolint:gosec // as above
	}
	return int32(n) //nolint:gosec // as above
}

func (d *dictionary) put(number, h uint32) {
	mask := uint32(len(d.slots) - 1) //nolint:gosec // a power of two
	k := h & mask
	for d.slots[k] != 0 {
		k = (k + 1) & mask
	}
	d.slots[k] = number
}

const sampleValues = 1024

// repeats reports whether the first values of a column recur enough for a dictionary to pay.
func repeats(a arrow.Array) bool {
	var at func(int) string
	switch a := a.(type) {
	case *array.String:
		at = a.Value
	case *array.LargeString:
		at = a.Value
	case *array.Binary:
		at = a.ValueString
	case *array.LargeBinary:
		at = a.ValueString
	case *array.Int64, *array.Uint64, *array.Float64, *array.Timestamp:
		return wordsRepeat(a)
	default:
		return false
	}
	seen := map[string]struct{}{}
	count := 0
	for i := 0; i < a.Len() && count < sampleValues; i++ {
		if a.IsValid(i) {
			count++
			seen[at(i)] = struct{}{}
		}
	}
	return count < 64 || len(seen)*2 < count
}

func wordsRepeat(a arrow.Array) bool {
	seen := map[uint64]struct{}{}
	count := 0
	for i, v := range words(a) {
		if count == sampleValues {
			break
		}
		if a.IsValid(i) {
			count++
			seen[v] = struct{}{}
		}
	}
	return len(seen)*4 < count
}
