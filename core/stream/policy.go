package stream

import (
	"context"
	"fmt"
)

// MaxPolicy is how many bytes a resource's policy may have.
const MaxPolicy = 20 << 10

// SetPolicy stores the document that says who else may use the stream; an empty one removes it. What it says is for the
// caller to check, and to enforce.
func (s *Stream) SetPolicy(ctx context.Context, policy string) error {
	if err := checkPolicy(policy); err != nil {
		return err
	}
	return s.amend(ctx, func(i *Info) error {
		if i.Phase == Deleting {
			return fmt.Errorf("stream %s is being deleted: %w", s.name, ErrBusy)
		}
		i.Policy = policy
		return nil
	})
}

// SetConsumerPolicy is SetPolicy for one of the stream's consumers; ErrNoConsumer.
func (s *Stream) SetConsumerPolicy(ctx context.Context, name, policy string) error {
	if err := checkPolicy(policy); err != nil {
		return err
	}
	return s.amendConsumer(ctx, name, func(c *Consumer) error {
		c.Policy = policy
		return nil
	})
}

func checkPolicy(policy string) error {
	if len(policy) > MaxPolicy {
		return &InvalidError{fmt.Sprintf("a policy may have %d bytes, not %d", MaxPolicy, len(policy))}
	}
	return nil
}
