package kinesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/penstock/penstock/connectors/internal/awserr"
	"github.com/penstock/penstock/core"
)

const (
	// silence is how long a subscription may send nothing: AWS sends an event at least every few seconds.
	silence = 40 * time.Second
	// A consumer may subscribe to a shard once in a second, and takes a subscription over that is five seconds old.
	subscribeEvery = time.Second
	takeOver       = 5 * time.Second
	// fresh is how long the number that a subscription says to go on from is taken without a look at what went meanwhile.
	fresh = time.Minute
)

// subscriber reads a shard with SubscribeToShard, again and again: a subscription lasts five minutes.
type subscriber struct {
	progress
	tries tries

	stream   *kinesis.SubscribeToShardEventStream
	stop     context.CancelFunc
	went     string    // the number that the subscription before said to go on from
	seen     time.Time // when it did
	opened   time.Time // when the last subscription was asked for
	gone     bool      // the server does not know the record to begin at any more
	ended    bool      // nothing follows
	children []types.ChildShard
	lost     int // subscriptions in a row that another reader took
}

func newSubscriber(p progress) *subscriber {
	return &subscriber{progress: p, tries: tries{s: p.s, what: "subscribe to " + string(p.shard.ID)}}
}

// Next returns the records of one event, waiting for some at the tip.
func (r *subscriber) Next(ctx context.Context) (core.Batch, error) {
	for {
		if err := r.waits(r.ended); err != nil {
			return core.Batch{}, err
		}
		if r.ended {
			return core.Batch{}, r.s.closed(ctx, r.shard.ID, r.children)
		}
		if r.stream == nil {
			if err := r.subscribe(ctx); err != nil {
				return core.Batch{}, err
			}
		}
		e, err := r.event(ctx)
		if err != nil {
			return core.Batch{}, err
		}
		if e == nil {
			continue
		}
		records, err := r.take(e.Records)
		if err != nil {
			return core.Batch{}, err
		}
		r.saw(behind(e.MillisBehindLatest), len(records) > 0)
		r.went, r.seen, r.lost = deref(e.ContinuationSequenceNumber), time.Now(), 0
		r.tries.done()
		if r.went == "" {
			r.ended, r.children = true, e.ChildShards
		}
		if len(records) > 0 {
			return r.read(records), nil
		}
	}
}

// event is the next of the subscription; nil when that is over, and another is to be opened.
func (r *subscriber) event(ctx context.Context) (*types.SubscribeToShardEvent, error) {
	quiet := time.NewTimer(silence)
	defer quiet.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-quiet.C:
		r.hangUp()
		return nil, r.failed(ctx, fmt.Errorf("no event for %s", silence))
	case e, ok := <-r.stream.Events():
		if !ok {
			err := r.stream.Err()
			r.hangUp()
			return nil, r.over(ctx, err)
		}
		if m, ok := e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent); ok {
			return &m.Value, nil
		}
		return nil, nil
	}
}

// over is what the end of a subscription means: nothing after five minutes, or that another reader has the consumer's
// subscription now.
func (r *subscriber) over(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case awserr.Code(err) == codeInUse:
		r.lost++
		wait := takeOver + rand.N(takeOver) //nolint:gosec // jitter
		r.s.tellRetry(r.tries.what, r.lost, wait, fmt.Errorf("another reader took the subscription of consumer %s: give each pipeline a consumer of its own: %w", r.s.cfg.Consumer, err))
		return core.Pause(ctx, wait)
	}
	return r.failed(ctx, err)
}

// failed waits after a failure, or returns it where trying again does not help.
func (r *subscriber) failed(ctx context.Context, err error) error {
	if awserr.Code(err) == codeNotFound {
		if merr := r.s.missing(ctx, r.shard.ID, err); !errors.Is(merr, err) {
			return merr
		}
		if rerr := r.s.register(ctx); rerr != nil { // the stream and the shard are there, so the consumer is not
			return r.s.failure(ctx, rerr)
		}
		return nil
	}
	if err := r.tries.failed(ctx, err); err != nil {
		return r.s.failure(ctx, fanOutError(err))
	}
	return nil
}

// subscribe opens a subscription where the one before ended.
func (r *subscriber) subscribe(ctx context.Context) error {
	for {
		if err := core.Pause(ctx, time.Until(r.opened.Add(subscribeEvery))); err != nil {
			return err
		}
		if err := r.s.calm.wait(ctx); err != nil {
			return err
		}
		at := r.begin()
		if at.Timestamp != nil {
			if err := core.Pause(ctx, time.Until(*at.Timestamp)); err != nil {
				return err
			}
		}
		r.opened = time.Now()
		err := r.open(ctx, at)
		if err == nil {
			r.s.calm.succeeded()
			return nil
		}
		switch invalid := awserr.Code(err) == codeInvalid; {
		case invalid && at.Type == types.ShardIteratorTypeAfterSequenceNumber:
			r.went = ""
			continue
		case invalid && r.s.expired(r.shard.ID, at.SequenceNumber):
			r.gone = true
			continue
		case invalid && at.Timestamp != nil && time.Since(*at.Timestamp) < clockSkew:
			err = earlyError{err}
		case invalid: // a number of another stream's that had the name, perhaps
			if ferr := r.s.try(ctx, r.tries.what, r.s.refresh); ferr != nil {
				return r.s.failure(ctx, ferr)
			}
		}
		if err := r.failed(ctx, err); err != nil {
			return err
		}
	}
}

// begin is where the next subscription begins: where the one before said, if that was a moment ago.
func (r *subscriber) begin() types.StartingPosition {
	if r.went != "" && time.Since(r.seen) < fresh {
		r.begun = true
		return types.StartingPosition{Type: types.ShardIteratorTypeAfterSequenceNumber, SequenceNumber: &r.went}
	}
	r.restart()
	if r.gone {
		return position{}.where()
	}
	return r.at.where()
}

// open asks for a subscription, which outlives the call. An answer has to begin in the time of a request.
func (r *subscriber) open(ctx context.Context, at types.StartingPosition) error {
	alive, stop := context.WithCancel(r.s.ended)
	late := time.AfterFunc(requestTime, stop)
	defer late.Stop()
	unhook := context.AfterFunc(ctx, stop)
	defer unhook()
	consumer, shard := r.s.consumer(), string(r.shard.ID)
	// A client of its own, over the same connections: the SDK decodes the events of all of a client's subscriptions in one
	// buffer.
	client := kinesis.New(r.s.client.Options())
	out, err := client.SubscribeToShard(alive, &kinesis.SubscribeToShardInput{ConsumerARN: &consumer, ShardId: &shard, StartingPosition: &at})
	if err != nil {
		stop()
		if ctx.Err() == nil && awserr.Code(err) == "" && !late.Stop() {
			return fmt.Errorf("the subscription does not begin: the server does not answer, or leaves out the initial response, and can only be polled: %w", err)
		}
		return err
	}
	r.stream, r.stop = out.GetStream(), stop
	return nil
}

// hangUp ends the subscription.
func (r *subscriber) hangUp() {
	if r.stream == nil {
		return
	}
	r.stop()
	_ = r.stream.Close() // nothing is sent to it
	r.stream = nil
}

// Close ends the subscription.
func (r *subscriber) Close() error {
	r.hangUp()
	return nil
}
