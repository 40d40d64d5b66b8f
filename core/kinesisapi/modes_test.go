package kinesisapi

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/stream"
)

var (
	byItself = &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand}
	byUser   = &types.StreamModeDetails{StreamMode: types.StreamModeProvisioned}
)

func (s *server) onDemand(t *testing.T, name string) {
	t.Helper()
	_, err := s.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &name, StreamModeDetails: byItself})
	require.NoError(t, err)
}

func (s *server) commit(t *testing.T, status types.MinimumThroughputBillingCommitmentInputStatus) *types.MinimumThroughputBillingCommitmentOutput {
	t.Helper()
	out, err := s.UpdateAccountSettings(t.Context(), &kinesis.UpdateAccountSettingsInput{
		MinimumThroughputBillingCommitment: &types.MinimumThroughputBillingCommitmentInput{Status: status},
	})
	require.NoError(t, err)
	return out.MinimumThroughputBillingCommitment
}

func TestModesAreChangedTwiceADay(t *testing.T) {
	s := serve(t, instant)
	s.onDemand(t, "clicks")
	require.Equal(t, byItself, s.summary(t, "clicks").StreamModeDetails)
	require.Len(t, s.open(t, "clicks"), 4)
	change := func(to *types.StreamModeDetails) error {
		_, err := s.UpdateStreamMode(t.Context(), &kinesis.UpdateStreamModeInput{StreamARN: arnOf("clicks"), StreamModeDetails: to})
		return err
	}
	scale := func() error {
		_, err := s.UpdateShardCount(t.Context(), &kinesis.UpdateShardCountInput{StreamARN: arnOf("clicks"), TargetShardCount: aws.Int32(2), ScalingType: types.ScalingTypeUniformScaling})
		return err
	}
	require.Equal(t, "ValidationException", code(t, scale()), "the stream sees to its shards itself")
	require.NoError(t, change(byUser))
	described, err := s.DescribeStream(t.Context(), &kinesis.DescribeStreamInput{StreamARN: arnOf("clicks")})
	require.NoError(t, err)
	require.Equal(t, byUser, described.StreamDescription.StreamModeDetails)
	require.Len(t, s.open(t, "clicks"), 4, "it keeps its shards")
	require.NoError(t, scale())
	require.NoError(t, change(byItself))
	require.NoError(t, change(byItself), "that is no change")
	err = change(byUser)
	require.Equal(t, codeLimit, code(t, err))
	require.ErrorContains(t, err, "2 times in 24 hours")
	listed, err := s.ListStreams(t.Context(), &kinesis.ListStreamsInput{})
	require.NoError(t, err)
	require.Equal(t, byItself, listed.StreamSummaries[0].StreamModeDetails)
}

func TestOnDemandStreamsTakeNoSplits(t *testing.T) {
	s := serve(t, instant)
	s.onDemand(t, "clicks")
	_, split := s.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamARN: arnOf("clicks"), ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: aws.String("1000")})
	_, merge := s.MergeShards(t.Context(), &kinesis.MergeShardsInput{StreamARN: arnOf("clicks"), ShardToMerge: aws.String("shardId-000000000000"), AdjacentShardToMerge: aws.String("shardId-000000000001")})
	for _, err := range []error{split, merge} {
		require.Equal(t, "ValidationException", code(t, err))
		require.ErrorContains(t, err, "whose mode is ON_DEMAND")
	}
}

func TestLimitsAreDescribed(t *testing.T) {
	s := serve(t, Config{Delay: -1, ShardLimit: 20, OnDemandLimit: 1})
	s.stream(t, "a", 3)
	s.onDemand(t, "b")
	out, err := s.DescribeLimits(t.Context(), &kinesis.DescribeLimitsInput{})
	require.NoError(t, err)
	require.Equal(t, []int32{20, 7, 1, 1}, []int32{*out.ShardLimit, *out.OpenShardCount, *out.OnDemandStreamCount, *out.OnDemandStreamCountLimit})
	_, err = s.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("c"), StreamModeDetails: byItself})
	require.Equal(t, codeLimit, code(t, err))
	require.ErrorContains(t, err, "Current On-Demand streams count: 1. Limit: 1.")
	_, err = s.UpdateStreamMode(t.Context(), &kinesis.UpdateStreamModeInput{StreamARN: arnOf("a"), StreamModeDetails: byItself})
	require.Equal(t, codeLimit, code(t, err))
}

func TestStreamsAreWarmedUp(t *testing.T) {
	s := serve(t, Config{Delay: -1, ShardLimit: 100})
	s.onDemand(t, "clicks")
	s.stream(t, "plain", 1)
	warm := func(name string, mib int32) (*types.WarmThroughputObject, error) {
		out, err := s.UpdateStreamWarmThroughput(t.Context(), &kinesis.UpdateStreamWarmThroughputInput{StreamName: &name, WarmThroughputMiBps: &mib})
		if err != nil {
			return nil, err
		}
		require.Equal(t, *arnOf(name), *out.StreamARN)
		return out.WarmThroughput, nil
	}
	_, err := warm("clicks", 10)
	require.Equal(t, codeArgument, code(t, err))
	require.ErrorContains(t, err, "MinimumThroughputBillingCommitment")
	_, err = s.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("warm"), StreamModeDetails: byItself, WarmThroughputMiBps: aws.Int32(6)})
	require.Equal(t, codeArgument, code(t, err))
	require.Nil(t, s.summary(t, "clicks").WarmThroughput)

	s.commit(t, "ENABLED")
	out, err := warm("clicks", 10)
	require.NoError(t, err)
	require.Equal(t, types.WarmThroughputObject{TargetMiBps: aws.Int32(10), CurrentMiBps: aws.Int32(0)}, *out)
	require.Equal(t, types.WarmThroughputObject{TargetMiBps: aws.Int32(10), CurrentMiBps: aws.Int32(10)}, *s.summary(t, "clicks").WarmThroughput)
	require.Len(t, s.open(t, "clicks"), 10)
	_, err = warm("clicks", 2)
	require.NoError(t, err)
	require.Len(t, s.open(t, "clicks"), 10, "shards are not taken away")
	_, err = s.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("warm"), StreamModeDetails: byItself, WarmThroughputMiBps: aws.Int32(6)})
	require.NoError(t, err)
	require.Len(t, s.open(t, "warm"), 6)
	_, err = s.UpdateStreamMode(t.Context(), &kinesis.UpdateStreamModeInput{StreamARN: arnOf("plain"), StreamModeDetails: byItself, WarmThroughputMiBps: aws.Int32(5)})
	require.NoError(t, err)
	require.Len(t, s.open(t, "plain"), 5)
	s.stream(t, "provisioned", 1)
	for what, c := range map[string]struct {
		stream     string
		mib        int32
		code, text string
	}{
		"a provisioned stream": {"provisioned", 5, "ValidationException", "whose mode is PROVISIONED"},
		"too much":             {"clicks", 20_000, codeLimit, "would exceed the shard limit"},
		"no such stream":       {"none", 5, codeNotFound, "none"},
		"less than nothing":    {"clicks", -1, "ValidationException", "greater than or equal to 0"},
		"more than the shards": {"clicks", 90, codeLimit, "would exceed the shard limit"},
	} {
		_, err := warm(c.stream, c.mib)
		require.Equal(t, c.code, code(t, err), what)
		require.ErrorContains(t, err, c.text, what)
	}
	for i := range 50 {
		s.register(t, "clicks", fmt.Sprint(i))
	}
	_, err = s.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: arnOf("clicks"), ConsumerName: aws.String("more")})
	require.Equal(t, codeLimit, code(t, err))
}

func TestTheAccountsCommitmentLastsADayAtLeast(t *testing.T) {
	s := serve(t, instant)
	describe := func() *types.MinimumThroughputBillingCommitmentOutput {
		out, err := s.DescribeAccountSettings(t.Context(), &kinesis.DescribeAccountSettingsInput{})
		require.NoError(t, err)
		return out.MinimumThroughputBillingCommitment
	}
	require.Equal(t, types.MinimumThroughputBillingCommitmentOutputStatus("DISABLED"), describe().Status)
	made := s.commit(t, "ENABLED")
	require.Equal(t, made, describe())
	require.Equal(t, types.MinimumThroughputBillingCommitmentOutputStatus("ENABLED"), made.Status)
	require.Equal(t, 24*time.Hour, made.EarliestAllowedEndAt.Sub(*made.StartedAt))
	ending := s.commit(t, "DISABLED")
	require.Equal(t, types.MinimumThroughputBillingCommitmentOutputStatus("ENABLED_UNTIL_EARLIEST_ALLOWED_END"), ending.Status)
	require.NoError(t, s.streams.Committed(t.Context()))
	require.Equal(t, made, s.commit(t, "ENABLED"), "its end is cancelled")
	day := stream.Commitment{Started: time.Now().Add(-48 * time.Hour), Earliest: time.Now().Add(-24 * time.Hour), Ended: time.Now().Add(-time.Hour)}
	over := commitmentShape(day)
	require.Equal(t, "DISABLED", over.Status)
	require.False(t, over.EndedAt.IsZero())
}

func TestWhatIsWrongWithANewStreamsModeIsSaid(t *testing.T) {
	s := serve(t, instant)
	create := func(in kinesis.CreateStreamInput) error {
		in.StreamName = aws.String("clicks")
		_, err := s.CreateStream(t.Context(), &in)
		return err
	}
	for what, c := range map[string]struct {
		in   kinesis.CreateStreamInput
		text string
	}{
		"no shards":                  {kinesis.CreateStreamInput{StreamModeDetails: byUser}, "ShardCount is required"},
		"nothing":                    {kinesis.CreateStreamInput{}, "ShardCount is required"},
		"shards of an on-demand one": {kinesis.CreateStreamInput{StreamModeDetails: byItself, ShardCount: aws.Int32(3)}, "ShardCount cannot be given"},
		"a warm provisioned one":     {kinesis.CreateStreamInput{ShardCount: aws.Int32(1), WarmThroughputMiBps: aws.Int32(5)}, "ON_DEMAND only"},
	} {
		err := create(c.in)
		require.Equal(t, codeArgument, code(t, err), what)
		require.ErrorContains(t, err, c.text, what)
	}
}

func TestMetricsByShardAreAskedFor(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	on := func(m ...types.MetricsName) *kinesis.EnableEnhancedMonitoringOutput {
		out, err := s.EnableEnhancedMonitoring(t.Context(), &kinesis.EnableEnhancedMonitoringInput{StreamARN: arnOf("clicks"), ShardLevelMetrics: m})
		require.NoError(t, err)
		require.Equal(t, *arnOf("clicks"), *out.StreamARN)
		return out
	}
	off := func(m ...types.MetricsName) *kinesis.DisableEnhancedMonitoringOutput {
		out, err := s.DisableEnhancedMonitoring(t.Context(), &kinesis.DisableEnhancedMonitoringInput{StreamName: aws.String("clicks"), ShardLevelMetrics: m})
		require.NoError(t, err)
		return out
	}
	require.Equal(t, []types.EnhancedMetrics{{ShardLevelMetrics: []types.MetricsName{}}}, s.summary(t, "clicks").EnhancedMonitoring)
	first := on("OutgoingBytes", "IncomingBytes")
	require.Equal(t, []types.MetricsName{}, first.CurrentShardLevelMetrics)
	require.Equal(t, []types.MetricsName{"IncomingBytes", "OutgoingBytes"}, first.DesiredShardLevelMetrics)
	second := on("IteratorAgeMilliseconds")
	require.Equal(t, first.DesiredShardLevelMetrics, second.CurrentShardLevelMetrics)
	require.Equal(t, []types.MetricsName{"IncomingBytes", "OutgoingBytes", "IteratorAgeMilliseconds"}, second.DesiredShardLevelMetrics)
	third := off("OutgoingBytes", "OutgoingRecords")
	require.Equal(t, []types.MetricsName{"IncomingBytes", "IteratorAgeMilliseconds"}, third.DesiredShardLevelMetrics)
	described, err := s.DescribeStream(t.Context(), &kinesis.DescribeStreamInput{StreamARN: arnOf("clicks")})
	require.NoError(t, err)
	require.Equal(t, []types.EnhancedMetrics{{ShardLevelMetrics: third.DesiredShardLevelMetrics}}, described.StreamDescription.EnhancedMonitoring)
	require.Len(t, on("ALL").DesiredShardLevelMetrics, 7)
	require.Equal(t, []types.MetricsName{}, off("ALL").DesiredShardLevelMetrics)
	_, err = s.EnableEnhancedMonitoring(t.Context(), &kinesis.EnableEnhancedMonitoringInput{StreamARN: arnOf("none"), ShardLevelMetrics: []types.MetricsName{"ALL"}})
	require.Equal(t, codeNotFound, code(t, err))
	_, err = s.EnableEnhancedMonitoring(t.Context(), &kinesis.EnableEnhancedMonitoringInput{StreamARN: arnOf("clicks"), ShardLevelMetrics: []types.MetricsName{"Weather"}})
	require.Equal(t, "ValidationException", code(t, err))
}
