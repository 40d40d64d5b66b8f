package stream

import (
	"context"
	"fmt"
)

// Clear removes every record that the stream holds now, before their retention ends. The sequence numbers of records put
// later go on.
func (s *Stream) Clear(ctx context.Context) error {
	info, err := s.Info(ctx)
	if err != nil {
		return err
	}
	for _, sh := range info.Shards {
		tail, err := s.store.engine.Tail(ctx, sh.Log)
		if err == nil {
			err = s.store.engine.Trim(ctx, sh.Log, tail.Last+1)
		}
		if err != nil {
			return fmt.Errorf("clear %s of stream %s: %w", sh.ID, s.name, err)
		}
	}
	return nil
}
