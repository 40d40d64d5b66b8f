package kinesisapi

import (
	"context"
	"errors"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/stream"
)

// maxPutBytes is the most that one PutRecords may hold, keys and data.
const maxPutBytes = 10 << 20

func (a *API) putRecord(ctx context.Context, c *awsapi.Call, in *putRecordInput) (*putRecordOutput, error) {
	var done PutDone
	out, err := a.putOne(ctx, in, &done)
	if done.end(c, err) {
		a.cfg.Events.Put(done)
	}
	return out, err
}

func (a *API) putOne(ctx context.Context, in *putRecordInput, done *PutDone) (*putRecordOutput, error) {
	t, err := a.live(ctx, in.StreamName, in.StreamARN)
	if err != nil {
		return nil, err
	}
	done.of(t)
	rec, err := record(in.PartitionKey, in.ExplicitHashKey, in.Data)
	if err != nil {
		return nil, err
	}
	if in.SequenceNumberForOrdering != "" {
		if err := t.Owns(ctx, core.SequenceNumber(in.SequenceNumberForOrdering)); err != nil {
			return nil, invalid("SequenceNumberForOrdering %s is not of stream %s under account %s.", in.SequenceNumberForOrdering, t.info.Name, a.cfg.Account)
		}
	}
	if err := fits(t.info, rec); err != nil {
		return nil, err
	}
	records := []stream.Record{rec}
	results, err := t.PutWithin(ctx, a.cfg.Limits, records)
	if err == nil {
		done.count(records, results)
		err = results[0].Err
	}
	if err != nil {
		return nil, a.explain(t.info.Name, err)
	}
	return &putRecordOutput{ShardID: string(results[0].Shard), SequenceNumber: string(results[0].Seq), EncryptionType: kms(t.info)}, nil
}

func (a *API) putRecords(ctx context.Context, c *awsapi.Call, in *putRecordsInput) (*putRecordsOutput, error) {
	done := PutDone{Many: true}
	out, err := a.putMany(ctx, c, in, &done)
	if done.end(c, err) {
		done.OK = done.Put.Records > 0 // as AWS counts
		a.cfg.Events.Put(done)
	}
	return out, err
}

func (a *API) putMany(ctx context.Context, c *awsapi.Call, in *putRecordsInput, done *PutDone) (*putRecordsOutput, error) {
	t, err := a.live(ctx, in.StreamName, in.StreamARN)
	if err != nil {
		return nil, err
	}
	done.of(t)
	records := make([]stream.Record, len(in.Records))
	size := 0
	for i, e := range in.Records {
		if records[i], err = record(e.PartitionKey, e.ExplicitHashKey, e.Data); err != nil {
			return nil, err
		}
		if err := fits(t.info, records[i]); err != nil {
			return nil, err
		}
		size += len(e.PartitionKey) + len(e.Data)
	}
	if size > maxPutBytes {
		return nil, invalid("Records size exceeds 10 MB limit")
	}
	results, err := t.PutWithin(ctx, a.cfg.Limits, records)
	if err != nil {
		return nil, a.explain(t.info.Name, err)
	}
	done.count(records, results)
	out := &putRecordsOutput{EncryptionType: kms(t.info), Records: make([]putRecordsResultEntry, len(results))}
	for i, r := range results {
		e := &out.Records[i]
		switch {
		case r.Err == nil:
			e.SequenceNumber, e.ShardID = string(r.Seq), string(r.Shard)
			continue
		case errors.Is(r.Err, core.ErrThrottled):
			e.ErrorCode, e.ErrorMessage = codeThroughput, a.rateExceeded(r.Shard, t.info.Name)
		default:
			e.ErrorCode, e.ErrorMessage = codeInternal, "Internal service failure."
			a.cfg.Log.Error("record not put", "request", c.RequestID, "stream", t.info.Name, "shard", r.Shard, "error", r.Err)
		}
		out.FailedRecordCount++
	}
	return out, nil
}

// count notes what became of records.
func (d *PutDone) count(records []stream.Record, results []stream.Result) {
	if len(d.ByShard) > 0 {
		d.Shards = map[core.ShardID]Flow{}
	}
	d.Total = int64(len(records))
	for i, r := range results {
		var f Flow
		switch {
		case r.Err == nil:
			f = Flow{Records: 1, Bytes: int64(len(records[i].Key) + len(records[i].Data))}
		case errors.Is(r.Err, core.ErrThrottled):
			f.Exceeded = 1
		default:
			d.Failed++
		}
		d.Put.add(f)
		if d.Shards != nil && r.Shard != "" {
			s := d.Shards[r.Shard]
			s.add(f)
			d.Shards[r.Shard] = s
		}
	}
}

func record(key, hash string, data []byte) (stream.Record, error) {
	r := stream.Record{Key: key, Data: data}
	if hash != "" {
		k, err := core.ParseHashKey(hash)
		if err != nil {
			return r, invalid("Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was %s", hash)
		}
		r.Hash = &k
	}
	return r, nil
}

// fits refuses a record that is larger than its stream takes; AWS refuses the whole call then.
func fits(info stream.Info, r stream.Record) error {
	if size := len(r.Key) + len(r.Data); int64(size) > info.MaxRecord {
		return invalid("Record of %d bytes exceeds the maximum record size of the stream, %d KiB.", size, info.MaxRecord>>10)
	}
	return nil
}
