package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/penstock/penstock/core"
)

// Changes of an Active stream's settings, as clients of Kinesis ask for them. Each makes the stream Updating for a
// while; ErrBusy where it is not Active.

// Lengthen makes the retention longer, or leaves it; core.ErrInvalid where that would be shorter. What expired less than
// ten minutes ago comes back.
func (s *Stream) Lengthen(ctx context.Context, keep, delay time.Duration) error {
	return s.keep(ctx, keep, delay, func(now time.Duration) bool { return keep >= now })
}

// Shorten makes the retention shorter, or leaves it; core.ErrInvalid where that would be longer.
func (s *Stream) Shorten(ctx context.Context, keep, delay time.Duration) error {
	return s.keep(ctx, keep, delay, func(now time.Duration) bool { return keep <= now })
}

func (s *Stream) keep(ctx context.Context, keep, delay time.Duration, right func(now time.Duration) bool) error {
	if err := (Settings{Shards: 1, Retention: keep, MaxRecord: 1}).validate(); err != nil {
		return err
	}
	return s.change(ctx, delay, "", func(i *Info, _ time.Time) error {
		if !right(i.Retention) {
			return fmt.Errorf("stream %s keeps records for %s: that is to change the other way: %w", s.name, i.Retention, core.ErrInvalid)
		}
		i.Retention = keep
		return nil
	})
}

// Resize changes how many bytes of key and data a record may have. What is stored already stays.
func (s *Stream) Resize(ctx context.Context, bytes int64, delay time.Duration) error {
	if err := (Settings{Shards: 1, Retention: MinRetention, MaxRecord: bytes}).validate(); err != nil {
		return err
	}
	return s.change(ctx, delay, "", func(i *Info, _ time.Time) error {
		i.MaxRecord = bytes
		return nil
	})
}
