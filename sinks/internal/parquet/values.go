package parquet

import (
	"encoding/binary"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/parquet-go/parquet-go/format"
)

// append appends values to the open page.
func (c *column) append(a arrow.Array, at picks) {
	if at.len() == 0 {
		return
	}
	switch c.typ { //nolint:exhaustive // the others are not made
	case format.Boolean:
		c.appendBools(a.(*array.Boolean), at)
	case format.Int32, format.Float:
		c.appendNarrow(a, at)
	case format.Int64, format.Double:
		c.appendWide(a, at)
	case format.ByteArray:
		switch a := a.(type) {
		case *array.String, *array.Binary:
			d := a.Data()
			appendTexts(c, arrow.Int32Traits.CastFromBytes(d.Buffers()[1].Bytes())[d.Offset():], bytesOf(d), at)
		case *array.LargeString, *array.LargeBinary:
			d := a.Data()
			appendTexts(c, arrow.Int64Traits.CastFromBytes(d.Buffers()[1].Bytes())[d.Offset():], bytesOf(d), at)
		}
	}
}

// bytesOf are the bytes of strings; there is no buffer where they all are empty.
func bytesOf(d arrow.ArrayData) []byte {
	if b := d.Buffers()[2]; b != nil {
		return b.Bytes()
	}
	return nil
}

func (c *column) appendBools(a *array.Boolean, at picks) {
	for k := range at.len() {
		if c.bits&7 == 0 {
			c.plain = append(c.plain, 0)
		}
		v := a.Value(at.at(k))
		if v {
			c.plain[len(c.plain)-1] |= 1 << (c.bits & 7)
		}
		c.bits++
		c.bounds.bool(v)
	}
}

// at is the index of pick k.
func (p *picks) at(k int) int {
	if p.idx != nil {
		return int(p.idx[k])
	}
	return p.from + k
}

// appendWide appends values of 64 bits.
func (c *column) appendWide(a arrow.Array, at picks) {
	values := words(a)
	if c.live {
		for k := range at.len() {
			c.index = append(c.index, c.dict.word(values[at.at(k)]))
		}
		return
	}
	n := at.len()
	dst := extend(c.plain, 8*n)
	out := dst[len(c.plain):]
	if at.idx == nil {
		for k, v := range values[at.from:at.to] {
			binary.LittleEndian.PutUint64(out[8*k:], v)
		}
	} else {
		for k, i := range at.idx {
			binary.LittleEndian.PutUint64(out[8*k:], values[i])
		}
	}
	c.plain = dst
	c.bounds.words(a.DataType().ID(), out)
}

// extend makes room for n more bytes, which are set to anything.
func extend(b []byte, n int) []byte {
	if cap(b)-len(b) < n {
		b = append(make([]byte, 0, max(len(b)+n, min(2*cap(b), cap(b)+pageBytes))), b...)
	}
	return b[:len(b)+n]
}

// words are the values of an array of 64 bits a value, by their bits. Parquet has no seconds: they become milliseconds.
func words(a arrow.Array) []uint64 {
	d := a.Data()
	out := arrow.Uint64Traits.CastFromBytes(d.Buffers()[1].Bytes())[d.Offset() : d.Offset()+d.Len()]
	if t, ok := a.DataType().(*arrow.TimestampType); ok && t.Unit == arrow.Second {
		ms := make([]uint64, len(out))
		for i, v := range out {
			ms[i] = v * 1000
		}
		return ms
	}
	return out
}

// appendNarrow appends values of 32 bits. Narrower integers are stored in 32 bits, by their value.
func (c *column) appendNarrow(a arrow.Array, at picks) {
	values := narrow(a)
	n := at.len()
	dst := extend(c.plain, 4*n)
	out := dst[len(c.plain):]
	for k := range n {
		binary.LittleEndian.PutUint32(out[4*k:], values[at.at(k)])
	}
	c.plain = dst
	c.bounds.narrow(a.DataType().ID(), out)
}

func narrow(a arrow.Array) []uint32 {
	switch a := a.(type) {
	case *array.Int8:
		return widened(a.Int8Values())
	case *array.Int16:
		return widened(a.Int16Values())
	case *array.Uint8:
		return widened(a.Uint8Values())
	case *array.Uint16:
		return widened(a.Uint16Values())
	}
	d := a.Data()
	return arrow.Uint32Traits.CastFromBytes(d.Buffers()[1].Bytes())[d.Offset() : d.Offset()+d.Len()]
}

func widened[T int8 | int16 | uint8 | uint16](values []T) []uint32 {
	out := make([]uint32, len(values))
	for i, v := range values {
		out[i] = uint32(v) //nolint:gosec // by its sign
	}
	return out
}

// appendTexts appends strings or bytes.
func appendTexts[T int32 | int64](c *column, offsets []T, data []byte, at picks) {
	if c.live {
		for k := range at.len() {
			i := at.at(k)
			c.index = append(c.index, c.dict.text(data[offsets[i]:offsets[i+1]]))
		}
		return
	}
	n, size := at.len(), 0
	if at.idx == nil {
		size = int(offsets[at.to] - offsets[at.from])
	} else {
		for _, i := range at.idx {
			size += int(offsets[i+1] - offsets[i])
		}
	}
	dst := extend(c.plain, size+4*n)
	out := dst[len(c.plain):]
	for k := range n {
		i := at.at(k)
		text := data[offsets[i]:offsets[i+1]]
		binary.LittleEndian.PutUint32(out, uint32(len(text))) //nolint:gosec // bounded by a record
		out = out[4+copy(out[4:], text):]
		c.bounds.text(text)
	}
	c.plain = dst
}
