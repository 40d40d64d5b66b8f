package stream

import (
	"context"
	"fmt"
	"time"
)

// Clear removes every record that the stream holds now, before their retention ends, but what is pinned and what comes
// after that. The sequence numbers of records put later go on.
func (s *Stream) Clear(ctx context.Context) error {
	info, err := s.Info(ctx)
	if err != nil {
		return err
	}
	held, err := s.store.pinned(ctx, s.id)
	if err != nil {
		return err
	}
	for _, sh := range info.Shards {
		if err := s.clear(ctx, info, sh, held); err != nil {
			return fmt.Errorf("clear %s of stream %s: %w", sh.ID, s.name, err)
		}
	}
	return nil
}

func (s *Stream) clear(ctx context.Context, info Info, sh Shard, held pins) error {
	tail, err := s.store.engine.Tail(ctx, sh.Log)
	if err != nil {
		return err
	}
	hold, err := s.store.holding(ctx, info, sh, held, time.Now(), tail.Last+1)
	if err != nil {
		return err
	}
	return s.store.engine.Trim(ctx, sh.Log, min(tail.Last+1, hold))
}
