package kinesisapi

import (
	"context"
	"sync"
	"time"

	"github.com/penstock/penstock/core/awsapi"
)

// takeOver is how old a subscription has to be before another one of its consumer and shard can take its place.
const takeOver = 5 * time.Second

// subscribers are the subscriptions that are under way: one for each consumer and shard.
type subscribers struct {
	mu   sync.Mutex // guards what follows
	over bool       // no more are taken
	by   map[subscriberKey]*subscriber
}

type subscriberKey struct{ consumer, shard string }

type subscriber struct {
	began time.Time
	stop  context.CancelCauseFunc
}

// take begins a subscription, if allowed says that it may; the context ends when another one takes its place or the
// server ends. done ends it.
func (s *subscribers) take(ctx context.Context, consumer, shard string, allowed func() bool) (taken context.Context, done func(), err error) {
	key := subscriberKey{consumer, shard}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return nil, nil, &awsapi.Error{Code: codeInternal, Status: 500, Message: "The server ends."}
	}
	old := s.by[key]
	if old != nil && time.Since(old.began) < takeOver {
		return nil, nil, awsapi.Refuse(codeInUse, "Another active subscription exists for this consumer: %s", consumer)
	}
	if !allowed() {
		return nil, nil, awsapi.Refuse(codeLimit, "Rate exceeded for consumer %s and shard %s: one call of SubscribeToShard a second.", consumer, shard)
	}
	if old != nil {
		old.stop(awsapi.Refuse(codeInUse, "Another subscription of this consumer took its place: %s", consumer))
	}
	ctx, stop := context.WithCancelCause(ctx)
	mine := &subscriber{time.Now(), stop}
	if s.by == nil {
		s.by = map[subscriberKey]*subscriber{}
	}
	s.by[key] = mine
	return ctx, func() {
		stop(nil)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.by[key] == mine {
			delete(s.by, key)
		}
	}, nil
}

// EndSubscriptions ends all calls of SubscribeToShard, as after their five minutes, and takes no more. It is for a
// server that ends.
func (a *API) EndSubscriptions() {
	a.subscribers.mu.Lock()
	defer a.subscribers.mu.Unlock()
	a.subscribers.over = true
	for _, s := range a.subscribers.by {
		s.stop(errOver)
	}
}
