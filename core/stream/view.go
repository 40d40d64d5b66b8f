package stream

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
)

// view is a stream's row at one version, decoded and ready to route by. It is never changed.
type view struct {
	Info
	version int64
	at      map[core.ShardID]int // place in Shards
	open    []*shardWriter       // of the open shards, in order of their hash keys
}

// view is what the stream is now. It is decoded again only when its row changed.
func (s *Stream) view(ctx context.Context) (*view, error) {
	row, ok, err := s.store.control.Get(ctx, rowKey(s.name))
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", s.name, err)
	}
	if !ok {
		return nil, fmt.Errorf("stream %s: %w", s.name, ErrNotFound)
	}
	if v := s.seen.Load(); v != nil && v.version == row.Version {
		return v, nil
	}
	info, err := decode(row)
	if err != nil {
		return nil, err
	}
	if info.ID != s.id {
		return nil, fmt.Errorf("stream %s was deleted and made again: %w", s.name, ErrNotFound)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.seen.Load(); v != nil && v.version >= row.Version {
		return v, nil // a newer row was seen meanwhile
	}
	v := s.build(info, row.Version)
	s.seen.Store(v)
	return v, nil
}

// build makes the view of a row. Writers of shards that are still open are kept. The caller holds s.mu.
func (s *Stream) build(info Info, version int64) *view {
	v := &view{Info: info, version: version, at: make(map[core.ShardID]int, len(info.Shards))}
	writers := make(map[core.ShardID]*shardWriter, len(info.Shards))
	for i, sh := range info.Shards {
		v.at[sh.ID] = i
		if sh.Closed {
			continue
		}
		w := s.writers[sh.ID]
		if w == nil {
			w = &shardWriter{engine: s.store.engine, by: s.store.by, shard: sh, arrival: sh.Floor}
		}
		writers[sh.ID] = w
		v.open = append(v.open, w)
	}
	s.writers = writers
	maps.DeleteFunc(s.lasts, func(id core.ShardID, _ last) bool { _, ok := v.at[id]; return !ok })
	slices.SortFunc(v.open, func(a, b *shardWriter) int { return a.shard.Range.Start.Compare(b.shard.Range.Start) })
	return v
}

// route is the place in open of the shard that owns a hash key.
func (v *view) route(h core.HashKey) (int, error) {
	n := sort.Search(len(v.open), func(i int) bool { return h.Compare(v.open[i].shard.Range.End) <= 0 })
	if n == len(v.open) || !v.open[n].shard.Range.Contains(h) {
		return 0, fmt.Errorf("stream %s has no open shard for hash key %s: %w", v.Name, h, shardlog.ErrCorrupt)
	}
	return n, nil
}

// shardNow is a shard of the stream, and the view that it is in.
func (s *Stream) shardNow(ctx context.Context, id core.ShardID) (*view, Shard, error) {
	v, err := s.view(ctx)
	if err != nil {
		return nil, Shard{}, err
	}
	sh, err := v.shard(id)
	return v, sh, err
}

// shard is one of the stream's shards.
func (v *view) shard(id core.ShardID) (Shard, error) {
	n, ok := v.at[id]
	if !ok {
		return Shard{}, fmt.Errorf("%s of stream %s: %w", id, v.Name, ErrNotFound)
	}
	return v.Shards[n], nil
}

// writer is the writer of a shard that is open.
func (v *view) writer(id core.ShardID) *shardWriter {
	for _, w := range v.open {
		if w.shard.ID == id {
			return w
		}
	}
	return nil
}
