package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog"
)

// MaxKnownShards bounds the shards of a stream with those that are closed and not yet trimmed.
const MaxKnownShards = 2 * MaxShards

// Split divides an open shard in two: the first child ends just below a hash key, the second begins with it. Without
// a key they share the range evenly. It returns the children, which are open. Once begun it is finished, whatever
// becomes of the caller.
func (s *Stream) Split(ctx context.Context, id core.ShardID, at *core.HashKey, options ...Option) ([]Shard, error) {
	return s.reshard(ctx, newTurn(options), func(v *view) ([]Shard, error) {
		sh, err := v.toClose(id)
		if err != nil {
			return nil, err
		}
		key := sh.Range.Middle()
		if at != nil {
			key = *at
		}
		if key.Compare(sh.Range.Start.Next()) <= 0 || key.Compare(sh.Range.End) >= 0 { // the rule of Kinesis
			return nil, fmt.Errorf("split %s at %s: the key must be above %s and below %s, so that each child has more than one: %w",
				id, key, sh.Range.Start.Next(), sh.Range.End, core.ErrInvalid)
		}
		if len(v.open)+1 > MaxShards || len(v.Shards)+2 > MaxKnownShards {
			return nil, fmt.Errorf("split %s: stream %s has %d open shards of %d, %d of %d with the closed ones: %w",
				id, v.Name, len(v.open), MaxShards, len(v.Shards), MaxKnownShards, ErrLimit)
		}
		return []Shard{
			v.child(0, core.HashRange{Start: sh.Range.Start, End: key.Prev()}, sh.ID),
			v.child(1, core.HashRange{Start: key, End: sh.Range.End}, sh.ID),
		}, nil
	})
}

// Merge makes one shard of two open ones whose ranges lie side by side, and returns it. Once begun it is finished,
// whatever becomes of the caller.
func (s *Stream) Merge(ctx context.Context, a, b core.ShardID, options ...Option) (Shard, error) {
	made, err := s.reshard(ctx, newTurn(options), func(v *view) ([]Shard, error) {
		x, err := v.toClose(a)
		if err != nil {
			return nil, err
		}
		y, err := v.toClose(b)
		if err != nil {
			return nil, err
		}
		if x.Range.Start.Compare(y.Range.Start) > 0 {
			x, y = y, x
		}
		if x.ID == y.ID || x.Range.End.Next() != y.Range.Start {
			return nil, fmt.Errorf("merge %s with %s: their hash keys %s-%s and %s-%s are not side by side: %w",
				a, b, x.Range.Start, x.Range.End, y.Range.Start, y.Range.End, core.ErrInvalid)
		}
		if len(v.Shards)+1 > MaxKnownShards {
			return nil, fmt.Errorf("merge %s: stream %s has %d shards of %d with the closed ones: %w", a, v.Name, len(v.Shards), MaxKnownShards, ErrLimit)
		}
		return []Shard{v.child(0, core.HashRange{Start: x.Range.Start, End: y.Range.End}, a, b)}, nil
	})
	if err != nil {
		return Shard{}, err
	}
	return made[0], nil
}

// toClose is a shard that is open.
func (v *view) toClose(id core.ShardID) (Shard, error) {
	sh, err := v.shard(id)
	if err == nil && sh.Closed {
		err = fmt.Errorf("%s of stream %s was split or merged already: %w", id, v.Name, ErrShardClosed)
	}
	return sh, err
}

// child is the n-th new shard. The last of the shards is always open, so its index is the highest there ever was.
func (v *view) child(n int64, r core.HashRange, parents ...core.ShardID) Shard {
	index := v.Shards[len(v.Shards)-1].Index + 1 + n
	return Shard{
		ID: core.NewShardID(int(index)), Index: index, Log: shardlog.LogID(fmt.Sprintf("%s-%d", v.ID, index)), Range: r, Parents: parents,
	}
}

// reshard writes what plan decides into the stream's row, and finishes it. Where plan has no children, nothing is done.
func (s *Stream) reshard(ctx context.Context, t turn, plan func(*view) ([]Shard, error)) ([]Shard, error) {
	if err := s.take(ctx); err != nil {
		return nil, err
	}
	defer s.give()
	for {
		if err := s.finish(ctx); err != nil { // one after the other
			return nil, err
		}
		v, err := s.view(ctx)
		if err != nil {
			return nil, err
		}
		info := v.Info
		if err := t.begin(&info, time.Now()); err != nil {
			return nil, err
		}
		children, err := plan(v)
		if err != nil || len(children) == 0 {
			return nil, err
		}
		info.Intent = &Intent{Children: children}
		if err = s.replace(ctx, v, info); errors.Is(err, control.ErrConflict) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("begin to reshard stream %s: %w", s.name, err)
		}
		if err := s.finish(ctx); err != nil {
			return nil, err
		}
		if v, err = s.view(ctx); err != nil {
			return nil, err
		}
		for i := range children {
			if children[i], err = v.shard(children[i].ID); err != nil {
				return nil, err
			}
		}
		return children, nil
	}
}
