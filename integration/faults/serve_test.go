//go:build linux

package faults

import (
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/servetest"
)

// TestAServerWhoseLogFailedEnds, so that whoever watches it starts it again.
func TestAServerWhoseLogFailedEnds(t *testing.T) {
	mount, disk := mountBad(t)
	s := servetest.New(t, "--data", filepath.Join(mount, "data"), "--state-delay", "0s", "--drain", "5s")
	client := s.Client(t)
	_, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("clicks"), ShardCount: aws.Int32(1)})
	require.NoError(t, err)
	put := func() error {
		_, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("clicks"), Data: []byte("x"), PartitionKey: aws.String("a")})
		return err
	}
	require.NoError(t, put())
	disk.set(1, false)
	require.Error(t, put())
	require.NotZero(t, s.Ends(t))
}
