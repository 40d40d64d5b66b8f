package kinesisapi

import (
	"context"
	"errors"
	"sort"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/awsapi/wire"
	"github.com/penstock/penstock/core/stream"
)

func (a *API) createStream(ctx context.Context, _ *awsapi.Call, in *createStreamInput) error {
	name := core.StreamName(in.StreamName)
	set, err := a.modeOf(ctx, in)
	if err != nil {
		return err
	}
	set.MaxRecord, set.Delay, set.Tags = int64(in.MaxRecordSizeInKiB)<<10, a.cfg.Delay, in.Tags
	_, err = a.streams.Create(ctx, name, set)
	if errors.Is(err, stream.ErrExists) {
		return awsapi.Refuse(codeInUse, "Stream %s under account %s already exists.", name, a.cfg.Account)
	}
	return a.explain(name, err)
}

// withinShardLimit refuses what would make more open shards than there may be.
func (a *API) withinShardLimit(ctx context.Context, more int) error {
	n, _, err := a.counts(ctx)
	if err != nil {
		return err
	}
	if n+more > a.cfg.ShardLimit {
		return awsapi.Refuse(codeLimit, "This request would exceed the shard limit for the account %s in %s. Current shard count for the account: %d. Limit: %d. Number of additional shards that would have resulted from this request: %d. Refer to the AWS Service Limits page (https://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to request higher limits.",
			a.cfg.Account, a.cfg.Region, n, a.cfg.ShardLimit, more)
	}
	return nil
}

func (a *API) deleteStream(ctx context.Context, _ *awsapi.Call, in *deleteStreamInput) error {
	t, err := a.find(ctx, in.StreamName, in.StreamARN)
	if err != nil {
		return err
	}
	if t.status == stream.Deleting {
		return a.busy(t.info.Name, t.status)
	}
	err = a.streams.Retire(ctx, t.info.Name, a.cfg.Delay, in.EnforceConsumerDeletion)
	if errors.Is(err, stream.ErrConsumers) {
		return awsapi.Refuse(codeInUse, "DeleteStream can't delete %s:%[2]s because there are consumers associated with this data stream. To delete %[2]s anyway, set the EnforceConsumerDeletion parameter to true to force the deletion of all the consumers that are associated with it.",
			a.cfg.Account, t.info.Name)
	}
	if err == nil && a.cfg.Delay <= 0 {
		err = a.streams.Delete(ctx, t.info.Name)
	}
	if err != nil || a.cfg.Delay <= 0 {
		return a.explain(t.info.Name, err)
	}
	time.AfterFunc(a.cfg.Delay, func() { a.deleteRetired(t) })
	return nil
}

// deleteRetired ends a stream's phase DELETING. After a crash, trimming does it.
func (a *API) deleteRetired(t target) {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	info, err := t.Info(ctx)
	if err == nil {
		err = a.streams.DeleteRetired(ctx, info)
	}
	if err != nil && !errors.Is(err, stream.ErrNotFound) {
		a.cfg.Log.Warn("stream not deleted yet; it is tried again within minutes", "stream", t.info.Name, "error", err)
	}
}

func (a *API) describeStream(ctx context.Context, _ *awsapi.Call, in *describeStreamInput) (*describeStreamOutput, error) {
	t, err := a.find(ctx, in.StreamName, in.StreamARN)
	if err != nil {
		return nil, err
	}
	limit := int(in.Limit)
	if limit == 0 {
		limit = 100
	}
	shards, more := pageOf(a.shardsOf(t), in.ExclusiveStartShardID, limit)
	return &describeStreamOutput{StreamDescription: streamDescription{
		StreamName: string(t.info.Name), StreamARN: t.arn, StreamStatus: string(t.status),
		StreamModeDetails: modeDetails(t.info), Shards: shards, HasMoreShards: more,
		RetentionPeriodHours: hours(t.info.Retention), StreamCreationTimestamp: wire.At(t.info.Created),
		EnhancedMonitoring: monitored(t.info), EncryptionType: encryption(t.info), KeyID: masterKey(t.info),
	}}, nil
}

func hours(d time.Duration) int32 { return int32(d / time.Hour) } //nolint:gosec // at most 8760

func (a *API) describeStreamSummary(ctx context.Context, _ *awsapi.Call, in *describeStreamSummaryInput) (*describeStreamSummaryOutput, error) {
	t, err := a.find(ctx, in.StreamName, in.StreamARN)
	if err != nil {
		return nil, err
	}
	consumers, err := t.Consumers(ctx)
	if err != nil {
		return nil, a.explain(t.info.Name, err)
	}
	return &describeStreamSummaryOutput{StreamDescriptionSummary: streamDescriptionSummary{
		StreamName: string(t.info.Name), StreamARN: t.arn, StreamStatus: string(t.status),
		StreamModeDetails: modeDetails(t.info), RetentionPeriodHours: hours(t.info.Retention),
		StreamCreationTimestamp: wire.At(t.info.Created), EnhancedMonitoring: monitored(t.info),
		EncryptionType: encryption(t.info), KeyID: masterKey(t.info), OpenShardCount: int32(t.info.OpenShards()), //nolint:gosec // bounded
		ConsumerCount:      int32(len(consumers)), //nolint:gosec // bounded
		WarmThroughput:     warmth(t.info),
		MaxRecordSizeInKiB: int32(t.info.MaxRecord >> 10), //nolint:gosec // bounded
	}}, nil
}

func (a *API) listStreams(ctx context.Context, _ *awsapi.Call, in *listStreamsInput) (*listStreamsOutput, error) {
	after := in.ExclusiveStartStreamName
	if in.NextToken != "" {
		p, err := a.token(kindStreams, in.NextToken)
		if err != nil {
			return nil, err
		}
		after = string(p.name)
	}
	infos, err := a.streams.List(ctx)
	if err != nil {
		return nil, err
	}
	infos = infos[sort.Search(len(infos), func(i int) bool { return string(infos[i].Name) > after }):]
	limit := int(in.Limit)
	if limit == 0 {
		limit = 100
	}
	out := &listStreamsOutput{HasMoreStreams: len(infos) > limit, StreamNames: []string{}}
	for _, i := range infos[:min(limit, len(infos))] {
		out.StreamNames = append(out.StreamNames, string(i.Name))
		out.StreamSummaries = append(out.StreamSummaries, streamSummary{
			StreamName: string(i.Name), StreamARN: a.streamARN(i.Name), StreamStatus: string(i.Status(time.Now())),
			StreamModeDetails: modeDetails(i), StreamCreationTimestamp: wire.At(i.Created),
		})
	}
	if out.HasMoreStreams {
		out.NextToken = a.tokens.seal(kindStreams, position{made: time.Now(), name: infos[limit-1].Name})
	}
	return out, nil
}

// token opens a token that a client sends back to go on with a list.
func (a *API) token(kind, text string) (position, error) {
	p, err := a.tokens.open(kind, text)
	if err != nil {
		return p, invalid("Invalid NextToken.")
	}
	if p.expired(time.Now()) {
		return p, awsapi.Refuse(codeExpiredNext, "NextToken expired. It was given at %s and could be used for %d seconds.", utc(p.made), int(lifetime.Seconds()))
	}
	return p, nil
}
