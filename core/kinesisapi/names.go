package kinesisapi

import (
	"context"
	"strings"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/stream"
)

// names are what a request says of the stream or consumer that it is about.
type names struct{ StreamName, StreamARN, ConsumerARN, ResourceARN, ShardIterator string }

// naming is a request that says so; each of the generated ones does.
type naming[In any] interface {
	*In
	names() names
}

// anything is what a request is about that names nothing.
const anything = "*"

// about is the ARN of what a request is about, which policies allow or deny. Where it names a thing in two ways that do
// not agree, its operation refuses it.
func (a *API) about(n names) string {
	switch {
	case n.ConsumerARN != "":
		return n.ConsumerARN
	case n.ResourceARN != "":
		return n.ResourceARN
	case n.ShardIterator != "": // what it was made for, whatever stands beside it
		if p, err := a.tokens.open(kindIterator, n.ShardIterator); err == nil {
			return a.streamARN(p.name)
		}
		return anything
	case n.StreamARN != "":
		return n.StreamARN
	case n.StreamName != "":
		return a.streamARN(core.StreamName(n.StreamName))
	}
	return anything
}

func op[In, Out any, P naming[In]](a *API, name string, handle func(context.Context, *awsapi.Call, *In) (*Out, error)) awsapi.Operation {
	return opAbout(a, name, func(in *In) string { return a.about(P(in).names()) }, handle)
}

// opAbout is op of a request whose names do not say all of what it is about.
func opAbout[In, Out any](a *API, name string, about awsapi.On[In], handle func(context.Context, *awsapi.Call, *In) (*Out, error)) awsapi.Operation {
	if !a.cfg.Limits.Counts(name) {
		return awsapi.Op(name, about, handle)
	}
	return awsapi.Op(name, about, func(ctx context.Context, c *awsapi.Call, in *In) (*Out, error) {
		if err := a.called(name, about(in)); err != nil {
			return nil, err
		}
		return handle(ctx, c, in)
	})
}

func void[In any, P naming[In]](a *API, name string, handle func(context.Context, *awsapi.Call, *In) error) awsapi.Operation {
	return voidAbout(a, name, func(in *In) string { return a.about(P(in).names()) }, handle)
}

// voidAbout is void of a request whose names do not say all of what it is about.
func voidAbout[In any](a *API, name string, about awsapi.On[In], handle func(context.Context, *awsapi.Call, *In) error) awsapi.Operation {
	if !a.cfg.Limits.Counts(name) {
		return awsapi.Void(name, about, handle)
	}
	return awsapi.Void(name, about, func(ctx context.Context, c *awsapi.Call, in *In) error {
		if err := a.called(name, about(in)); err != nil {
			return err
		}
		return handle(ctx, c, in)
	})
}

func events[In any, P naming[In]](a *API, name string, handle func(context.Context, *awsapi.Call, *In, *awsapi.Sender) error) awsapi.Operation {
	return awsapi.Events(name, func(in *In) string { return a.about(P(in).names()) }, handle)
}

// called takes one call of an operation about a stream or its consumer; LimitExceededException where there were too many.
func (a *API) called(operation, arn string) error {
	of, _, _ := strings.Cut(arn, "/consumer/")
	ofStream, ok := a.cfg.Limits.Call(operation, of)
	switch {
	case ok:
		return nil
	case ofStream:
		return awsapi.Refuse(codeLimit, "Rate exceeded for stream %s under account %s.", strings.TrimPrefix(of, a.streamARN("")), a.cfg.Account)
	}
	return awsapi.Refuse(codeLimit, "Rate exceeded for %s under account %s.", operation, a.cfg.Account)
}

// aboutShards is what ListShards is about: its token stands for a stream, too.
func (a *API) aboutShards(in *listShardsInput) string {
	if in.NextToken != "" {
		if p, err := a.tokens.open(kindShards, in.NextToken); err == nil {
			return a.streamARN(p.name)
		}
	}
	return a.about(in.names())
}

// aboutConsumer is what a request is about that may name a consumer by its ARN, or by its name and its stream's ARN: in
// either case the same.
func (a *API) aboutConsumer(n names, name string) string {
	if n.ConsumerARN != "" || n.StreamARN == "" || name == "" {
		return a.about(n)
	}
	t, c, err := a.consumer(context.Background(), "", n.StreamARN, name)
	if err != nil { // policies for consumers of the name hold where there is none, and the operation says so
		return consumerARN(n.StreamARN, stream.Consumer{Name: name, Created: time.Unix(0, 0)})
	}
	return consumerARN(t.arn, c)
}
