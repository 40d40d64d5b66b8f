package kinesisapi

import (
	"context"
	"sort"
	"strings"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/awsapi/wire"
	"github.com/penstock/penstock/core/stream"
)

// Types of ListShards' filter.
const (
	afterShardID    = "AFTER_SHARD_ID"
	fromTrimHorizon = "FROM_TRIM_HORIZON"
	atTrimHorizon   = "AT_TRIM_HORIZON"
	atLatest        = "AT_LATEST"
	fromTimestamp   = "FROM_TIMESTAMP"
)

func (a *API) listShards(ctx context.Context, _ *awsapi.Call, in *listShardsInput) (*listShardsOutput, error) {
	after, name, arn := in.ExclusiveStartShardID, in.StreamName, in.StreamARN
	filter := in.ShardFilter
	var next position
	if in.NextToken != "" {
		if name != "" || arn != "" || after != "" || filter != nil || !in.StreamCreationTimestamp.IsZero() {
			return nil, invalid("NextToken cannot be given together with StreamName, StreamARN, ExclusiveStartShardId, ShardFilter or StreamCreationTimestamp.")
		}
		var err error
		if next, err = a.token(kindShards, in.NextToken); err != nil {
			return nil, err
		}
		name, after = string(next.name), next.shard
		if filter, err = parseFilter(string(next.after)); err != nil {
			return nil, err
		}
	}
	t, err := a.find(ctx, name, arn)
	if err != nil {
		return nil, err
	}
	if in.NextToken != "" && t.info.ID != next.stream || !in.StreamCreationTimestamp.IsZero() && !in.StreamCreationTimestamp.Equal(wire.At(t.info.Created).Time) {
		return nil, a.noStream(t.info.Name)
	}
	if t.status == stream.Creating || t.status == stream.Deleting {
		return nil, a.busy(t.info.Name, t.status)
	}
	shards, err := a.filtered(t, filter)
	if err != nil {
		return nil, err
	}
	if filter != nil && filter.Type == afterShardID && after == "" {
		after = filter.ShardID
	}
	limit := int(in.MaxResults)
	if limit == 0 {
		limit = 1000
	}
	out := &listShardsOutput{}
	var more bool
	if out.Shards, more = pageOf(shards, after, limit); more {
		out.NextToken = a.tokens.seal(kindShards, position{
			made: time.Now(), stream: t.info.ID, name: t.info.Name, shard: out.Shards[limit-1].ShardID, after: core.SequenceNumber(filter.text()),
		})
	}
	return out, nil
}

// filtered are the shards that a filter lets through, in the order of their ids.
func (a *API) filtered(t target, f *shardFilter) ([]shardShape, error) {
	if f == nil {
		return a.shardsOf(t), nil
	}
	now := time.Now()
	at := f.Timestamp.Time
	switch {
	case f.Type == afterShardID && f.ShardID == "", f.Type != afterShardID && f.ShardID != "":
		return nil, invalid("ShardId has to be given with the filter AFTER_SHARD_ID, and with no other.")
	case timed(f.Type) && f.Timestamp.IsZero(), !timed(f.Type) && !f.Timestamp.IsZero():
		return nil, invalid("Timestamp has to be given with the filters AT_TIMESTAMP and FROM_TIMESTAMP, and with no other.")
	case timed(f.Type) && at.After(now):
		return nil, invalid("The timestamp of the filter is in the future.")
	}
	horizon := now.Add(-t.info.Retention)
	if at.Before(horizon) {
		at = horizon
	}
	var keep func(stream.Shard) bool
	switch f.Type {
	case atLatest:
		keep = func(s stream.Shard) bool { return !s.Closed }
	case atTrimHorizon:
		keep = openAt(horizon)
	case atTimestamp:
		keep = openAt(at)
	case fromTimestamp:
		keep = func(s stream.Shard) bool { return !s.Closed || s.ClosedAt.After(at) }
	default: // AFTER_SHARD_ID and FROM_TRIM_HORIZON: all that are known
		return a.shardsOf(t), nil
	}
	var kept []stream.Shard
	for _, s := range t.info.Shards {
		if keep(s) {
			kept = append(kept, s)
		}
	}
	t.info.Shards = kept
	return a.shardsOf(t), nil
}

func timed(filter string) bool { return filter == atTimestamp || filter == fromTimestamp }

// openAt says which shards were open at a time; for a time before the stream was made, which were its first.
func openAt(at time.Time) func(stream.Shard) bool {
	return func(s stream.Shard) bool {
		began := len(s.Parents) == 0 || !time.Unix(s.Created, 0).After(at)
		return began && (!s.Closed || s.ClosedAt.After(at))
	}
}

// text is a filter in a token; it keeps the times that it was asked for with.
func (f *shardFilter) text() string {
	if f == nil {
		return ""
	}
	return f.Type + " " + f.ShardID + " " + f.Timestamp.UTC().Format(time.RFC3339Nano)
}

func parseFilter(text string) (*shardFilter, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no filter
	}
	parts := strings.SplitN(text, " ", 3)
	if len(parts) != 3 {
		return nil, invalid("Invalid NextToken.")
	}
	f := &shardFilter{Type: parts[0], ShardID: parts[1]}
	t, err := time.Parse(time.RFC3339Nano, parts[2])
	if err != nil {
		return nil, invalid("Invalid NextToken.")
	}
	if !t.IsZero() {
		f.Timestamp = wire.Time{Time: t}
	}
	return f, nil
}

// shardsOf are a stream's shards in the order of their ids. A stream that is being made shows none, as AWS has it.
func (a *API) shardsOf(t target) []shardShape {
	if t.status == stream.Creating {
		return []shardShape{}
	}
	out := make([]shardShape, len(t.info.Shards))
	for i, s := range t.info.Shards {
		o := shardShape{ShardID: string(s.ID), HashKeyRange: hashRange(s.Range), SequenceNumberRange: sequenceNumberRange{StartingSequenceNumber: string(s.Start)}}
		if s.Closed {
			o.SequenceNumberRange.EndingSequenceNumber = string(s.End)
		}
		if len(s.Parents) > 0 {
			o.ParentShardID = string(s.Parents[0])
		}
		if len(s.Parents) > 1 {
			o.AdjacentParentShardID = string(s.Parents[1])
		}
		out[i] = o
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ShardID < out[j].ShardID })
	return out
}

// pageOf are the shards after one, and whether there are more.
func pageOf(shards []shardShape, after string, limit int) (page []shardShape, more bool) {
	from := sort.Search(len(shards), func(i int) bool { return shards[i].ShardID > after })
	shards = shards[from:]
	return shards[:min(limit, len(shards))], len(shards) > limit
}
