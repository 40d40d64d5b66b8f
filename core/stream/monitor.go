package stream

import (
	"context"
	"slices"
	"time"
)

// shardMetrics are the metrics that can be had by shard.
var shardMetrics = []string{
	"IncomingBytes", "IncomingRecords", "OutgoingBytes", "OutgoingRecords",
	"WriteProvisionedThroughputExceeded", "ReadProvisionedThroughputExceeded", "IteratorAgeMilliseconds",
}

// allMetrics stands for each of them.
const allMetrics = "ALL"

// Monitor asks for metrics by shard, or no longer; it returns those that were asked for before and are now.
func (s *Stream) Monitor(ctx context.Context, metrics []string, on bool, delay time.Duration) (was, is []string, err error) {
	if slices.Contains(metrics, allMetrics) {
		metrics = shardMetrics
	}
	err = s.change(ctx, delay, "", func(i *Info, _ time.Time) error {
		was, is = i.Metrics, nil
		for _, m := range shardMetrics {
			if named := slices.Contains(metrics, m); named && on || !named && slices.Contains(was, m) {
				is = append(is, m)
			}
		}
		i.Metrics = is
		return nil
	})
	return was, is, err
}
