package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
)

// Stream is one stream of the store. It is safe for concurrent use.
type Stream struct {
	store *Store
	name  core.StreamName
	id    string

	mu      sync.Mutex // guards writers
	writers map[core.ShardID]*shardWriter
}

// ID is the stream's generated id.
func (s *Stream) ID() string { return s.id }

// Name is what users call the stream.
func (s *Stream) Name() core.StreamName { return s.name }

// Info is what the stream is now. ErrNotFound when it was deleted, even if another one has its name.
func (s *Stream) Info(ctx context.Context) (Info, error) {
	_, info, err := load(ctx, s.store.control, s.name)
	if err == nil && info.ID != s.id {
		err = fmt.Errorf("stream %s was deleted and made again: %w", s.name, ErrNotFound)
	}
	return info, err
}

// shard is one of the stream's shards.
func (s *Stream) shard(ctx context.Context, id core.ShardID) (Shard, error) {
	info, err := s.Info(ctx)
	if err != nil {
		return Shard{}, err
	}
	for _, sh := range info.Shards {
		if sh.ID == id {
			return sh, nil
		}
	}
	return Shard{}, fmt.Errorf("%s of stream %s: %w", id, s.name, ErrNotFound)
}

// Last is the sequence number of the shard's last record; empty where it has none.
func (s *Stream) Last(ctx context.Context, id core.ShardID) (core.SequenceNumber, error) {
	sh, err := s.shard(ctx, id)
	if err != nil {
		return "", err
	}
	tail, err := s.store.engine.Tail(ctx, sh.Log)
	if err != nil {
		return "", fmt.Errorf("find the end of %s: %w", id, err)
	}
	// The last entry of the log may be an OPEN; its records are found from the last DATA entry before it.
	pos, err := s.store.engine.Find(ctx, sh.Log, tail.Arrival)
	if err != nil || tail.Arrival.IsZero() {
		return "", err
	}
	c, err := s.store.engine.Read(ctx, sh.Log, pos, shardlog.ReadOpts{NoWait: true})
	if err != nil {
		return "", err
	}
	defer c.Close() //nolint:errcheck // a cursor has nothing to lose
	var last core.SequenceNumber
	for {
		en, err := c.Next(ctx)
		if errors.Is(err, shardlog.ErrTip) || isEnd(err) {
			return last, nil
		} else if err != nil {
			return "", err
		}
		rows, err := rowsOf(en.Rows)
		if err != nil {
			return "", err
		}
		n := rows.len()
		last = sh.numbering().At(index(sh.Base, en.Pos, n-1), rows.arrival(n-1))
	}
}

// After is where to read after so that the first record read arrived at or after t; empty is the trim horizon.
func (s *Stream) After(ctx context.Context, id core.ShardID, t time.Time) (core.SequenceNumber, error) {
	sh, err := s.shard(ctx, id)
	if err != nil {
		return "", err
	}
	pos, err := s.store.engine.Find(ctx, sh.Log, t)
	if err != nil {
		return "", err
	}
	c, err := s.store.engine.Read(ctx, sh.Log, pos, shardlog.ReadOpts{NoWait: true})
	if err != nil {
		return "", err
	}
	defer c.Close() //nolint:errcheck // a cursor has nothing to lose
	en, err := c.Next(ctx)
	switch {
	case errors.Is(err, shardlog.ErrTip) || isEnd(err):
		return s.Last(ctx, id)
	case err != nil:
		return "", err
	}
	rows, err := rowsOf(en.Rows)
	if err != nil {
		return "", err
	}
	i := 0
	for i < rows.len() && rows.arrival(i) < t.UnixMilli() {
		i++
	}
	if before := index(sh.Base, en.Pos, i) - 1; before >= 0 {
		return sh.numbering().number(before, 0), nil
	}
	return "", nil
}
