package deadletter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// Kinesis keeps dead letters in a stream of a server of the Kinesis API, for workers that share a pipeline and have no
// stream of their own that all of them reach. It is made with one shard when the first letter comes.
type Kinesis struct {
	client *kinesis.Client
	name   string

	mu    sync.Mutex // guards there
	there bool
}

var _ connectors.DeadLetters = (*Kinesis)(nil)

// NewKinesis returns dead letters kept in the stream of that name.
func NewKinesis(client *kinesis.Client, name core.StreamName) (*Kinesis, error) {
	if err := name.Validate(); err != nil {
		return nil, err
	}
	return &Kinesis{client: client, name: string(name)}, nil
}

// Bounds of what AWS takes.
const (
	kinesisRecord  = 1 << 20 // bytes of key and data
	kinesisRequest = 4 << 20 // bytes of a request; 5 MiB with what stands around the records
	kinesisRecords = 500     // of a request
	kinesisTries   = 10
)

// Put returns nil once every letter is durable.
func (s *Kinesis) Put(ctx context.Context, letters []connectors.DeadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	if err := s.make(ctx); err != nil {
		return fmt.Errorf("make the dead-letter stream %s: %w", s.name, err)
	}
	var batch []types.PutRecordsRequestEntry
	size := 0
	for _, l := range letters {
		r, err := record(l, kinesisRecord)
		if err != nil {
			return err
		}
		n := len(r.Key) + len(r.Data)
		if len(batch) == kinesisRecords || size+n > kinesisRequest {
			if err := s.put(ctx, batch); err != nil {
				return err
			}
			batch, size = nil, 0
		}
		batch, size = append(batch, types.PutRecordsRequestEntry{PartitionKey: &r.Key, Data: r.Data}), size+n
	}
	return s.put(ctx, batch)
}

// put puts records, those that a throttled shard refused again and again.
func (s *Kinesis) put(ctx context.Context, batch []types.PutRecordsRequestEntry) error {
	for attempt := 1; len(batch) > 0; attempt++ {
		out, err := s.client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: &s.name, Records: batch})
		if err != nil {
			s.forget(err)
			return fmt.Errorf("put %d dead letters into %s: %w", len(batch), s.name, err)
		}
		var left []types.PutRecordsRequestEntry
		why := ""
		for i, r := range out.Records {
			if r.ErrorCode != nil {
				left, why = append(left, batch[i]), aws.ToString(r.ErrorCode)+": "+aws.ToString(r.ErrorMessage)
			}
		}
		if batch = left; len(batch) == 0 {
			return nil
		}
		if attempt == kinesisTries {
			return fmt.Errorf("put %d dead letters into %s: %s", len(batch), s.name, why)
		}
		if err := core.Pause(ctx, 100*time.Millisecond+rand.N(time.Duration(attempt)*100*time.Millisecond)); err != nil { //nolint:gosec // jitter
			return err
		}
	}
	return nil
}

// forget has the stream looked for again, if it was deleted.
func (s *Kinesis) forget(err error) {
	if gone := (*types.ResourceNotFoundException)(nil); errors.As(err, &gone) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.there = false
	}
}

// make makes the stream, if it is not there, and waits until it takes records.
func (s *Kinesis) make(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.there {
		out, err := s.client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &s.name})
		gone, used := (*types.ResourceNotFoundException)(nil), (*types.ResourceInUseException)(nil)
		switch {
		case errors.As(err, &gone):
			_, err = s.client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &s.name, ShardCount: aws.Int32(1)})
			if err != nil && !errors.As(err, &used) { // by another worker
				return err
			}
		case err != nil:
			return err
		case out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive, out.StreamDescriptionSummary.StreamStatus == types.StreamStatusUpdating:
			s.there = true
			return nil
		}
		if err := core.Pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
