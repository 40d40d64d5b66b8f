package connectors

import (
	"strconv"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/core"
)

// Sample is a record that no source holds.
type Sample struct {
	Key     string
	Arrival time.Time
	Data    []byte
}

// Samples are records as a raw batch, whose sequence numbers are 1, 2, 3 and so on.
func Samples(records []Sample) core.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, core.RawSchema())
	defer b.Release()
	out := core.Batch{Shard: core.NewShardID(0), Records: int64(len(records)), Sequences: sampled{}}
	for i, r := range records {
		b.Field(0).(*array.Int64Builder).Append(int64(i) + 1)
		b.Field(1).(*array.Int32Builder).Append(0)
		b.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(r.Arrival.UnixMilli()))
		b.Field(3).(*array.StringBuilder).Append(r.Key)
		b.Field(4).(*array.BinaryBuilder).Append(r.Data)
		out.Bytes += int64(len(r.Key) + len(r.Data))
	}
	out.Rows = b.NewRecord()
	if len(records) > 0 {
		out.Span = core.Span{First: "1", Last: core.SequenceNumber(strconv.Itoa(len(records)))}
	}
	return out
}

type sampled struct{}

func (sampled) At(handle, _ int64) core.SequenceNumber {
	return core.SequenceNumber(strconv.FormatInt(handle, 10))
}
