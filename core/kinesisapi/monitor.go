package kinesisapi

import (
	"context"

	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/stream"
)

func (a *API) enableEnhancedMonitoring(ctx context.Context, _ *awsapi.Call, in *enableEnhancedMonitoringInput) (*enhancedMonitoringOutput, error) {
	return a.monitor(ctx, in.StreamName, in.StreamARN, in.ShardLevelMetrics, true)
}

func (a *API) disableEnhancedMonitoring(ctx context.Context, _ *awsapi.Call, in *disableEnhancedMonitoringInput) (*enhancedMonitoringOutput, error) {
	return a.monitor(ctx, in.StreamName, in.StreamARN, in.ShardLevelMetrics, false)
}

func (a *API) monitor(ctx context.Context, name, arn string, metrics []string, on bool) (*enhancedMonitoringOutput, error) {
	t, err := a.find(ctx, name, arn)
	if err != nil {
		return nil, err
	}
	was, is, err := t.Monitor(ctx, metrics, on, a.cfg.Delay)
	if err != nil {
		return nil, a.refused(ctx, t, err)
	}
	return &enhancedMonitoringOutput{
		StreamName: string(t.info.Name), StreamARN: t.arn, CurrentShardLevelMetrics: list(was), DesiredShardLevelMetrics: list(is),
	}, nil
}

// monitored is how AWS describes which metrics a stream has by shard: one set of them, which may be empty.
func monitored(i stream.Info) []enhancedMetrics {
	return []enhancedMetrics{{ShardLevelMetrics: list(i.Metrics)}}
}

// list is an empty list in the place of none.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
