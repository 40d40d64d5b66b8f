package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/penstock/penstock/core/kinesisapi/kinesistest"
	"github.com/penstock/penstock/integration/servers"
)

const (
	subscribedRecords = 1000
	subscribedEvery   = 2 * time.Millisecond
)

// subscriptions measure how long a record takes from before its put to its subscriber. None of the others serves it.
func (b *bench) subscriptions(ctx context.Context, out io.Writer, s *servers.Kinesis) error {
	var runs []callFigures
	for range b.rounds {
		f, err := atServer(ctx, s, subscribing)
		if err != nil {
			return fmt.Errorf("SubscribeToShard at %s: %w", s.Name, err)
		}
		runs = append(runs, f)
	}
	p := func(n int) spread {
		return spreadOf(func(f callFigures) float64 { return f.percentile(n) }, runs)
	}
	_, err := fmt.Fprintf(out, "\nFrom before PutRecord to the subscriber of SubscribeToShard, through AWS's SDK for Go, a record every %s: p50 %s ms, p99 %s ms.\n",
		subscribedEvery, p(50).with(2), p(99).with(2))
	return err
}

// subscribing puts records that say when, and waits for them at a subscription.
func subscribing(ctx context.Context, c *apiClient, stream string) (f callFigures, err error) {
	client := kinesistest.Client(c.endpoint, c.key.AccessKeyID, c.key.SecretAccessKey)
	events, err := subscribe(ctx, client, stream)
	if err != nil {
		return f, err
	}
	defer events.Close() //nolint:errcheck // everything has come
	ctx, stop := context.WithTimeout(ctx, answerTime)
	defer stop()
	put := make(chan error, 1)
	began := time.Now()
	go func() { put <- putStamps(ctx, client, stream, began) }()
	for len(f.Took) < subscribedRecords {
		select {
		case e, ok := <-events.Events():
			if !ok {
				return f, errors.Join(errNothing, events.Err())
			}
			for _, r := range e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value.Records {
				f.Took = append(f.Took, time.Since(began)-time.Duration(binary.BigEndian.Uint64(r.Data))) //nolint:gosec // from putStamps
			}
		case err := <-put:
			if err != nil {
				return f, err
			}
			put = nil
		case <-ctx.Done():
			return f, errors.Join(errNothing, ctx.Err())
		}
	}
	f.Records, f.Wall = subscribedRecords, time.Since(began).Seconds()
	slices.Sort(f.Took)
	return f, nil
}

// putStamps puts records one after the other, each of how long after began it was put, all into one shard.
func putStamps(ctx context.Context, client *kinesis.Client, stream string, began time.Time) error {
	pace := time.NewTicker(subscribedEvery)
	defer pace.Stop()
	for range subscribedRecords {
		<-pace.C
		at := binary.BigEndian.AppendUint64(nil, uint64(time.Since(began))) //nolint:gosec // not negative
		if _, err := client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &stream, PartitionKey: aws.String("a"), ExplicitHashKey: aws.String("0"), Data: at}); err != nil {
			return err
		}
	}
	return nil
}

// subscribe subscribes to the first shard of a stream from now on.
func subscribe(ctx context.Context, client *kinesis.Client, stream string) (*kinesis.SubscribeToShardEventStream, error) {
	is, err := client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &stream})
	if err != nil {
		return nil, err
	}
	consumer, err := client.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: is.StreamDescriptionSummary.StreamARN, ConsumerName: aws.String("bench")})
	if err != nil {
		return nil, err
	}
	arn := consumer.Consumer.ConsumerARN
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		c, err := client.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{ConsumerARN: arn})
		if err != nil {
			return nil, err
		}
		if c.ConsumerDescription.ConsumerStatus == types.ConsumerStatusActive {
			break
		}
	}
	sub, err := client.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{
		ConsumerARN: arn, ShardId: aws.String("shardId-000000000000"), StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeLatest},
	})
	if err != nil {
		return nil, err
	}
	return sub.GetStream(), nil
}
