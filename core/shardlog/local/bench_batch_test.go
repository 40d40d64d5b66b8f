package local

import (
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/core/shardlog"
)

const (
	benchRows = 100
	benchRow  = 1 << 10
)

// benchBatch is benchRows records of benchRow bytes, half of which repeat.
func benchBatch(b *testing.B) shardlog.Batch {
	b.Helper()
	s := arrow.NewSchema([]arrow.Field{{Name: "data", Type: arrow.BinaryTypes.Binary}}, nil)
	rb := array.NewRecordBuilder(memory.DefaultAllocator, s)
	defer rb.Release()
	row := make([]byte, benchRow)
	state := uint32(1)
	for i := range benchRows {
		for j := range row[:benchRow/2] {
			state = state*1664525 + 1013904223
			row[j] = byte(state >> 24)
		}
		row[benchRow/2] = byte(i)
		rb.Field(0).(*array.BinaryBuilder).Append(row)
	}
	return shardlog.Batch{Rows: rb.NewRecord(), Arrival: time.UnixMilli(1)}
}
