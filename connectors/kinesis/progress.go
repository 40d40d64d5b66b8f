package kinesis

import (
	"fmt"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
)

// progress is how far a reader got in its shard, however it reads.
type progress struct {
	s     *Source
	shard shard
	at    position // to begin at when the shard is asked anew
	begun bool     // records from there on were seen
	why   purpose
	began time.Time
	empty int  // answers in a row that had nothing while nothing was behind
	all   bool // all that was there when the reading began was read
}

// emptyAnswers is how many answers without records show that a shard has no more: one might come too early.
const emptyAnswers = 3

// take returns what is new of records that came. core/shardlog.ErrTrimmed says that the record which the reader was to
// begin at is not there any more; who reads again counts what there is.
func (p *progress) take(records []types.Record) ([]types.Record, error) {
	if len(records) == 0 {
		return nil, nil
	}
	if !p.begun {
		first := core.SequenceNumber(deref(records[0].SequenceNumber))
		if p.why != again && p.at.missed(first) {
			return nil, fmt.Errorf("%s: the record %s is gone, the first that is there is %s: %w", p.shard.ID, p.at.seq, first, shardlog.ErrTrimmed)
		}
		p.begun = true
		if p.at.kind == afterRecord && first == p.at.seq {
			records = records[1:]
		}
	}
	return records, nil
}

// restart makes the next records those of a new beginning, at what was read last.
func (p *progress) restart() { p.begun = false }

// read makes a batch of records, which were taken.
func (p *progress) read(records []types.Record) core.Batch {
	b := rawBatch(p.shard, records)
	p.at = after(b.Span.Last)
	return b
}

// saw notes how far behind the shard's end an answer is, and whether it had records that are new.
func (p *progress) saw(behind time.Duration, records bool) {
	if p.why != again && p.s.events.Behind != nil {
		p.s.events.Behind(p.shard.ID, behind)
	}
	p.all = p.all || behind <= time.Since(p.began)
	if p.empty++; records || behind > 0 {
		p.empty = 0
	}
}

// waits returns why the reader waits for no more: connectors.ErrCaughtUp, or core/shardlog.ErrTrimmed of records that it
// was to read again. ended says that the shard has no more.
func (p *progress) waits(ended bool) error {
	switch {
	case p.why == chase && p.all && !ended:
		return connectors.ErrCaughtUp
	case p.why == again && (ended || p.empty >= emptyAnswers):
		return fmt.Errorf("%s: nothing is there after %s: %w", p.shard.ID, p.at.number(), shardlog.ErrTrimmed)
	}
	return nil
}

// numbers are the sequence numbers of a batch, by handle.
type numbers []core.SequenceNumber

func (n numbers) At(handle, _ int64) core.SequenceNumber { return n[handle] }

// rawBatch is records, at least one, as a raw batch.
func rawBatch(sh shard, records []types.Record) core.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, core.RawSchema())
	defer b.Release()
	b.Reserve(len(records))
	seqs := make(numbers, len(records))
	out := core.Batch{Shard: sh.ID, Records: int64(len(records)), Sequences: seqs, Range: &sh.keys}
	for i, r := range records {
		key := deref(r.PartitionKey)
		seqs[i] = core.SequenceNumber(deref(r.SequenceNumber))
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.Int32Builder).Append(0)
		b.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(deref(r.ApproximateArrivalTimestamp).UnixMilli()))
		b.Field(3).(*array.StringBuilder).Append(key)
		b.Field(4).(*array.BinaryBuilder).Append(r.Data)
		out.Bytes += int64(len(key) + len(r.Data))
	}
	out.Rows = b.NewRecord()
	out.Span = core.Span{First: seqs[0], Last: seqs[len(seqs)-1]}
	return out
}
