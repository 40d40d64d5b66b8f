package kinesisapi

import (
	"context"
	"errors"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/stream"
)

func (a *API) increaseStreamRetentionPeriod(ctx context.Context, _ *awsapi.Call, in *increaseStreamRetentionPeriodInput) error {
	t, err := a.toKeep(ctx, in.StreamName, in.StreamARN, in.RetentionPeriodHours)
	if err != nil {
		return err
	}
	err = t.Lengthen(ctx, time.Duration(in.RetentionPeriodHours)*time.Hour, a.cfg.Delay)
	if errors.Is(err, core.ErrInvalid) {
		return invalid("Requested retention period (%d hours) for stream %s can not be shorter than existing retention period (%d hours). Use DecreaseRetentionPeriod API.",
			in.RetentionPeriodHours, t.info.Name, hours(t.info.Retention))
	}
	return a.refused(ctx, t, err)
}

func (a *API) decreaseStreamRetentionPeriod(ctx context.Context, _ *awsapi.Call, in *decreaseStreamRetentionPeriodInput) error {
	t, err := a.toKeep(ctx, in.StreamName, in.StreamARN, in.RetentionPeriodHours)
	if err != nil {
		return err
	}
	err = t.Shorten(ctx, time.Duration(in.RetentionPeriodHours)*time.Hour, a.cfg.Delay)
	if errors.Is(err, core.ErrInvalid) {
		return invalid("Requested retention period (%d hours) for stream %s can not be longer than existing retention period (%d hours). Use IncreaseRetentionPeriod API.",
			in.RetentionPeriodHours, t.info.Name, hours(t.info.Retention))
	}
	return a.refused(ctx, t, err)
}

// toKeep is a stream that is to keep its records for so long.
func (a *API) toKeep(ctx context.Context, name, arn string, keep int32) (target, error) {
	t, err := a.find(ctx, name, arn)
	switch {
	case err != nil:
		return t, err
	case keep < hours(stream.MinRetention):
		return t, invalid("Minimum allowed retention period is %d hours. Requested retention period (%d hours) is too short.", hours(stream.MinRetention), keep)
	case keep > hours(stream.MaxRetention):
		return t, invalid("Maximum allowed retention period is %d hours. Requested retention period (%d hours) is too long.", hours(stream.MaxRetention), keep)
	}
	return t, nil
}

func (a *API) updateMaxRecordSize(ctx context.Context, _ *awsapi.Call, in *updateMaxRecordSizeInput) error {
	t, err := a.find(ctx, "", in.StreamARN)
	if err != nil {
		return err
	}
	return a.refused(ctx, t, t.Resize(ctx, int64(in.MaxRecordSizeInKiB)<<10, a.cfg.Delay))
}
