package limit

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/penstock/penstock/core"
)

// Limits of Kinesis Data Streams, each a second.
const (
	WriteBytes      = 1 << 20 // keys and data, of a shard
	WriteRecords    = 1000    // of a shard
	ReadBytes       = 2 << 20 // of a shard, shared by all who call GetRecords
	ReadCalls       = 5       // of GetRecords, of a shard
	Iterators       = 5       // calls of GetShardIterator, of a shard
	Subscriptions   = 1       // calls of SubscribeToShard, of a consumer and shard
	SubscribedBytes = 2 << 20 // of a consumer and shard
)

// ExceededError says that a shard had its share of this second: wait and try again.
type ExceededError struct{ Shard core.ShardID }

func (e *ExceededError) Error() string { return fmt.Sprintf("%s: rate exceeded", e.Shard) }

// Unwrap makes it core.ErrThrottled.
func (e *ExceededError) Unwrap() error { return core.ErrThrottled }

// Shard names a shard of all streams.
type Shard struct {
	Stream string // its generated id
	ID     core.ShardID
}

// Limiter counts what is used of the limits. It is safe for concurrent use; a nil one has no limits.
type Limiter struct {
	factor float64

	mu        sync.Mutex // guards what follows
	shards    map[Shard]*shard
	consumers map[consumerKey]*consumer
	calls     map[callKey]*bucket
	sweepAt   int // entries
}

// shard has the buckets of one.
type shard struct{ writeBytes, writeRecords, readBytes, readCalls, iterators bucket }

type consumerKey struct {
	shard    Shard
	consumer string
}

type consumer struct{ calls, bytes bucket }

// New returns a limiter that allows factor times what Kinesis does.
func New(factor float64) (*Limiter, error) {
	const least, most = 0.001, 1e6
	if !(factor >= least && factor <= most) { // not a number is neither
		return nil, fmt.Errorf("a factor of limits is %g to %g, not %g: %w", least, most, factor, core.ErrInvalid)
	}
	return &Limiter{factor: factor, shards: map[Shard]*shard{}, consumers: map[consumerKey]*consumer{}, calls: map[callKey]*bucket{}, sweepAt: firstSweep}, nil
}

// Write takes one record of so many bytes of key and data, or says that the shard takes no more of them now.
func (l *Limiter) Write(of Shard, bytes int) bool {
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	s := l.shard(of, now)
	s.writeBytes.fill(now)
	s.writeRecords.fill(now)
	if !s.writeBytes.has(float64(bytes)) || !s.writeRecords.has(1) {
		return false
	}
	s.writeBytes.use(float64(bytes))
	s.writeRecords.use(1)
	return true
}

// Read takes one call of GetRecords. What it read is said with Took, once it is known.
func (l *Limiter) Read(of Shard) error {
	return l.call(of, func(s *shard, now time.Time) bool {
		s.readBytes.fill(now)
		s.readCalls.fill(now)
		ok := s.readBytes.level >= 0 && s.readCalls.has(1)
		if ok {
			s.readCalls.use(1)
		}
		return ok
	})
}

// Took says how many bytes of keys and data a call of GetRecords read; while they are not paid for, others are refused.
func (l *Limiter) Took(of Shard, bytes int64) {
	_ = l.call(of, func(s *shard, now time.Time) bool {
		s.readBytes.fill(now)
		s.readBytes.owe(float64(bytes))
		return true
	})
}

// Iterate takes one call of GetShardIterator.
func (l *Limiter) Iterate(of Shard) error {
	return l.call(of, func(s *shard, now time.Time) bool {
		s.iterators.fill(now)
		ok := s.iterators.has(1)
		if ok {
			s.iterators.use(1)
		}
		return ok
	})
}

func (l *Limiter) call(of Shard, take func(s *shard, now time.Time) bool) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if !take(l.shard(of, now), now) {
		return &ExceededError{of.ID}
	}
	return nil
}

// Subscribe takes one call of SubscribeToShard, or says that there was one just before.
func (l *Limiter) Subscribe(of Shard, by string) bool {
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	c := l.consumer(consumerKey{of, by}, now)
	c.calls.fill(now)
	ok := c.calls.has(1)
	if ok {
		c.calls.use(1)
	}
	return ok
}

// Pace waits until a subscription may be sent so many bytes of keys and data. Its error is that of ctx.
func (l *Limiter) Pace(ctx context.Context, of Shard, by string, bytes int64) error {
	if l == nil {
		return nil
	}
	return core.Pause(ctx, l.send(consumerKey{of, by}, bytes))
}

// send takes bytes of a consumer and says when they may be sent.
func (l *Limiter) send(key consumerKey, bytes int64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	c := l.consumer(key, now)
	c.bytes.fill(now)
	c.bytes.use(float64(bytes))
	return c.bytes.debt()
}

// shard has the buckets of a shard. The caller holds l.mu.
func (l *Limiter) shard(of Shard, now time.Time) *shard {
	s := l.shards[of]
	if s == nil {
		l.sweep(now)
		full := func(rate float64) bucket { return newBucket(rate*l.factor, now) }
		s = &shard{full(WriteBytes), full(WriteRecords), full(ReadBytes), full(ReadCalls), full(Iterators)}
		l.shards[of] = s
	}
	return s
}

// consumer has the buckets of a consumer of a shard. The caller holds l.mu.
func (l *Limiter) consumer(key consumerKey, now time.Time) *consumer {
	c := l.consumers[key]
	if c == nil {
		l.sweep(now)
		full := func(rate float64) bucket { return newBucket(rate*l.factor, now) }
		c = &consumer{full(Subscriptions), full(SubscribedBytes)}
		l.consumers[key] = c
	}
	return c
}
