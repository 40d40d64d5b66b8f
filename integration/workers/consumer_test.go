//go:build unix

package workers

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/consumer"
	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/integration/servetest"
)

// TestAGoProgramConsumesAStreamOfAServer runs two consumers of package consumer over a server that is killed and started
// again, and which keeps what they share.
func TestAGoProgramConsumesAStreamOfAServer(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	server := servetest.New(t, "--state-delay", "0s")
	c := server.Client(t)
	_, err := c.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("clicks"), ShardCount: aws.Int32(4)})
	require.NoError(t, err)
	const records = 2000
	put := func(from, to int) {
		t.Helper()
		for i := from; i < to; i += 500 {
			var batch []types.PutRecordsRequestEntry
			for k := i; k < i+500; k++ {
				batch = append(batch, types.PutRecordsRequestEntry{PartitionKey: aws.String(fmt.Sprint(k)), Data: []byte(fmt.Sprint(k))})
			}
			out, err := c.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("clicks"), Records: batch})
			require.NoError(t, err)
			require.Zero(t, *out.FailedRecordCount)
		}
	}
	var mu sync.Mutex
	got, through := map[string]int{}, map[string]core.SequenceNumber{}
	process := func(_ context.Context, b consumer.Batch) error {
		mu.Lock()
		defer mu.Unlock()
		switch at, known := through[b.Key()]; {
		case known && at == b.Through:
			return nil
		case known && at != b.From:
			return fmt.Errorf("%s stands at %s, the batch begins after %s", b.Key(), at, b.From)
		}
		through[b.Key()] = b.Through
		for r := range b.Records() {
			got[string(r.Data)]++
		}
		return nil
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all sync.WaitGroup
	for range 2 {
		source, store, err := consumer.Server(t.Context(), server.Endpoint, "clicks", "billing")
		require.NoError(t, err)
		w, err := consumer.New(consumer.Config{
			Name: "billing", Source: source, Store: store, Process: process, Lease: lease.Config{Failover: 2 * time.Second},
			Batch: connectors.BufferConfig{MaxAge: connectors.Duration(100 * time.Millisecond)},
		})
		require.NoError(t, err)
		all.Go(func() {
			if err := w.Run(ctx); err != nil {
				t.Error(err)
			}
			_ = source.Close() // it only reads
		})
	}
	arrived := func(n int) {
		t.Helper()
		require.Eventually(t, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(got) == n
		}, 2*time.Minute, 100*time.Millisecond)
	}
	put(0, records/2)
	arrived(records / 2)
	server.Kill()
	server.Restart(t)
	put(records/2, records)
	arrived(records)
	stop()
	all.Wait()
	for k, n := range got {
		require.Equal(t, 1, n, k)
	}
}
