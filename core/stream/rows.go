package stream

import (
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

// builder gathers the records of one entry.
type builder struct {
	arrivals *array.TimestampBuilder
	keys     *array.StringBuilder
	data     *array.BinaryBuilder
	bytes    int
}

func newBuilder() *builder {
	mem := memory.DefaultAllocator
	return &builder{
		arrivals: array.NewTimestampBuilder(mem, core.ArrivalType), keys: array.NewStringBuilder(mem),
		data: array.NewBinaryBuilder(mem, arrow.BinaryTypes.Binary),
	}
}

func (b *builder) len() int { return b.data.Len() }

func (b *builder) add(arrival int64, key string, data []byte) {
	b.arrivals.Append(arrow.Timestamp(arrival))
	b.keys.Append(key)
	b.data.Append(data)
	b.bytes += len(key) + len(data)
}

// record returns what was gathered and begins anew.
func (b *builder) record() arrow.Record {
	n := int64(b.len())
	cols := []arrow.Array{b.arrivals.NewArray(), b.keys.NewArray(), b.data.NewArray()}
	b.bytes = 0
	rec := array.NewRecord(stored, cols, n)
	for _, c := range cols {
		c.Release()
	}
	return rec
}

func isEnd(err error) bool { return errors.Is(err, io.EOF) }
