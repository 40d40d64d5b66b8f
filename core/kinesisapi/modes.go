package kinesisapi

import (
	"context"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/awsapi/wire"
	"github.com/penstock/penstock/core/stream"
)

// modeOf is what a request to make a stream says of its mode and shards.
func (a *API) modeOf(ctx context.Context, in *createStreamInput) (stream.Settings, error) {
	set := stream.Settings{Shards: int(in.ShardCount), Mode: stream.Provisioned}
	if in.StreamModeDetails != nil {
		set.Mode = stream.Mode(in.StreamModeDetails.StreamMode)
	}
	if in.WarmThroughputMiBps != nil {
		set.Warm = int(*in.WarmThroughputMiBps)
	}
	if set.Mode == stream.Provisioned {
		if set.Shards == 0 {
			return set, invalid("ShardCount is required for a stream whose mode is PROVISIONED.")
		}
		if in.WarmThroughputMiBps != nil {
			return set, invalid("WarmThroughputMiBps can be given for a stream whose mode is ON_DEMAND only.")
		}
		return set, a.withinShardLimit(ctx, set.Shards)
	}
	if set.Shards != 0 {
		return set, invalid("ShardCount cannot be given for a stream whose mode is ON_DEMAND.")
	}
	if in.WarmThroughputMiBps != nil {
		if err := a.streams.Committed(ctx); err != nil {
			return set, a.explain(core.StreamName(in.StreamName), err)
		}
	}
	if err := a.withinOnDemandLimit(ctx); err != nil {
		return set, err
	}
	return set, a.withinShardLimit(ctx, max(stream.FirstOnDemand, set.Warm))
}

// withinOnDemandLimit refuses one more on-demand stream than there may be.
func (a *API) withinOnDemandLimit(ctx context.Context) error {
	_, n, err := a.counts(ctx)
	if err == nil && n >= a.cfg.OnDemandLimit {
		err = awsapi.Refuse(codeLimit, "This request would exceed the limit on the number of On-Demand streams for the account %s in %s. Current On-Demand streams count: %d. Limit: %d.", a.cfg.Account, a.cfg.Region, n, a.cfg.OnDemandLimit)
	}
	return err
}

// counts are the open shards of all streams, and the on-demand ones among these.
func (a *API) counts(ctx context.Context) (shards, onDemand int, err error) {
	infos, err := a.streams.List(ctx)
	for _, i := range infos {
		shards += i.OpenShards()
		if i.Mode == stream.OnDemand {
			onDemand++
		}
	}
	return shards, onDemand, err
}

func (a *API) updateStreamMode(ctx context.Context, _ *awsapi.Call, in *updateStreamModeInput) error {
	t, err := a.find(ctx, "", in.StreamARN)
	if err != nil {
		return err
	}
	mode := stream.Mode(in.StreamModeDetails.StreamMode)
	if mode == stream.OnDemand && t.info.Mode != mode {
		if err := a.withinOnDemandLimit(ctx); err != nil {
			return err
		}
	}
	var warm *int
	if in.WarmThroughputMiBps != nil {
		mib := int(*in.WarmThroughputMiBps)
		warm = &mib
		if err := a.roomToWarm(ctx, t, mib); err != nil {
			return err
		}
	}
	err = t.SetMode(ctx, mode, warm, a.cfg.Delay)
	if err == nil {
		a.scale(ctx, t)
	}
	return a.refused(ctx, t, err)
}

// roomToWarm refuses to make more shards for a stream's warm throughput than there may be.
func (a *API) roomToWarm(ctx context.Context, t target, mib int) error {
	if more := min(mib, stream.MaxShards) - t.info.OpenShards(); more > 0 {
		return a.withinShardLimit(ctx, more)
	}
	return nil
}

func (a *API) updateStreamWarmThroughput(ctx context.Context, _ *awsapi.Call, in *updateStreamWarmThroughputInput) (*updateStreamWarmThroughputOutput, error) {
	t, err := a.find(ctx, in.StreamName, in.StreamARN)
	if err != nil {
		return nil, err
	}
	if err := a.roomToWarm(ctx, t, int(in.WarmThroughputMiBps)); err != nil {
		return nil, err
	}
	was, err := t.WarmUp(ctx, int(in.WarmThroughputMiBps), a.cfg.Delay)
	if err != nil {
		return nil, a.refused(ctx, t, err)
	}
	a.scale(ctx, t)
	return &updateStreamWarmThroughputOutput{
		StreamARN: t.arn, StreamName: string(t.info.Name),
		WarmThroughput: &warmThroughputObject{TargetMiBps: in.WarmThroughputMiBps, CurrentMiBps: int32(was)}, //nolint:gosec // bounded
	}, nil
}

// warmth is a stream's warm throughput, as far as it has any.
func warmth(i stream.Info) *warmThroughputObject {
	if i.Mode != stream.OnDemand || i.Warm == 0 {
		return nil
	}
	return &warmThroughputObject{TargetMiBps: int32(i.Warm), CurrentMiBps: int32(i.WarmNow())} //nolint:gosec // bounded
}

func modeDetails(i stream.Info) *streamModeDetails {
	return &streamModeDetails{StreamMode: string(i.Mode)}
}

func (a *API) describeLimits(ctx context.Context, _ *awsapi.Call, _ *describeLimitsInput) (*describeLimitsOutput, error) {
	shards, onDemand, err := a.counts(ctx)
	if err != nil {
		return nil, err
	}
	return &describeLimitsOutput{
		ShardLimit: int32(a.cfg.ShardLimit), OpenShardCount: int32(shards), //nolint:gosec // bounded
		OnDemandStreamCount: int32(onDemand), OnDemandStreamCountLimit: int32(a.cfg.OnDemandLimit), //nolint:gosec // bounded
	}, nil
}

func (a *API) describeAccountSettings(ctx context.Context, _ *awsapi.Call, _ *describeAccountSettingsInput) (*describeAccountSettingsOutput, error) {
	c, err := a.streams.Commitment(ctx)
	if err != nil {
		return nil, err
	}
	return &describeAccountSettingsOutput{MinimumThroughputBillingCommitment: commitmentShape(c)}, nil
}

func (a *API) updateAccountSettings(ctx context.Context, _ *awsapi.Call, in *updateAccountSettingsInput) (*updateAccountSettingsOutput, error) {
	c, err := a.streams.Commit(ctx, in.MinimumThroughputBillingCommitment.Status == commitmentEnabled)
	if err != nil {
		return nil, err
	}
	return &updateAccountSettingsOutput{MinimumThroughputBillingCommitment: commitmentShape(c)}, nil
}

// States of the account's commitment.
const (
	commitmentEnabled  = "ENABLED"
	commitmentDisabled = "DISABLED"
	commitmentEnding   = "ENABLED_UNTIL_EARLIEST_ALLOWED_END"
)

func commitmentShape(c stream.Commitment) *minimumThroughputBillingCommitmentOutput {
	out := &minimumThroughputBillingCommitmentOutput{Status: commitmentDisabled}
	if c.Started.IsZero() {
		return out
	}
	out.StartedAt = wire.At(c.Started)
	switch active := c.Active(time.Now()); {
	case !active:
		out.EndedAt = wire.At(c.Ended)
	case c.Ended.IsZero():
		out.Status, out.EarliestAllowedEndAt = commitmentEnabled, wire.At(c.Earliest)
	default:
		out.Status, out.EarliestAllowedEndAt = commitmentEnding, wire.At(c.Earliest)
	}
	return out
}
