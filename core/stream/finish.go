package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
)

// Splits and merges only roll forward. The row names the children first; then their logs are made, each parent is
// sealed, and one change of the row closes the parents and opens the children. Each step may be repeated, so whoever
// meets an intent, after a crash or beside who began it, finishes it.

// take makes the caller the only one of this process that reshards the stream.
func (s *Stream) take(ctx context.Context) error {
	select {
	case s.resharding <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Stream) give() { <-s.resharding }

// settle finishes what was begun, if anything was.
func (s *Stream) settle(ctx context.Context) error {
	v, err := s.view(ctx)
	if err != nil || v.Intent == nil {
		return err
	}
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	return s.finish(ctx)
}

// finish rolls the intent in the stream's row forward. The caller holds the stream by take.
func (s *Stream) finish(ctx context.Context) error {
	v, err := s.view(ctx)
	if err != nil || v.Intent == nil {
		return err
	}
	for _, c := range v.Intent.Children {
		if err := s.store.engine.Create(ctx, c.Log); err != nil && !errors.Is(err, shardlog.ErrExists) {
			return fmt.Errorf("make the log of %s: %w", c.ID, err)
		}
	}
	ends := map[core.ShardID]shardlog.Tail{}
	for _, p := range v.Intent.parents() {
		if ends[p], err = s.sealed(ctx, v, p); err != nil {
			return err
		}
	}
	err = s.store.update(ctx, s.name, func(i *Info) error {
		if i.ID != s.id {
			return fmt.Errorf("stream %s: %w", s.name, ErrNotFound)
		}
		if i.Intent == nil || i.Intent.Children[0].ID != v.Intent.Children[0].ID {
			return errSame // somebody else finished it
		}
		i.close(ends, time.Now())
		return nil
	})
	if errors.Is(err, ErrNotFound) { // deleted meanwhile, perhaps before the children's logs were made
		for _, c := range v.Intent.Children {
			err = errors.Join(err, s.store.engine.Delete(ctx, c.Log))
		}
	}
	return err
}

// sealed seals a shard's log and returns where it ends.
func (s *Stream) sealed(ctx context.Context, v *view, id core.ShardID) (shardlog.Tail, error) {
	sh, err := v.shard(id)
	if err != nil {
		return shardlog.Tail{}, err
	}
	if w := v.writer(id); w != nil {
		if err := w.seal(ctx); err != nil {
			return shardlog.Tail{}, err
		}
	}
	tail, err := s.store.engine.Tail(ctx, sh.Log)
	if err != nil {
		return shardlog.Tail{}, fmt.Errorf("find the end of %s: %w", id, err)
	}
	return tail, nil
}

// close closes the intent's parents and opens its children, whose numbers and arrival times begin above all of theirs.
func (i *Info) close(ends map[core.ShardID]shardlog.Tail, now time.Time) {
	parents := map[core.ShardID]*Shard{}
	for n := range i.Shards {
		sh := &i.Shards[n]
		end, ok := ends[sh.ID]
		if !ok {
			continue
		}
		parents[sh.ID] = sh
		sh.Closed, sh.ClosedAt = true, now.UTC().Truncate(time.Millisecond)
		if end.Arrival.After(sh.ClosedAt) { // the clock stepped back
			sh.ClosedAt = end.Arrival.UTC()
		}
		sh.End = sh.numbering().number(maxSequence, sh.ClosedAt.Unix())
	}
	for _, c := range i.Intent.Children {
		c.Created = now.Unix()
		for _, id := range c.Parents {
			p, end := parents[id], ends[id]
			c.Base = max(c.Base, p.Base+int64(end.Last)+1)
			c.Created = max(c.Created, p.Created+1)
			c.Floor = max(c.Floor, p.Floor)
			if !end.Arrival.IsZero() {
				c.Floor = max(c.Floor, end.Arrival.UnixMilli())
			}
		}
		c.Start = c.numbering().number(index(c.Base, 0, 0), c.Created)
		i.Shards = append(i.Shards, c)
	}
	i.Intent = nil
}

// moved waits until the stream is another than v says, finishing what was begun.
func (s *Stream) moved(ctx context.Context, v *view) (*view, error) {
	for {
		changed := s.store.control.Changed()
		if err := s.settle(ctx); err != nil {
			return nil, err
		}
		next, err := s.view(ctx)
		if err != nil || next.version != v.version {
			return next, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// closed waits until the row says of a shard, whose log is sealed, that it is closed: then its children are there.
func (s *Stream) closed(ctx context.Context, id core.ShardID) error {
	for {
		v, err := s.view(ctx)
		if err != nil {
			return err
		}
		if sh, err := v.shard(id); err != nil || sh.Closed {
			return nil //nolint:nilerr // a shard that is gone was closed
		}
		if _, err := s.moved(ctx, v); err != nil {
			return err
		}
	}
}
