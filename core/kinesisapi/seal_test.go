package kinesisapi

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/stretchr/testify/require"
)

func TestIteratorsCanBeTypedAfterAFlag(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	for range 1000 {
		it := s.iterator(t, kinesis.GetShardIteratorInput{StreamName: aws.String("clicks"), ShardId: aws.String("shardId-000000000000"), ShardIteratorType: types.ShardIteratorTypeLatest})
		require.NotEqual(t, byte('-'), (*it)[0], "to the command line what begins so is another flag")
	}
}
