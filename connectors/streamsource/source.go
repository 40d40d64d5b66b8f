package streamsource

import (
	"context"
	"fmt"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/stream"
)

// Source is a stream, as a source.
type Source struct{ stream *stream.Stream }

var _ connectors.Source = (*Source)(nil)

// New returns a source over s.
func New(s *stream.Stream) *Source { return &Source{s} }

// ID is the stream's generated id, so that a stream made again under its name is another source.
func (s *Source) ID() string { return s.stream.ID() }

// Shards lists the stream's shards.
func (s *Source) Shards(ctx context.Context) ([]connectors.Shard, error) {
	info, err := s.stream.Info(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]connectors.Shard, len(info.Shards))
	for i, sh := range info.Shards {
		last, err := s.stream.Last(ctx, sh.ID)
		if err != nil {
			return nil, err
		}
		out[i] = connectors.Shard{ID: sh.ID, Parents: sh.Parents, Closed: sh.Closed, Last: last}
	}
	return out, nil
}

// Resolve turns a start into the sequence number to read after.
func (s *Source) Resolve(ctx context.Context, shard core.ShardID, start connectors.Start) (core.SequenceNumber, error) {
	switch start.Kind {
	case connectors.StartTrimHorizon, "":
		return s.stream.Find(ctx, shard, stream.TrimHorizon())
	case connectors.StartLatest:
		return s.stream.Find(ctx, shard, stream.Latest())
	case connectors.StartAt:
		return s.stream.Find(ctx, shard, stream.AtTime(start.At))
	case connectors.StartAfter:
		return s.stream.Find(ctx, shard, stream.After(start.After))
	}
	return "", fmt.Errorf("start %q is none of trim_horizon, latest, at, after: %w", start.Kind, core.ErrInvalid)
}

// Read returns a reader of the records after a sequence number.
func (s *Source) Read(ctx context.Context, shard core.ShardID, after core.SequenceNumber) (connectors.Reader, error) {
	return s.stream.Read(ctx, shard, after)
}

// Close does nothing: the stream belongs to its store.
func (s *Source) Close() error { return nil }
