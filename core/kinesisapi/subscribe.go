package kinesisapi

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/stream"
)

const (
	// subscriptionLife is how long one call of SubscribeToShard lasts; clients call again then.
	subscriptionLife = 5 * time.Minute
	// heartbeat is how often an event is sent when nothing is put. KCL gives up after 35 s without one.
	heartbeat = 2 * time.Second
	// Bounds of one event.
	eventRecords = 1000
	eventBytes   = 1 << 20
)

func (a *API) subscribeToShard(ctx context.Context, c *awsapi.Call, in *subscribeToShardInput, send *awsapi.Sender) error {
	t, err := a.subscriber(ctx, in.ConsumerARN)
	if err != nil {
		return err
	}
	p, err := startAt(in.StartingPosition.Type, in.StartingPosition.SequenceNumber, in.StartingPosition.Timestamp)
	if err != nil {
		return err
	}
	after, err := a.fix(ctx, t, in.ShardID, p)
	if err != nil {
		return err
	}
	limited := t.limited(in.ShardID)
	ctx, release, err := a.subscribers.take(ctx, in.ConsumerARN, in.ShardID, func() bool { return a.cfg.Limits.Subscribe(limited, in.ConsumerARN) })
	s := &subscription{api: a, target: t, consumer: in.ConsumerARN, shard: core.ShardID(in.ShardID), after: after, send: send}
	s.began(c, err)
	if err != nil {
		return err
	}
	defer release()
	ctx, stop := context.WithTimeoutCause(ctx, subscriptionLife, errOver)
	defer stop()
	err = s.run(ctx)
	if ctx.Err() != nil {
		return ended(context.Cause(ctx))
	}
	return err
}

// subscriber is the stream of a consumer that can subscribe.
func (a *API) subscriber(ctx context.Context, arn string) (target, error) {
	t, c, err := a.consumer(ctx, arn, "", "")
	switch {
	case err != nil:
		return t, err
	case t.status == stream.Creating || t.status == stream.Deleting:
		return t, a.noStream(t.info.Name)
	}
	if is := c.Status(time.Now()); is != stream.Active {
		return t, awsapi.Refuse(codeInUse, "Consumer %s of stream %s under account %s is in state %s.", c.Name, t.info.Name, a.cfg.Account, is)
	}
	return t, nil
}

// errOver says that a subscription lasted as long as it may.
var errOver = errors.New("subscription over")

// ended is what the end of a subscription is to the client: an error only if another one took its place.
func ended(cause error) error {
	var e *awsapi.Error
	if errors.As(cause, &e) {
		return e
	}
	return nil
}

// subscription sends what is put to a shard, as it is put.
type subscription struct {
	api      *API
	target   target
	consumer string // its ARN
	shard    core.ShardID
	after    core.SequenceNumber // sent last
	send     *awsapi.Sender
	reader   *stream.Reader
	checked  time.Time // whether the consumer is still there
}

// name is the consumer's.
func (s *subscription) name() string {
	_, name, _ := splitConsumerARN(s.consumer)
	return name
}

// began tells that the subscription did, or was refused.
func (s *subscription) began(c *awsapi.Call, err error) {
	done := SubscribeDone{Consumer: s.name()}
	done.of(s.target)
	done.end(c, err)
	var e *awsapi.Error
	done.Exceeded = errors.As(err, &e) && (e.Code == codeInUse || e.Code == codeLimit)
	s.api.cfg.Events.Subscribe(done)
}

// run sends events until ctx or the shard ends, or the client is gone.
func (s *subscription) run(ctx context.Context) error {
	if err := s.send.Begin(); err != nil {
		return err
	}
	defer s.rewind()
	for {
		b, err := s.next(ctx)
		switch {
		case err == nil:
			err = s.sendAll(ctx, b)
			b.Release()
		case errors.Is(err, io.EOF):
			return s.sendEnd(ctx)
		case errors.Is(err, shardlog.ErrTrimmed): // it reads slower than records expire
			s.after, err = "", nil
			s.rewind()
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			err = s.sendEvent(ctx, nil, 0)
		}
		if err != nil {
			return s.api.explain(s.target.info.Name, err)
		}
	}
}

// rewind makes the next records be looked for after what was sent last.
func (s *subscription) rewind() {
	if s.reader != nil {
		_ = s.reader.Close() // it has nothing to lose
		s.reader = nil
	}
}

// next waits for records, for as long as a client may hear nothing. The subscription ends with its consumer.
func (s *subscription) next(ctx context.Context) (core.Batch, error) {
	if now := time.Now(); now.Sub(s.checked) >= heartbeat {
		if _, err := s.api.subscriber(ctx, s.consumer); err != nil {
			return core.Batch{}, err
		}
		s.checked = now
	}
	if s.reader == nil {
		r, err := s.target.Read(ctx, s.shard, s.after)
		if err != nil {
			return core.Batch{}, err
		}
		r.Within(eventRecords, eventBytes) // there may be thousands of subscriptions that catch up
		s.reader = r
	}
	waiting, stop := context.WithTimeout(ctx, heartbeat)
	defer stop()
	return s.reader.Next(waiting)
}

func (s *subscription) sendAll(ctx context.Context, b core.Batch) error {
	records := records(b, s.reader.Sealed())
	for len(records) > 0 {
		n, size := 0, 0
		for n < min(len(records), eventRecords) && (n == 0 || size+records[n].size() <= eventBytes) {
			size += records[n].size()
			n++
		}
		if err := s.api.cfg.Limits.Pace(ctx, s.target.limited(string(s.shard)), s.consumer, int64(size)); err != nil {
			return err
		}
		s.after = core.SequenceNumber(records[n-1].SequenceNumber)
		behind, err := s.target.Behind(ctx, s.shard, records[n-1].ApproximateArrivalTimestamp.Time)
		if err != nil {
			return err
		}
		if n < len(records) {
			behind = max(behind, time.Millisecond)
		}
		if err := s.sendEvent(ctx, records[:n], behind); err != nil {
			return err
		}
		records = records[n:]
	}
	return nil
}

// sendEvent sends records, or that there are none. A client goes on from the event's sequence number, which has to be
// one also before the first record.
func (s *subscription) sendEvent(ctx context.Context, records []recordShape, behind time.Duration) error {
	e := subscribeToShardEvent{Records: records, ContinuationSequenceNumber: string(s.after), MillisBehindLatest: behind.Milliseconds()}
	if s.after == "" {
		start, err := s.target.Start(ctx, s.shard)
		if err != nil {
			return err
		}
		e.ContinuationSequenceNumber = string(start)
	}
	began := time.Now()
	err := s.send.Send("SubscribeToShardEvent", &e)
	done := SentDone{Consumer: s.name(), Behind: behind}
	done.of(s.target)
	done.OK, done.Took = err == nil, time.Since(began)
	if err == nil {
		for i := range records {
			done.Sent.add(Flow{Records: 1, Bytes: int64(records[i].size())})
		}
	}
	s.api.cfg.Events.Sent(done)
	return err
}

// size is the bytes of key and data.
func (r *recordShape) size() int { return len(r.PartitionKey) + len(r.Data) }

// sendEnd says that the shard is closed and which its children are.
func (s *subscription) sendEnd(ctx context.Context) error {
	children, err := s.api.children(ctx, s.target, s.shard)
	if err != nil {
		return err
	}
	return s.send.Send("SubscribeToShardEvent", &subscribeToShardEvent{ChildShards: children})
}
