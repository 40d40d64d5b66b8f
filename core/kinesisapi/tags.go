package kinesisapi

import (
	"context"
	"errors"
	"slices"
	"sort"
	"strings"

	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/stream"
)

// resource is what an ARN stands for: a stream, or one of its consumers.
type resource struct {
	target
	consumer *stream.Consumer // nil: the stream itself
}

// resource finds what an ARN stands for.
func (a *API) resource(ctx context.Context, arn string) (resource, error) {
	if strings.Contains(arn, "/consumer/") {
		t, c, err := a.consumer(ctx, arn, "", "")
		return resource{t, &c}, err
	}
	t, err := a.find(ctx, "", arn)
	return resource{target: t}, err
}

func (r resource) tags() map[string]string {
	if r.consumer != nil {
		return r.consumer.Tags
	}
	return r.info.Tags
}

func (r resource) tag(ctx context.Context, tags map[string]string) error {
	if r.consumer != nil {
		return r.TagConsumer(ctx, r.consumer.Name, tags)
	}
	return r.Tag(ctx, tags)
}

func (r resource) untag(ctx context.Context, keys []string) error {
	if r.consumer != nil {
		return r.UntagConsumer(ctx, r.consumer.Name, keys)
	}
	return r.Untag(ctx, keys)
}

func (a *API) tagResource(ctx context.Context, _ *awsapi.Call, in *tagResourceInput) error {
	r, err := a.resource(ctx, in.ResourceARN)
	if err != nil {
		return err
	}
	return a.unchanged(ctx, r, r.tag(ctx, in.Tags))
}

func (a *API) untagResource(ctx context.Context, _ *awsapi.Call, in *untagResourceInput) error {
	r, err := a.resource(ctx, in.ResourceARN)
	if err != nil {
		return err
	}
	return a.unchanged(ctx, r, r.untag(ctx, in.TagKeys))
}

func (a *API) listTagsForResource(ctx context.Context, _ *awsapi.Call, in *listTagsForResourceInput) (*listTagsForResourceOutput, error) {
	r, err := a.resource(ctx, in.ResourceARN)
	if err != nil {
		return nil, err
	}
	return &listTagsForResourceOutput{Tags: inOrder(r.tags())}, nil
}

func (a *API) addTagsToStream(ctx context.Context, _ *awsapi.Call, in *addTagsToStreamInput) error {
	t, err := a.find(ctx, in.StreamName, in.StreamARN)
	if err != nil {
		return err
	}
	return a.unchanged(ctx, resource{target: t}, t.Tag(ctx, in.Tags))
}

func (a *API) removeTagsFromStream(ctx context.Context, _ *awsapi.Call, in *removeTagsFromStreamInput) error {
	t, err := a.find(ctx, in.StreamName, in.StreamARN)
	if err != nil {
		return err
	}
	return a.unchanged(ctx, resource{target: t}, t.Untag(ctx, in.TagKeys))
}

func (a *API) listTagsForStream(ctx context.Context, _ *awsapi.Call, in *listTagsForStreamInput) (*listTagsForStreamOutput, error) {
	t, err := a.find(ctx, in.StreamName, in.StreamARN)
	if err != nil {
		return nil, err
	}
	tags := inOrder(t.info.Tags)
	tags = tags[sort.Search(len(tags), func(i int) bool { return tags[i].Key > in.ExclusiveStartTagKey }):]
	limit := int(in.Limit)
	if limit == 0 {
		limit = stream.MaxTags
	}
	return &listTagsForStreamOutput{Tags: tags[:min(limit, len(tags))], HasMoreTags: len(tags) > limit}, nil
}

// inOrder are tags in order of their keys.
func inOrder(tags map[string]string) []tagShape {
	out := make([]tagShape, 0, len(tags))
	for k, v := range tags {
		out = append(out, tagShape{Key: k, Value: v})
	}
	slices.SortFunc(out, func(x, y tagShape) int { return strings.Compare(x.Key, y.Key) })
	return out
}

// unchanged explains why the change of a resource was refused.
func (a *API) unchanged(ctx context.Context, r resource, err error) error {
	switch {
	case r.consumer != nil && errors.Is(err, stream.ErrNoConsumer):
		return a.noConsumer(r.target, r.consumer.Name)
	case r.consumer != nil && errors.Is(err, stream.ErrBusy):
		return awsapi.Refuse(codeInUse, "Consumer %s of stream %s under account %s not ACTIVE, instead in state DELETING", r.consumer.Name, r.info.Name, a.cfg.Account)
	}
	return a.refused(ctx, r.target, err)
}
