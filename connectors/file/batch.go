package file

import (
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/core"
)

// batch gathers records. The hidden columns that are the same for all of them are made once.
type batch struct {
	handles []int64
	offsets []int32
	data    []byte
	bytes   int64 // of the records, without headers

	ords, arrivals, keys arrow.Array // of as many rows as a batch may have
}

func (b *batch) rows() int { return len(b.handles) }

// add appends the record that begins at a place of the text, with the header before it.
func (b *batch) add(at int64, header, record []byte) {
	if b.data == nil {
		b.handles, b.offsets = make([]int64, 0, batchRows), append(make([]int32, 0, batchRows+1), 0)
		b.data = make([]byte, 0, batchBytes+batchBytes/8)
	}
	b.handles = append(b.handles, at)
	b.data = append(b.data, header...)
	b.data = append(b.data, record...)
	b.offsets = append(b.offsets, int32(len(b.data))) //nolint:gosec // a batch and one record more
	b.bytes += int64(len(record))
}

// take is what was gathered, and begins anew.
func (b *batch) take(shard core.ShardID, arrival int64) core.Batch {
	if b.keys == nil {
		b.repeat(shard, arrival)
	}
	n := int64(b.rows())
	cols := []arrow.Array{
		flat(arrow.PrimitiveTypes.Int64, int(n), arrow.Int64Traits.CastToBytes(b.handles)),
		array.NewSlice(b.ords, 0, n), array.NewSlice(b.arrivals, 0, n), array.NewSlice(b.keys, 0, n),
		flat(arrow.BinaryTypes.Binary, int(n), arrow.Int32Traits.CastToBytes(b.offsets), b.data),
	}
	out := core.Batch{Shard: shard, Records: n, Bytes: b.bytes, Rows: array.NewRecord(rawSchema, cols, n)}
	for _, c := range cols {
		c.Release()
	}
	b.handles, b.offsets, b.data, b.bytes = nil, nil, nil, 0
	return out
}

// repeat makes the columns that are the same in every batch.
func (b *batch) repeat(shard core.ShardID, arrival int64) {
	arrivals, offsets := make([]int64, batchRows), make([]int32, batchRows+1)
	keys := make([]byte, 0, batchRows*len(shard))
	for i := range batchRows {
		arrivals[i] = arrival
		keys = append(keys, shard...)
		offsets[i+1] = int32(len(keys)) //nolint:gosec // some bytes a row
	}
	b.ords = flat(arrow.PrimitiveTypes.Int32, batchRows, make([]byte, 4*batchRows))
	b.arrivals = flat(core.ArrivalType, batchRows, arrow.Int64Traits.CastToBytes(arrivals))
	b.keys = flat(arrow.BinaryTypes.String, batchRows, arrow.Int32Traits.CastToBytes(offsets), keys)
}

// flat is a column without nulls, of memory that Go collects.
func flat(t arrow.DataType, n int, bufs ...[]byte) arrow.Array {
	all := []*memory.Buffer{nil}
	for _, b := range bufs {
		all = append(all, memory.NewBufferBytes(b))
	}
	d := array.NewData(t, n, all, nil, 0, 0)
	defer d.Release()
	return array.MakeFromData(d)
}

var rawSchema = core.RawSchema()
