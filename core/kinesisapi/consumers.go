package kinesisapi

import (
	"context"
	"errors"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/awsapi/wire"
	"github.com/penstock/penstock/core/stream"
)

func consumerARN(streamARN string, c stream.Consumer) string {
	return streamARN + "/consumer/" + c.Name + ":" + strconv.FormatInt(c.Created.Unix(), 10)
}

func (a *API) registerStreamConsumer(ctx context.Context, _ *awsapi.Call, in *registerStreamConsumerInput) (*registerStreamConsumerOutput, error) {
	t, err := a.find(ctx, "", in.StreamARN)
	if err != nil {
		return nil, err
	}
	if t.status == stream.Creating || t.status == stream.Deleting {
		return nil, a.busy(t.info.Name, t.status)
	}
	c, err := t.Register(ctx, in.ConsumerName, in.Tags, a.cfg.Delay)
	switch {
	case errors.Is(err, stream.ErrConsumerExists):
		return nil, awsapi.Refuse(codeInUse, "Consumer under name %s already exists on stream %s under account %s.", in.ConsumerName, t.info.Name, a.cfg.Account)
	case err != nil:
		return nil, a.refused(ctx, t, err)
	}
	return &registerStreamConsumerOutput{Consumer: shapeOf(t, c)}, nil
}

func shapeOf(t target, c stream.Consumer) consumerShape {
	return consumerShape{
		ConsumerName: c.Name, ConsumerARN: consumerARN(t.arn, c), ConsumerStatus: string(c.Status(time.Now())), ConsumerCreationTimestamp: wire.At(c.Created),
	}
}

func (a *API) deregisterStreamConsumer(ctx context.Context, _ *awsapi.Call, in *deregisterStreamConsumerInput) error {
	t, c, err := a.consumer(ctx, in.ConsumerARN, in.StreamARN, in.ConsumerName)
	if err != nil {
		return err
	}
	err = t.Deregister(ctx, c.Name, a.cfg.Delay)
	switch {
	case errors.Is(err, stream.ErrNoConsumer):
		return a.noConsumer(t, c.Name)
	case errors.Is(err, stream.ErrBusy):
		return awsapi.Refuse(codeInUse, "Consumer %s of stream %s under account %s not ACTIVE, instead in state %s", c.Name, t.info.Name, a.cfg.Account, c.Status(time.Now()))
	}
	return a.explain(t.info.Name, err)
}

func (a *API) describeStreamConsumer(ctx context.Context, _ *awsapi.Call, in *describeStreamConsumerInput) (*describeStreamConsumerOutput, error) {
	t, c, err := a.consumer(ctx, in.ConsumerARN, in.StreamARN, in.ConsumerName)
	if err != nil {
		return nil, err
	}
	s := shapeOf(t, c)
	return &describeStreamConsumerOutput{ConsumerDescription: consumerDescription{
		ConsumerName: s.ConsumerName, ConsumerARN: s.ConsumerARN, ConsumerStatus: s.ConsumerStatus, ConsumerCreationTimestamp: s.ConsumerCreationTimestamp, StreamARN: t.arn,
	}}, nil
}

// consumer is the one that a request names: by its ARN, by its name and its stream's ARN, or by both.
func (a *API) consumer(ctx context.Context, arn, streamARN, name string) (target, stream.Consumer, error) {
	if arn == "" && (streamARN == "" || name == "") {
		return target{}, stream.Consumer{}, invalid("Either ConsumerARN, or both StreamARN and ConsumerName have to be given.")
	}
	if arn != "" {
		of, named, ok := splitConsumerARN(arn)
		if !ok {
			return target{}, stream.Consumer{}, invalid("ConsumerARN %s is not that of a consumer.", arn)
		}
		if streamARN != "" && streamARN != of || name != "" && name != named {
			return target{}, stream.Consumer{}, invalid("StreamARN, ConsumerName and ConsumerARN are not of one consumer.")
		}
		streamARN, name = of, named
	}
	t, err := a.find(ctx, "", streamARN)
	if err != nil {
		return t, stream.Consumer{}, err
	}
	c, err := t.Consumer(ctx, name)
	if err == nil && arn != "" && arn != consumerARN(t.arn, c) { // one that had the name before, or another way to write this one
		err = stream.ErrNoConsumer
	}
	if errors.Is(err, stream.ErrNoConsumer) {
		return t, c, a.noConsumer(t, name)
	}
	return t, c, err
}

// splitConsumerARN is the stream's ARN and the name in the ARN of a consumer, which ends with the second of its creation.
func splitConsumerARN(arn string) (streamARN, name string, ok bool) {
	streamARN, rest, ok := strings.Cut(arn, "/consumer/")
	name, _, second := strings.Cut(rest, ":")
	return streamARN, name, ok && second
}

func (a *API) noConsumer(t target, name string) error {
	return awsapi.Refuse(codeNotFound, "Consumer %s of stream %s under account %s not found.", name, t.info.Name, a.cfg.Account)
}

// maxListConsumers is how many consumers one answer lists, whatever is asked for.
const maxListConsumers = 100

func (a *API) listStreamConsumers(ctx context.Context, _ *awsapi.Call, in *listStreamConsumersInput) (*listStreamConsumersOutput, error) {
	after, of := "", ""
	if in.NextToken != "" {
		if !in.StreamCreationTimestamp.IsZero() {
			return nil, invalid("NextToken and StreamCreationTimestamp cannot be given together.")
		}
		p, err := a.token(kindConsumers, in.NextToken)
		if err != nil {
			return nil, err
		}
		after, of = string(p.after), p.stream
	}
	t, err := a.find(ctx, "", in.StreamARN)
	if err != nil {
		return nil, err
	}
	if of != "" && of != t.info.ID || !in.StreamCreationTimestamp.IsZero() && !in.StreamCreationTimestamp.Equal(wire.At(t.info.Created).Time) {
		return nil, a.noStream(t.info.Name)
	}
	all, err := t.Consumers(ctx)
	if err != nil {
		return nil, a.explain(t.info.Name, err)
	}
	all = all[sort.Search(len(all), func(i int) bool { return all[i].Name > after }):]
	limit := maxListConsumers
	if in.MaxResults != 0 {
		limit = min(limit, int(in.MaxResults))
	}
	out := &listStreamConsumersOutput{Consumers: []consumerShape{}}
	for _, c := range all[:min(limit, len(all))] {
		out.Consumers = append(out.Consumers, shapeOf(t, c))
	}
	if len(all) > limit {
		out.NextToken = a.tokens.seal(kindConsumers, position{
			made: time.Now(), stream: t.info.ID, name: t.info.Name, after: core.SequenceNumber(all[limit-1].Name),
		})
	}
	return out, nil
}
