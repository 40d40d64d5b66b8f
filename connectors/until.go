package connectors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"time"

	"github.com/penstock/penstock/core"
)

// Until is source, of whose shards only what arrived before a time is read. That time has come, so that a shard ends where
// it says, and what is read ends with it: it is finite, and a shard that was read to there counts as read to its end.
func Until(source Source, end time.Time) (Source, error) {
	e, ok := source.(Expiring)
	switch {
	case !ok:
		return nil, fmt.Errorf("only a stream has an end in time: %w", core.ErrInvalid)
	case time.Now().Before(end):
		return nil, fmt.Errorf("end %s has not come yet: records may still arrive before it: %w", end.Format(time.RFC3339), core.ErrInvalid)
	}
	u := until{source, e, end}
	if p, ok := source.(Pinner); ok {
		return pinnedUntil{u, p}, nil
	}
	return u, nil
}

type until struct {
	Source
	Expiring
	end time.Time
}

type pinnedUntil struct {
	until
	Pinner
}

// Finite says that there is an end.
func (until) Finite() bool { return true }

// Read returns a reader that ends at the time, and waits for nothing.
func (u until) Read(ctx context.Context, shard core.ShardID, after core.SequenceNumber) (Reader, error) {
	if c, ok := u.Source.(Chaser); ok {
		in, err := c.Chase(ctx, shard, after)
		return &untilReader{Reader: in, end: u.end}, err
	}
	shards, err := u.Shards(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range shards {
		if s.ID == shard && (s.Last == "" || after != "" && s.Last.Compare(after) <= 0) {
			return &untilReader{ended: true}, nil
		} else if s.ID == shard {
			in, err := u.Source.Read(ctx, shard, after)
			return &untilReader{Reader: in, end: u.end, last: s.Last}, err
		}
	}
	in, err := u.Source.Read(ctx, shard, after) // which says what became of it
	return &untilReader{Reader: in, end: u.end}, err
}

// untilReader is a reader that ends before the first record that arrived at a time or later, or with the last that was there.
type untilReader struct {
	Reader // nil where there is nothing to read
	end    time.Time
	last   core.SequenceNumber // empty: the reader ends by itself
	ended  bool
}

// Next returns the next batch.
func (r *untilReader) Next(ctx context.Context) (core.Batch, error) {
	if r.ended {
		return core.Batch{}, io.EOF
	}
	b, err := r.Reader.Next(ctx)
	if errors.Is(err, ErrCaughtUp) {
		err = io.EOF
	}
	if err != nil {
		return b, err
	}
	r.ended = r.last != "" && b.Span.Last.Compare(r.last) >= 0
	at := b.Arrivals()
	n := sort.Search(at.Len(), func(i int) bool { return int64(at.Value(i)) >= r.end.UnixMilli() })
	if n == at.Len() {
		return b, nil
	}
	defer b.Release()
	if r.ended = true; n == 0 {
		return core.Batch{}, io.EOF
	}
	return Head(b, n), nil
}

// Close closes the reader.
func (r *untilReader) Close() error {
	if r.Reader == nil {
		return nil
	}
	return r.Reader.Close()
}
