package stream

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
)

// stored is the schema of a shard's entries.
var stored = arrow.NewSchema([]arrow.Field{
	{Name: "arrival", Type: core.ArrivalType},
	{Name: "partition_key", Type: arrow.BinaryTypes.String},
	{Name: "data", Type: arrow.BinaryTypes.Binary},
}, nil)

// rows are the records of one entry.
type rows struct {
	arrivals *array.Timestamp
	keys     *array.String
	data     *array.Binary
}

// rowsOf are the columns of an entry; ErrCorrupt where they are others.
func rowsOf(rec arrow.Record) (rows, error) {
	if rec.NumCols() == 3 {
		a, ok1 := rec.Column(0).(*array.Timestamp)
		k, ok2 := rec.Column(1).(*array.String)
		d, ok3 := rec.Column(2).(*array.Binary)
		if ok1 && ok2 && ok3 {
			return rows{a, k, d}, nil
		}
	}
	return rows{}, fmt.Errorf("an entry of a shard has the schema %s: %w", rec.Schema(), shardlog.ErrCorrupt)
}

func (r rows) len() int { return r.data.Len() }

func (r rows) arrival(i int) int64 { return int64(r.arrivals.Value(i)) }

// part are records of one put, in an entry.
type part struct {
	records []Record
	which   []uint64 // their places, in the low half
	arrival int64
}

// own makes the part independent of what its records are made of, so that their owner may have that back.
func (p *part) own() {
	records, which := make([]Record, len(p.which)), make([]uint64, len(p.which))
	for n, i := range p.which {
		r := p.records[place(i)]
		records[n], which[n] = Record{Key: r.Key, Data: bytes.Clone(r.Data)}, uint64(n) //nolint:gosec // a place in a slice
	}
	p.records, p.which = records, which
}

// rowsAs is the record batch of the rows of parts, that have so many bytes of keys and of data. All of it is one block
// of memory, with each byte copied once.
func rowsAs(parts []part, n, keyBytes, dataBytes int) arrow.Record {
	ends := (n + 1) * arrow.Int32SizeBytes
	sizes := [...]int{n * arrow.Int64SizeBytes, ends, keyBytes, ends, dataBytes}
	total := 0
	for _, s := range sizes {
		total += align(s)
	}
	block := make([]byte, total)
	var bufs [len(sizes)][]byte
	for i, s := range sizes {
		bufs[i], block = block[:s:s], block[align(s):]
	}
	arrivals, keyEnds, keys := arrow.Int64Traits.CastFromBytes(bufs[0]), arrow.Int32Traits.CastFromBytes(bufs[1]), bufs[2]
	dataEnds, data := arrow.Int32Traits.CastFromBytes(bufs[3]), bufs[4]
	row, key, end := 0, 0, 0
	for _, p := range parts {
		for _, i := range p.which {
			r := &p.records[place(i)]
			key += copy(keys[key:], r.Key)
			end += copy(data[end:], r.Data)
			arrivals[row] = p.arrival
			row++
			keyEnds[row], dataEnds[row] = int32(key), int32(end) //nolint:gosec // bounded by maxEntryBytes and a record
		}
	}
	var held [len(sizes)]memory.Buffer
	for i := range held {
		held[i].Reset(bufs[i])
	}
	cols := []arrow.Array{
		flat(core.ArrivalType, n, nil, &held[0]),
		flat(arrow.BinaryTypes.String, n, nil, &held[1], &held[2]),
		flat(arrow.BinaryTypes.Binary, n, nil, &held[3], &held[4]),
	}
	rec := array.NewRecord(stored, cols, int64(n))
	for _, c := range cols {
		c.Release()
	}
	return rec
}

// flat is an array without nulls.
func flat(t arrow.DataType, n int, buffers ...*memory.Buffer) arrow.Array {
	d := array.NewData(t, n, buffers, nil, 0, 0)
	defer d.Release()
	return array.MakeFromData(d)
}

// align is n rounded up to what the widest column is aligned to.
func align(n int) int { return (n + 7) &^ 7 }

func isEnd(err error) bool { return errors.Is(err, io.EOF) }
