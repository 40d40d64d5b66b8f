package stream

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

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

// builder gathers the records of one entry. Its buffers serve many entries, one after the other: growing new ones for
// each would cost more than all else that a put does.
type builder struct {
	*gathered
	bytes int
}

// gathered are the columns of an entry as they grow.
type gathered struct {
	arrivals          []int64
	keyEnds, dataEnds []int32 // with a leading 0
	keys, data        []byte
}

func newGathered() *gathered { return &gathered{keyEnds: []int32{0}, dataEnds: []int32{0}} }

var idleGathered = sync.Pool{New: func() any { return newGathered() }}

func newBuilder() *builder { return &builder{gathered: idleGathered.Get().(*gathered)} }

func (b *builder) len() int { return len(b.arrivals) }

func (b *builder) add(arrival int64, key string, data []byte) {
	b.arrivals = append(b.arrivals, arrival)
	b.keys, b.data = append(b.keys, key...), append(b.data, data...)
	b.keyEnds, b.dataEnds = append(b.keyEnds, int32(len(b.keys))), append(b.dataEnds, int32(len(b.data))) //nolint:gosec // bounded by maxEntryBytes and a record
	b.bytes += len(key) + len(data)
}

// record returns a copy of what was gathered, no larger than it has to be, and begins anew.
func (b *builder) record() arrow.Record {
	n := b.len()
	flat := func(t arrow.DataType, bufs ...[]byte) arrow.Array {
		buffers := []*memory.Buffer{nil}
		for _, buf := range bufs {
			buffers = append(buffers, memory.NewBufferBytes(buf))
		}
		d := array.NewData(t, n, buffers, nil, 0, 0)
		defer d.Release()
		return array.MakeFromData(d)
	}
	cols := []arrow.Array{
		flat(core.ArrivalType, arrow.Int64Traits.CastToBytes(slices.Clone(b.arrivals))),
		flat(arrow.BinaryTypes.String, arrow.Int32Traits.CastToBytes(slices.Clone(b.keyEnds)), slices.Clone(b.keys)),
		flat(arrow.BinaryTypes.Binary, arrow.Int32Traits.CastToBytes(slices.Clone(b.dataEnds)), slices.Clone(b.data)),
	}
	rec := array.NewRecord(stored, cols, int64(n))
	for _, c := range cols {
		c.Release()
	}
	g := b.gathered
	g.arrivals, g.keys, g.data, g.keyEnds, g.dataEnds = g.arrivals[:0], g.keys[:0], g.data[:0], g.keyEnds[:1], g.dataEnds[:1]
	idleGathered.Put(g)
	b.gathered, b.bytes = newGathered(), 0 // mostly never filled
	return rec
}

func isEnd(err error) bool { return errors.Is(err, io.EOF) }
