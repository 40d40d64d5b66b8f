package kinesisapi

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
)

// open are the shards of a stream that take records.
func (s *server) open(t *testing.T, name string) (out []types.Shard) {
	t.Helper()
	shards, err := s.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: &name, ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}})
	require.NoError(t, err)
	return shards.Shards
}

func (s *server) summary(t *testing.T, name string) *types.StreamDescriptionSummary {
	t.Helper()
	out, err := s.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: &name})
	require.NoError(t, err)
	return out.StreamDescriptionSummary
}

func TestShardsAreSplitAndMerged(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	s.put(t, "clicks", 0, 20)
	const half = "170141183460469231731687303715884105728"
	_, err := s.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamARN: arnOf("clicks"), ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: aws.String(half)})
	require.NoError(t, err)
	children := s.open(t, "clicks")
	require.Len(t, children, 2)
	require.Equal(t, half, *children[1].HashKeyRange.StartingHashKey)
	require.Equal(t, "shardId-000000000000", *children[0].ParentShardId)
	it := s.iterator(t, kinesis.GetShardIteratorInput{StreamARN: arnOf("clicks"), ShardId: aws.String("shardId-000000000000"), ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	records, end := s.drain(t, it, 100)
	require.Len(t, records, 20)
	require.Len(t, end.ChildShards, 2)
	_, err = s.MergeShards(t.Context(), &kinesis.MergeShardsInput{StreamARN: arnOf("clicks"), ShardToMerge: children[0].ShardId, AdjacentShardToMerge: children[1].ShardId})
	require.NoError(t, err)
	merged := s.open(t, "clicks")
	require.Len(t, merged, 1)
	require.Equal(t, *children[0].ShardId, *merged[0].ParentShardId)
	require.Equal(t, *children[1].ShardId, *merged[0].AdjacentParentShardId)
	s.put(t, "clicks", 20, 30)
}

func TestTheShardCountIsUpdatedInTheBackground(t *testing.T) {
	s := serve(t, Config{Delay: 2 * time.Second})
	s.stream(t, "clicks", 4)
	s.active(t, "clicks")
	for _, target := range []int32{6, 3} {
		was := int32(len(s.open(t, "clicks"))) //nolint:gosec // few
		out, err := s.UpdateShardCount(t.Context(), &kinesis.UpdateShardCountInput{StreamName: aws.String("clicks"), TargetShardCount: &target, ScalingType: types.ScalingTypeUniformScaling})
		require.NoError(t, err)
		require.Equal(t, *arnOf("clicks"), *out.StreamARN)
		require.Equal(t, "clicks", *out.StreamName)
		require.Equal(t, was, *out.CurrentShardCount)
		require.Equal(t, target, *out.TargetShardCount)
		require.Equal(t, types.StreamStatusUpdating, s.summary(t, "clicks").StreamStatus)
		_, err = s.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: aws.String("clicks"), ShardToSplit: aws.String("shardId-000000000001"), NewStartingHashKey: aws.String("9")})
		require.Equal(t, codeInUse, code(t, err))
		s.put(t, "clicks", 0, 50)
		s.active(t, "clicks")
		var got []core.HashRange
		for _, sh := range s.open(t, "clicks") {
			from, err := core.ParseHashKey(*sh.HashKeyRange.StartingHashKey)
			require.NoError(t, err)
			to, err := core.ParseHashKey(*sh.HashKeyRange.EndingHashKey)
			require.NoError(t, err)
			got = append(got, core.HashRange{Start: from, End: to})
		}
		require.ElementsMatch(t, core.EvenRanges(int(target)), got)
		require.Equal(t, target, *s.summary(t, "clicks").OpenShardCount)
	}
}

func TestScalingLeftBehindIsDoneWhenTheStreamIsAskedFor(t *testing.T) {
	s := serve(t, Config{Delay: 10 * time.Millisecond})
	s.stream(t, "clicks", 4)
	s.active(t, "clicks")
	st, err := s.streams.Open(t.Context(), "clicks")
	require.NoError(t, err)
	_, err = st.Scale(t.Context(), 8, 0)
	require.NoError(t, err)
	s.active(t, "clicks")
	require.Len(t, s.open(t, "clicks"), 8)
}

func TestRetentionIsLengthenedAndShortened(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	longer := func(h int32) error {
		_, err := s.IncreaseStreamRetentionPeriod(t.Context(), &kinesis.IncreaseStreamRetentionPeriodInput{StreamName: aws.String("clicks"), RetentionPeriodHours: &h})
		return err
	}
	shorter := func(h int32) error {
		_, err := s.DecreaseStreamRetentionPeriod(t.Context(), &kinesis.DecreaseStreamRetentionPeriodInput{StreamName: aws.String("clicks"), RetentionPeriodHours: &h})
		return err
	}
	require.NoError(t, longer(48))
	require.NoError(t, longer(48), "the same value is taken")
	require.Equal(t, int32(48), *s.summary(t, "clicks").RetentionPeriodHours)
	require.ErrorContains(t, longer(24), "can not be shorter than existing retention period (48 hours). Use DecreaseRetentionPeriod API.")
	require.ErrorContains(t, shorter(49), "can not be longer than existing retention period (48 hours). Use IncreaseRetentionPeriod API.")
	require.NoError(t, shorter(48))
	require.NoError(t, shorter(24))
	require.Equal(t, int32(24), *s.summary(t, "clicks").RetentionPeriodHours)
	require.ErrorContains(t, shorter(23), "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short.")
	require.ErrorContains(t, longer(8761), "Maximum allowed retention period is 8760 hours.")
	require.Equal(t, codeArgument, code(t, longer(8761)))
}

func TestLargerRecordsAreTakenWhenTheStreamIsToldSo(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	put := func() error {
		_, err := s.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("clicks"), PartitionKey: aws.String("a"), Data: make([]byte, 2<<20)})
		return err
	}
	require.Equal(t, codeArgument, code(t, put()))
	resize := func(kib int32) error {
		_, err := s.UpdateMaxRecordSize(t.Context(), &kinesis.UpdateMaxRecordSizeInput{StreamARN: arnOf("clicks"), MaxRecordSizeInKiB: &kib})
		return err
	}
	require.NoError(t, resize(4096))
	require.Equal(t, int32(4096), *s.summary(t, "clicks").MaxRecordSizeInKiB)
	require.NoError(t, put())
	require.Equal(t, "ValidationException", code(t, resize(1023)))
}

func TestWhatIsWrongWithAReshardingIsSaid(t *testing.T) {
	s := serve(t, Config{Delay: -1, ShardLimit: 12})
	name := aws.String("clicks")
	s.stream(t, "clicks", 4)
	split := func(shard, at string) error {
		_, err := s.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: name, ShardToSplit: &shard, NewStartingHashKey: &at})
		return err
	}
	merge := func(a, b string) error {
		_, err := s.MergeShards(t.Context(), &kinesis.MergeShardsInput{StreamName: name, ShardToMerge: &a, AdjacentShardToMerge: &b})
		return err
	}
	scale := func(n int32) error {
		_, err := s.UpdateShardCount(t.Context(), &kinesis.UpdateShardCountInput{StreamName: name, TargetShardCount: &n, ScalingType: types.ScalingTypeUniformScaling})
		return err
	}
	_, nowhere := s.UpdateShardCount(t.Context(), &kinesis.UpdateShardCountInput{StreamName: aws.String("none"), TargetShardCount: aws.Int32(2), ScalingType: types.ScalingTypeUniformScaling})
	const first, second, third = "shardId-000000000000", "shardId-000000000001", "shardId-000000000002"
	end := "85070591730234615865843651857942052863"
	for what, c := range map[string]struct {
		err        error
		code, text string
	}{
		"no such stream":              {nowhere, codeNotFound, "Stream none"},
		"no such shard":               {split("shardId-000000000009", "10"), codeNotFound, "Could not find shard shardId-000000000009 in stream clicks"},
		"the first key":               {split(first, "0"), codeArgument, "is not both greater than one plus the shard's StartingHashKey 0 and less than the shard's EndingHashKey " + end},
		"the second key":              {split(first, "1"), codeArgument, "NewStartingHashKey 1 used in SplitShard()"},
		"the last key":                {split(first, end), codeArgument, "NewStartingHashKey " + end},
		"beyond all keys":             {split(first, "340282366920938463463374607431768211456"), codeArgument, "Invalid NewStartingHashKey"},
		"shards that are apart":       {merge(first, third), codeArgument, "are not an adjacent pair of shards eligible for merging"},
		"a shard with itself":         {merge(first, first), codeArgument, "not an adjacent pair"},
		"more than double":            {scale(9), codeLimit, "more than double"},
		"less than half":              {scale(1), codeLimit, "less than half"},
		"more than the shard limit":   {scale(13), codeLimit, "would exceed the shard limit"},
		"no shards":                   {scale(0), "ValidationException", "greater than or equal to 1"},
		"a hash key that is no digit": {split(first, "x"), "ValidationException", "regular expression"},
	} {
		require.Equal(t, c.code, code(t, c.err), what)
		require.ErrorContains(t, c.err, c.text, what)
	}
	require.NoError(t, merge(second, first))
	closed := split(first, "10")
	require.Equal(t, codeInUse, code(t, closed))
	require.ErrorContains(t, closed, "has already been merged or split")
	s.stream(t, "full", 9)
	require.Equal(t, codeLimit, code(t, split(third, "200000000000000000000000000000000000000")))
}

func TestReshardingNeedsAnActiveStream(t *testing.T) {
	s := serve(t, Config{Delay: 2 * time.Second})
	s.stream(t, "clicks", 2)
	split := func(key string) error {
		_, err := s.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: aws.String("clicks"), ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: &key})
		return err
	}
	err := split("1000")
	require.Equal(t, codeInUse, code(t, err))
	require.ErrorContains(t, err, "Stream clicks under account 000000000000 not ACTIVE, instead in state CREATING")
	s.active(t, "clicks")
	require.NoError(t, split("1000"))
	require.Equal(t, types.StreamStatusUpdating, s.summary(t, "clicks").StreamStatus)
	_, err = s.IncreaseStreamRetentionPeriod(t.Context(), &kinesis.IncreaseStreamRetentionPeriodInput{StreamName: aws.String("clicks"), RetentionPeriodHours: aws.Int32(48)})
	require.ErrorContains(t, err, "instead in state UPDATING")
	s.put(t, "clicks", 0, 10)
	s.active(t, "clicks")
}
