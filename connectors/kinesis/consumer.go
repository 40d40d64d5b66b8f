package kinesis

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/penstock/penstock/connectors/internal/awserr"
	"github.com/penstock/penstock/core"
)

// consumerPoll is how often a consumer that is being made is looked at.
const consumerPoll = 500 * time.Millisecond

// register finds the consumer, or registers it, and waits until it can subscribe.
func (s *Source) register(ctx context.Context) error {
	stream, consumer := s.streamARN(), s.cfg.Consumer
	return s.try(ctx, "register consumer "+consumer, func(ctx context.Context) error {
		for {
			out, err := s.client.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{StreamARN: &stream, ConsumerName: &consumer})
			switch {
			case awserr.Code(err) == codeNotFound:
				if _, err = s.client.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: &stream, ConsumerName: &consumer}); err != nil && awserr.Code(err) != codeInUse {
					return fanOutError(err)
				}
			case err != nil:
				return fanOutError(err)
			case out.ConsumerDescription.ConsumerStatus == types.ConsumerStatusActive:
				s.mu.Lock()
				s.arn = deref(out.ConsumerDescription.ConsumerARN)
				s.mu.Unlock()
				return nil
			}
			if err := core.Pause(ctx, consumerPoll); err != nil {
				return fmt.Errorf("consumer %s is not active yet: %w", consumer, err)
			}
		}
	})
}

// fanOutError says what to do where a server has no consumers.
func fanOutError(err error) error {
	if awserr.Code(err) == "UnknownOperationException" {
		return fmt.Errorf("%w: use mode: polling", err)
	}
	return err
}

// streamARN is the stream's ARN, which begins the source's id.
func (s *Source) streamARN() string {
	for i := len(s.id) - 1; i >= 0; i-- {
		if s.id[i] == '@' {
			return s.id[:i]
		}
	}
	return s.id
}

// consumer is the ARN of the consumer.
func (s *Source) consumer() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.arn
}
