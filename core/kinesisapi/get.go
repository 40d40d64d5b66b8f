package kinesisapi

import (
	"context"
	"errors"
	"time"

	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/awsapi/wire"
	"github.com/penstock/penstock/core/stream"
)

// Bounds of one GetRecords.
const (
	maxGet        = 10_000
	maxGetBytes   = 10 << 20
	leastGetBytes = 1 << 20 // where memory is short
)

// Types of iterators.
const (
	atSequence    = "AT_SEQUENCE_NUMBER"
	afterSequence = "AFTER_SEQUENCE_NUMBER"
	trimHorizon   = "TRIM_HORIZON"
	latest        = "LATEST"
	atTimestamp   = "AT_TIMESTAMP"
)

func (a *API) getShardIterator(ctx context.Context, _ *awsapi.Call, in *getShardIteratorInput) (*getShardIteratorOutput, error) {
	t, err := a.live(ctx, in.StreamName, in.StreamARN)
	if err != nil {
		return nil, err
	}
	p, err := startAt(in.ShardIteratorType, in.StartingSequenceNumber, in.Timestamp)
	if err != nil {
		return nil, err
	}
	after, err := a.fix(ctx, t, in.ShardID, p)
	if err == nil {
		err = a.explain(t.info.Name, a.cfg.Limits.Iterate(t.limited(in.ShardID)))
	}
	if err != nil {
		return nil, err
	}
	return &getShardIteratorOutput{ShardIterator: a.iterator(t, in.ShardID, after)}, nil
}

func (a *API) iterator(t target, shard string, after core.SequenceNumber) string {
	return a.tokens.seal(kindIterator, position{made: time.Now(), stream: t.info.ID, name: t.info.Name, shard: shard, after: after})
}

// startAt is the position that a type, and what belongs to it, stand for.
func startAt(kind, seq string, at wire.Time) (stream.Position, error) {
	needsSeq := kind == atSequence || kind == afterSequence
	switch {
	case needsSeq && (seq == "" || !at.IsZero()), !needsSeq && seq != "", kind == atTimestamp && at.IsZero(), kind != atTimestamp && !at.IsZero():
		return stream.Position{}, invalid("Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and a sequence number, (2) TRIM_HORIZON or LATEST and neither a sequence number nor a timestamp, or (3) AT_TIMESTAMP and a timestamp; not %s with what was given.", kind)
	}
	switch kind {
	case atSequence, afterSequence:
		n, err := core.ParseSequenceNumber(seq)
		if err != nil {
			return stream.Position{}, invalid("%s", err)
		}
		if kind == atSequence {
			return stream.At(n), nil
		}
		return stream.After(n), nil
	case latest:
		return stream.Latest(), nil
	case atTimestamp:
		if now := time.Now(); at.After(now) {
			return stream.Position{}, invalid("The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: %d, currentTimestampInMillis: %d", at.UnixMilli(), now.UnixMilli())
		}
		return stream.AtTime(at.Time), nil
	}
	return stream.TrimHorizon(), nil
}

// fix is the sequence number that a position of a shard stands for now.
func (a *API) fix(ctx context.Context, t target, shard string, p stream.Position) (core.SequenceNumber, error) {
	after, err := t.Find(ctx, core.ShardID(shard), p)
	switch {
	case errors.Is(err, stream.ErrNotFound):
		return "", a.noShard(shard, t.info.Name)
	case errors.Is(err, core.ErrInvalid):
		return "", invalid("The sequence number is invalid for shard %s in stream %s under account %s: %s", shard, t.info.Name, a.cfg.Account, err)
	}
	return after, a.explain(t.info.Name, err)
}

func (a *API) getRecords(ctx context.Context, c *awsapi.Call, in *getRecordsInput) (*getRecordsOutput, error) {
	var done GetDone
	out, err := a.get(ctx, c, in, &done)
	if done.end(c, err) {
		a.cfg.Events.Get(done)
	}
	return out, err
}

func (a *API) get(ctx context.Context, c *awsapi.Call, in *getRecordsInput, done *GetDone) (*getRecordsOutput, error) {
	p, err := a.tokens.open(kindIterator, in.ShardIterator)
	if err != nil {
		return nil, invalid("Invalid ShardIterator.")
	}
	if now := time.Now(); p.expired(now) {
		return nil, awsapi.Refuse(codeExpired, "Iterator expired. The iterator was created at time %s while right now it is %s which is further in the future than the tolerated delay of %d milliseconds.",
			utc(p.made), utc(now), lifetime.Milliseconds())
	}
	t, err := a.live(ctx, string(p.name), in.StreamARN)
	if err != nil {
		return nil, err
	}
	if t.info.ID != p.stream { // another stream has the name now
		return nil, a.noStream(p.name)
	}
	done.of(t)
	done.Shard = core.ShardID(p.shard)
	limit := int(in.Limit)
	if limit == 0 {
		limit = maxGet
	}
	if err := a.cfg.Limits.Read(t.limited(p.shard)); err != nil {
		return nil, a.explain(p.name, err)
	}
	bytes, err := c.Room(maxGetBytes, leastGetBytes)
	if err != nil {
		return nil, err
	}
	page, err := t.Page(ctx, core.ShardID(p.shard), p.after, limit, bytes)
	if errors.Is(err, stream.ErrNotFound) {
		return nil, a.noShard(p.shard, p.name)
	}
	if err != nil {
		return nil, a.explain(p.name, err)
	}
	defer page.Rows.Release()
	done.Got, done.Age = Flow{Records: page.Rows.Records, Bytes: page.Rows.Bytes}, page.Behind
	a.cfg.Limits.Took(t.limited(p.shard), page.Rows.Bytes)
	out := &getRecordsOutput{Records: records(page.Rows, page.Sealed), MillisBehindLatest: page.Behind.Milliseconds()}
	if !page.Ended {
		out.NextShardIterator = a.iterator(t, p.shard, page.Next)
		return out, nil
	}
	out.ChildShards, err = a.children(ctx, t, core.ShardID(p.shard))
	return out, err
}

// utc is a time as AWS writes it in messages.
func utc(t time.Time) string { return t.UTC().Format("Mon Jan 02 15:04:05 UTC 2006") }

// records are the rows of a raw batch, of which some are stored encrypted. Their data is that of the batch.
func records(b core.Batch, sealed []bool) []recordShape {
	n := int(b.NumRows())
	out := make([]recordShape, n)
	if n == 0 {
		return out
	}
	arrivals, keys, data := b.Arrivals(), b.Keys(), b.Rows.Column(core.HiddenColumns).(*array.Binary)
	for i := range n {
		out[i] = recordShape{
			SequenceNumber: string(b.SequenceOf(i)), ApproximateArrivalTimestamp: wire.Time{Time: time.UnixMilli(int64(arrivals.Value(i)))},
			Data: data.Value(i), PartitionKey: keys.Value(i),
		}
		if i < len(sealed) && sealed[i] {
			out[i].EncryptionType = encryptionKMS
		}
	}
	return out
}

// children are the shards that a closed one was split or merged to.
func (a *API) children(ctx context.Context, t target, parent core.ShardID) ([]childShard, error) {
	info, err := t.Info(ctx) // it may have been split since t was found
	if err != nil {
		return nil, a.explain(t.info.Name, err)
	}
	var out []childShard
	for _, s := range info.Shards {
		c := childShard{ShardID: string(s.ID), HashKeyRange: hashRange(s.Range)}
		mine := false
		for _, p := range s.Parents {
			mine = mine || p == parent
			c.ParentShards = append(c.ParentShards, string(p))
		}
		if mine {
			out = append(out, c)
		}
	}
	return out, nil
}

func hashRange(r core.HashRange) hashKeyRange {
	return hashKeyRange{StartingHashKey: r.Start.String(), EndingHashKey: r.End.String()}
}
