package json

import (
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/bitutil"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/core"
)

// record puts the hidden columns and copies of the decoded ones together.
func (p *decoding) record(raw core.Batch) arrow.Record {
	cols := p.hidden(raw)
	for _, k := range p.top.kids {
		cols = append(cols, k.array())
	}
	if p.rescued != nil {
		cols = append(cols, p.rescued.array())
	}
	rec := array.NewRecord(p.out, cols, int64(p.top.n))
	for _, c := range cols {
		c.Release()
	}
	return rec
}

// hidden are the hidden columns of the rows; those of raw itself where each record made one row.
func (p *decoding) hidden(raw core.Batch) []arrow.Array {
	n := int(raw.NumRows())
	if len(p.from) == n && !slices.ContainsFunc(p.ords, func(o int32) bool { return o != 0 }) {
		out := slices.Clone(raw.Rows.Columns()[:core.HiddenColumns])
		for _, c := range out {
			c.Retain()
		}
		return out
	}
	handles, arrivals := make([]int64, len(p.from)), make([]int64, len(p.from))
	keys := newColumn("", arrow.BinaryTypes.String)
	for i, r := range p.from {
		handles[i], arrivals[i] = raw.Handles().Value(int(r)), int64(raw.Arrivals().Value(int(r)))
		keys.text([]byte(raw.Keys().Value(int(r))), false)
	}
	flat := func(t arrow.DataType, b []byte) arrow.Array {
		d := array.NewData(t, len(p.from), []*memory.Buffer{nil, memory.NewBufferBytes(b)}, nil, 0, 0)
		defer d.Release()
		return array.MakeFromData(d)
	}
	return []arrow.Array{
		flat(arrow.PrimitiveTypes.Int64, arrow.Int64Traits.CastToBytes(handles)),
		flat(arrow.PrimitiveTypes.Int32, arrow.Int32Traits.CastToBytes(slices.Clone(p.ords))),
		flat(core.ArrivalType, arrow.Int64Traits.CastToBytes(arrivals)),
		keys.array(),
	}
}

// array is a copy of what was gathered, no larger than it has to be, for the caller to release.
func (c *column) array() arrow.Array {
	d := c.arrayData()
	defer d.Release()
	return array.MakeFromData(d)
}

func (c *column) arrayData() arrow.ArrayData {
	bufs := []*memory.Buffer{c.validity()}
	var kids []arrow.ArrayData
	switch c.store {
	case texts, binaries:
		bufs = append(bufs, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(slices.Clone(c.offsets))), memory.NewBufferBytes(slices.Clone(c.data)))
	case lists:
		bufs = append(bufs, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(slices.Clone(c.offsets))))
		kids = append(kids, c.kids[0].arrayData())
	case structs:
		for _, k := range c.kids {
			kids = append(kids, k.arrayData())
		}
	case doubles:
		bufs = append(bufs, memory.NewBufferBytes(arrow.Float64Traits.CastToBytes(slices.Clone(c.floats))))
	case bools:
		bufs = append(bufs, memory.NewBufferBytes(pack(c.bools)))
	case ints, others:
		bufs = append(bufs, memory.NewBufferBytes(c.integers()))
	}
	d := array.NewData(c.typ, c.n, bufs, kids, len(c.nulls), 0)
	for _, k := range kids {
		k.Release()
	}
	return d
}

// integers are the bytes of the integers, in the width of the type.
func (c *column) integers() []byte {
	if c.typ.(arrow.FixedWidthDataType).BitWidth() == 64 {
		return arrow.Int64Traits.CastToBytes(slices.Clone(c.ints))
	}
	narrow := make([]int32, len(c.ints))
	for i, v := range c.ints {
		narrow[i] = int32(v) //nolint:gosec // checked when it was appended
	}
	return arrow.Int32Traits.CastToBytes(narrow)
}

// validity is the validity bitmap; nil where nothing is null.
func (c *column) validity() *memory.Buffer {
	if len(c.nulls) == 0 {
		return nil
	}
	b := make([]byte, bitutil.BytesForBits(int64(c.n)))
	bitutil.SetBitsTo(b, 0, int64(c.n), true)
	for _, i := range c.nulls {
		bitutil.ClearBit(b, int(i))
	}
	return memory.NewBufferBytes(b)
}

// pack makes a bitmap of bytes that are 0 or 1.
func pack(b []byte) []byte {
	out := make([]byte, bitutil.BytesForBits(int64(len(b))))
	for i, v := range b {
		out[i>>3] |= v << (i & 7)
	}
	return out
}
