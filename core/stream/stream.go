package stream

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/penstock/penstock/core"
)

// Stream is one stream of the store. It is safe for concurrent use.
type Stream struct {
	store      *Store
	name       core.StreamName
	id         string
	resharding chan struct{} // full while somebody reshards
	seen       atomic.Pointer[view]
	meter      meter
	used       keyUse

	mu      sync.Mutex // guards what follows
	writers map[core.ShardID]*shardWriter
	lasts   map[core.ShardID]last
}

func newStream(s *Store, name core.StreamName, id string) *Stream {
	return &Stream{
		store: s, name: name, id: id, resharding: make(chan struct{}, 1),
		writers: map[core.ShardID]*shardWriter{}, lasts: map[core.ShardID]last{},
	}
}

// ID is the stream's generated id.
func (s *Stream) ID() string { return s.id }

// Name is what users call the stream.
func (s *Stream) Name() core.StreamName { return s.name }

// Info is what the stream is now; its slices are not to be changed. ErrNotFound when it was deleted, even if another
// one has its name.
func (s *Stream) Info(ctx context.Context) (Info, error) {
	v, err := s.view(ctx)
	if err != nil {
		return Info{}, err
	}
	return v.Info, nil
}
