package streamsource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/stream"
)

// Source is a stream, as a source.
type Source struct{ stream *stream.Stream }

var (
	_ connectors.Source   = (*Source)(nil)
	_ connectors.Expiring = (*Source)(nil)
	_ connectors.Pinner   = (*Source)(nil)
)

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
	out := make([]connectors.Shard, 0, len(info.Shards))
	for _, sh := range info.Shards {
		last, err := s.stream.Last(ctx, sh.ID)
		if errors.Is(gone(err), shardlog.ErrTrimmed) {
			continue // it went just now
		} else if err != nil {
			return nil, err
		}
		out = append(out, connectors.Shard{ID: sh.ID, Parents: sh.Parents, Closed: sh.Closed, Last: last})
	}
	return out, nil
}

// Resolve turns a start into the sequence number to read after. A trim horizon that moved is fixed where it stands now;
// one that did not is the beginning, so that what goes before it is read is missed.
func (s *Source) Resolve(ctx context.Context, shard core.ShardID, start connectors.Start) (core.SequenceNumber, error) {
	var at stream.Position
	switch start.Kind {
	case connectors.StartTrimHorizon, "":
		at = stream.TrimHorizon()
	case connectors.StartLatest:
		at = stream.Latest()
	case connectors.StartAt:
		at = stream.AtTime(start.At)
	case connectors.StartAfter:
		at = stream.After(start.After)
		if start.Sub != nil { // the rest of the record is wanted
			at = stream.At(start.After)
		}
	default:
		return "", fmt.Errorf("start %q is none of trim_horizon, latest, at, after: %w", start.Kind, core.ErrInvalid)
	}
	seq, err := s.stream.Find(ctx, shard, at)
	if err != nil || seq != "" {
		return seq, err
	}
	gap, err := s.stream.Gap(ctx, shard, "")
	return gap.Through, err
}

// Read returns a reader of the records after a sequence number.
func (s *Source) Read(ctx context.Context, shard core.ShardID, after core.SequenceNumber) (connectors.Reader, error) {
	if after == "" {
		info, err := s.stream.Info(ctx)
		if err != nil {
			return nil, err
		}
		for _, sh := range info.Shards {
			if sh.ID == shard {
				after = sh.Start // and not the trim horizon, wherever that is
			}
		}
	}
	return opened(s.stream.Read(ctx, shard, after))
}

// Reread returns a reader that reads what has expired too.
func (s *Source) Reread(ctx context.Context, shard core.ShardID, after core.SequenceNumber) (connectors.Reader, error) {
	return opened(s.stream.Reread(ctx, shard, after))
}

// reader is a stream's, of whose shard all records are gone when it is.
type reader struct{ *stream.Reader }

func opened(r *stream.Reader, err error) (connectors.Reader, error) {
	if err != nil {
		return nil, gone(err)
	}
	return reader{r}, nil
}

func (r reader) Next(ctx context.Context) (core.Batch, error) {
	b, err := r.Reader.Next(ctx)
	return b, gone(err)
}

// gone makes ErrTrimmed of the absence of a shard or of its log.
func gone(err error) error {
	if errors.Is(err, stream.ErrNotFound) || errors.Is(err, shardlog.ErrNotFound) {
		return fmt.Errorf("%w: %w", shardlog.ErrTrimmed, err)
	}
	return err
}

// Gap is what cannot be read any more of the records after a sequence number.
func (s *Source) Gap(ctx context.Context, shard core.ShardID, after core.SequenceNumber) (connectors.Gap, error) {
	gap, err := s.stream.Gap(ctx, shard, after)
	return connectors.Gap{From: after, Through: gap.Through, Records: gap.Records}, gone(err)
}

// Retention is how long the stream keeps records.
func (s *Source) Retention(ctx context.Context) (time.Duration, error) {
	info, err := s.stream.Info(ctx)
	return info.Retention, err
}

// Pin is the row that keeps the records of spans.
func (s *Source) Pin(by string, spans []connectors.PlanSpan) control.Write {
	pins := make([]stream.Pin, len(spans))
	for i, span := range spans {
		pins[i] = stream.Pin{Stream: span.Source, Shard: span.Shard, From: span.From, Through: span.Through}
	}
	return stream.PinRow(by, pins)
}

// Close does nothing: the stream belongs to its store.
func (s *Source) Close() error { return nil }
