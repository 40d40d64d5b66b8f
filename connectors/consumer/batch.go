package consumer

import (
	"fmt"
	"iter"
	"time"

	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/penstock/penstock/core"
)

// Batch is a run of records of one shard. It is a pure function of Key, From and Through: whenever it is given to Process
// again, by whichever worker, it holds the same records.
type Batch struct {
	Consumer    string
	Incarnation string // 16 hex digits, others after a reset of the consumer
	Source      string // the id of the stream, which is another one when the stream was deleted and made again
	Shard       core.ShardID
	From        core.SequenceNumber // excluded: Through of the shard's batch before, or where the consumer began. Empty: the beginning
	Through     core.SequenceNumber // included
	Arrow       []core.Batch        // the records as columns. They are borrowed: to keep one, Retain it

	records int
}

// Key names the shard, and the run of batches that this one is part of: store Through under it.
func (b Batch) Key() string {
	return fmt.Sprintf("%s/%s/%s/%s", b.Consumer, b.Incarnation, b.Source, b.Shard)
}

// Len is how many records the batch has, at least one.
func (b Batch) Len() int { return b.records }

// Record is one record, or a user record of one that was taken apart.
type Record struct {
	Seq     core.SequenceNumber
	Sub     int32 // of a user record: its index within the record Seq; else 0
	Key     string
	Data    []byte // valid as long as the batch; not to be changed
	Arrival time.Time
}

// Records are the records in the order of the shard.
func (b Batch) Records() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		for _, part := range b.Arrow {
			keys, ords, data := part.Keys(), part.Ords(), part.Rows.Column(core.HiddenColumns).(*array.Binary)
			for i := range int(part.NumRows()) {
				r := Record{
					Seq: part.SequenceOf(i), Sub: ords.Value(i), Key: keys.Value(i), Data: data.Value(i),
					Arrival: time.UnixMilli(int64(part.Arrivals().Value(i))).UTC(),
				}
				if !yield(r) {
					return
				}
			}
		}
	}
}
