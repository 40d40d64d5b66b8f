package kinesis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
)

// listEvery is how old the list of shards may become. A reader that comes to the end of its shard asks for a new one.
const listEvery = 10 * time.Second

// shard is one of the stream, as the API lists it.
type shard struct {
	connectors.Shard
	keys  core.HashRange
	start core.SequenceNumber // before every record, or that of the first
}

// errOther says that the stream was deleted and made again.
var errOther = errors.New("the stream was deleted and made again: it is another source when the pipeline is started anew")

// Shards lists the stream's shards. A newer list is made in the background, so that a server that does not answer keeps
// nobody.
func (s *Source) Shards(context.Context) ([]connectors.Shard, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return nil, s.about(s.failed)
	}
	if time.Since(s.listed) > listEvery && !s.asked && s.ended.Err() == nil {
		s.asked = true
		s.asking.Go(func() {
			err := s.try(s.ended, "list the shards of "+s.cfg.Stream, s.refresh)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.asked = false
			if err != nil && s.ended.Err() == nil {
				s.failed = err
			}
		})
	}
	out := make([]connectors.Shard, len(s.list))
	for i, sh := range s.list {
		out[i] = sh.Shard
	}
	return out, nil
}

// refresh asks for the stream and its shards.
func (s *Source) refresh(ctx context.Context) error {
	s.listing.Lock()
	defer s.listing.Unlock()
	name, arn := s.cfg.names()
	out, err := s.client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: name, StreamARN: arn})
	if err != nil {
		return err
	}
	d := out.StreamDescriptionSummary
	id := fmt.Sprintf("%s@%d", deref(d.StreamARN), deref(d.StreamCreationTimestamp).UnixMilli())
	if s.id != "" && id != s.id {
		return connectors.Permanent(errOther)
	}
	list, err := s.listShards(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id == "" {
		s.id = id
	}
	s.list, s.listed = list, time.Now()
	s.kept = time.Duration(deref(d.RetentionPeriodHours)) * time.Hour
	clear(s.known)
	for _, sh := range list {
		s.known[sh.ID] = sh
	}
	return nil
}

// listShards are the shards of all pages, parents before children.
func (s *Source) listShards(ctx context.Context) ([]shard, error) {
	var list []shard
	in := &kinesis.ListShardsInput{}
	in.StreamName, in.StreamARN = s.cfg.names()
	for {
		page, err := s.client.ListShards(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, sh := range page.Shards {
			next, err := readShard(sh)
			if err != nil {
				return nil, err
			}
			list = append(list, next)
		}
		if deref(page.NextToken) == "" {
			slices.SortFunc(list, func(a, b shard) int { return cmp.Compare(a.ID, b.ID) }) // ids are given in order
			return list, nil
		}
		in = &kinesis.ListShardsInput{NextToken: page.NextToken}
	}
}

func readShard(in types.Shard) (shard, error) {
	sh := shard{Shard: connectors.Shard{ID: core.ShardID(deref(in.ShardId))}}
	for _, parent := range []*string{in.ParentShardId, in.AdjacentParentShardId} {
		if p := deref(parent); p != "" {
			sh.Parents = append(sh.Parents, core.ShardID(p))
		}
	}
	if r := in.HashKeyRange; r != nil {
		for text, key := range map[*string]*core.HashKey{r.StartingHashKey: &sh.keys.Start, r.EndingHashKey: &sh.keys.End} {
			k, err := core.ParseHashKey(deref(text))
			if err != nil {
				return sh, connectors.Permanent(fmt.Errorf("the hash keys of %s: %w", sh.ID, err))
			}
			*key = k
		}
	}
	if r := in.SequenceNumberRange; r != nil {
		sh.start, sh.Last = core.SequenceNumber(deref(r.StartingSequenceNumber)), core.SequenceNumber(deref(r.EndingSequenceNumber))
		sh.Closed = sh.Last != ""
	}
	return sh, nil
}

// shard is one of the stream; core/shardlog.ErrTrimmed says that it is gone.
func (s *Source) shard(ctx context.Context, id core.ShardID) (shard, error) {
	if sh, ok := s.cached(id); ok {
		return sh, nil
	}
	if err := s.try(ctx, "list the shards of "+s.cfg.Stream, s.refresh); err != nil {
		return shard{}, s.about(err)
	}
	if sh, ok := s.cached(id); ok {
		return sh, nil
	}
	return shard{}, fmt.Errorf("%s of stream %s is gone: %w", id, s.cfg.Stream, shardlog.ErrTrimmed)
}

func (s *Source) cached(id core.ShardID) (shard, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh, ok := s.known[id]
	return sh, ok
}

func (s *Source) retention() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept
}

// missing is what it means that a shard was not found: that it is gone, or the whole stream.
func (s *Source) missing(ctx context.Context, id core.ShardID, cause error) error {
	if err := s.try(ctx, "list the shards of "+s.cfg.Stream, s.refresh); err != nil {
		return s.about(err)
	}
	if _, ok := s.cached(id); !ok {
		return fmt.Errorf("%s of stream %s is gone: %w", id, s.cfg.Stream, shardlog.ErrTrimmed)
	}
	return s.about(cause)
}

// closed returns io.EOF once the list has a shard that was read to its end as closed, and its children.
func (s *Source) closed(ctx context.Context, id core.ShardID, children []types.ChildShard) error {
	t := tries{s: s, what: "list the children of " + string(id)}
	for {
		err := bounded(ctx, s.refresh)
		if err == nil {
			if err = s.hasEnd(id, children); err == nil {
				t.done()
				s.pace.forget(id)
				return io.EOF
			}
		}
		if err := t.failed(ctx, err); err != nil {
			if ctx.Err() != nil {
				return err
			}
			return s.about(err)
		}
	}
}

// hasEnd returns what the list lacks of the end of a shard.
func (s *Source) hasEnd(id core.ShardID, children []types.ChildShard) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range children {
		if _, ok := s.known[core.ShardID(deref(c.ShardId))]; !ok {
			return fmt.Errorf("its child %s is not listed yet", deref(c.ShardId))
		}
	}
	if sh, ok := s.known[id]; ok && !sh.Closed {
		return errors.New("it is not listed as closed yet")
	}
	return nil
}

// deref is what p points to, or nothing.
func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
