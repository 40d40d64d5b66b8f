package kinesisapi

import (
	"context"
	"errors"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/stream"
)

func (a *API) splitShard(ctx context.Context, _ *awsapi.Call, in *splitShardInput) error {
	t, err := a.find(ctx, in.StreamName, in.StreamARN)
	if err != nil {
		return err
	}
	sh, err := a.toReshard(t, in.ShardToSplit)
	if err != nil {
		return err
	}
	key, err := core.ParseHashKey(in.NewStartingHashKey)
	if err != nil {
		return invalid("Invalid NewStartingHashKey. NewStartingHashKey must be in the range: [0, 2^128-1]. Specified value was %s", in.NewStartingHashKey)
	}
	if err := a.withinShardLimit(ctx, 1); err != nil {
		return err
	}
	_, err = t.Split(ctx, sh.ID, &key, stream.WhenActive(a.cfg.Delay))
	if errors.Is(err, core.ErrInvalid) {
		return invalid("NewStartingHashKey %s used in SplitShard() on shard %s in stream %s under account %s is not both greater than one plus the shard's StartingHashKey %s and less than the shard's EndingHashKey %s.",
			key, sh.ID, t.info.Name, a.cfg.Account, sh.Range.Start, sh.Range.End)
	}
	return a.refused(ctx, t, err)
}

func (a *API) mergeShards(ctx context.Context, _ *awsapi.Call, in *mergeShardsInput) error {
	t, err := a.find(ctx, in.StreamName, in.StreamARN)
	if err != nil {
		return err
	}
	x, err := a.toReshard(t, in.ShardToMerge)
	if err != nil {
		return err
	}
	y, err := a.toReshard(t, in.AdjacentShardToMerge)
	if err != nil {
		return err
	}
	_, err = t.Merge(ctx, x.ID, y.ID, stream.WhenActive(a.cfg.Delay))
	if errors.Is(err, core.ErrInvalid) {
		return invalid("Shards %s and %s in stream %s under account %s are not an adjacent pair of shards eligible for merging", x.ID, y.ID, t.info.Name, a.cfg.Account)
	}
	return a.refused(ctx, t, err)
}

// toReshard is a shard that a request wants to split or merge, of a stream that is ACTIVE.
func (a *API) toReshard(t target, shard string) (stream.Shard, error) {
	if t.status != stream.Active {
		return stream.Shard{}, a.busy(t.info.Name, t.status)
	}
	for _, sh := range t.info.Shards {
		if string(sh.ID) != shard {
			continue
		}
		if sh.Closed {
			return sh, awsapi.Refuse(codeInUse, "Shard %s in stream %s under account %s has already been merged or split, and thus is not eligible for merging or splitting.", shard, t.info.Name, a.cfg.Account)
		}
		return sh, nil
	}
	return stream.Shard{}, awsapi.Refuse(codeNotFound, "Could not find shard %s in stream %s under account %s.", shard, t.info.Name, a.cfg.Account)
}

// refused explains why the change of a stream was refused.
func (a *API) refused(ctx context.Context, t target, err error) error {
	var limit *stream.LimitError
	switch {
	case errors.As(err, &limit):
		return awsapi.Refuse(codeLimit, "Request for stream %s under account %s is beyond a limit: %s.", t.info.Name, a.cfg.Account, limit.What)
	case errors.Is(err, stream.ErrLimit):
		return awsapi.Refuse(codeLimit, "Stream %s under account %s has as many shards as it may have, %d with those that are closed.", t.info.Name, a.cfg.Account, len(t.info.Shards))
	case errors.Is(err, stream.ErrMode):
		return awsapi.Refuse(codeValidation, "The operation is not supported for stream %s under account %s, whose mode is %s.", t.info.Name, a.cfg.Account, t.info.Mode)
	case errors.Is(err, stream.ErrShardClosed): // by somebody else, since t was found
		return awsapi.Refuse(codeInUse, "Stream %s under account %s is being changed.", t.info.Name, a.cfg.Account)
	case errors.Is(err, stream.ErrBusy):
		is := stream.Updating
		if info, ierr := t.Info(ctx); ierr == nil && info.Status(time.Now()) != stream.Active {
			is = info.Status(time.Now())
		}
		return a.busy(t.info.Name, is)
	}
	return a.explain(t.info.Name, err)
}

func (a *API) updateShardCount(ctx context.Context, _ *awsapi.Call, in *updateShardCountInput) (*updateShardCountOutput, error) {
	t, err := a.find(ctx, in.StreamName, in.StreamARN)
	if err != nil {
		return nil, err
	}
	if more := int(in.TargetShardCount) - t.info.OpenShards(); more > 0 {
		if err := a.withinShardLimit(ctx, more); err != nil {
			return nil, err
		}
	}
	open, err := t.Scale(ctx, int(in.TargetShardCount), a.cfg.Delay)
	if err != nil {
		return nil, a.refused(ctx, t, err)
	}
	a.scale(ctx, t)
	return &updateShardCountOutput{
		StreamName: string(t.info.Name), StreamARN: t.arn, CurrentShardCount: int32(open), TargetShardCount: in.TargetShardCount, //nolint:gosec // bounded
	}, nil
}

// longestScaling is how long one attempt at it may take; what it leaves, trimming does.
const longestScaling = 10 * time.Minute

// patience is how long an answer waits for a scaling.
const patience = 5 * time.Second

// scale does the scaling that a stream's row asks for: before the answer where streams have no phases and it does not take
// long, else in the background. It is to be finished, so nothing is refused any more.
func (a *API) scale(ctx context.Context, t target) {
	if a.cfg.Delay <= 0 {
		waiting, stop := context.WithTimeout(ctx, patience)
		defer stop()
		if t.FinishScaling(waiting) == nil {
			return
		}
	}
	a.scaleLater(t)
}

// scaleLater does in the background what is left of a stream's scaling.
func (a *API) scaleLater(t target) {
	if _, running := a.scaling.LoadOrStore(t.info.ID, true); running {
		return
	}
	go func() {
		ctx, stop := context.WithTimeout(context.Background(), longestScaling)
		defer stop()
		again := time.Duration(0)
		if err := t.FinishScaling(ctx); err != nil && !errors.Is(err, stream.ErrNotFound) {
			a.cfg.Log.Warn("stream not scaled yet; it is tried again within minutes", "stream", t.info.Name, "error", err)
			again = time.Minute
		}
		time.AfterFunc(again, func() { a.scaling.Delete(t.info.ID) })
	}()
}
