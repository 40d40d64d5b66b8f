package kinesisapi

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/stretchr/testify/require"
)

func arnOf(name string) *string {
	return aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/" + name)
}

func (s *server) register(t *testing.T, name, consumer string) *types.Consumer {
	t.Helper()
	out, err := s.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: arnOf(name), ConsumerName: &consumer})
	require.NoError(t, err)
	return out.Consumer
}

func TestConsumersAreRegisteredDescribedAndDeregistered(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	made := s.register(t, "clicks", "app")
	require.Equal(t, types.ConsumerStatusActive, made.ConsumerStatus)
	require.WithinDuration(t, time.Now(), *made.ConsumerCreationTimestamp, time.Minute)
	require.Equal(t, fmt.Sprintf("%s/consumer/app:%d", *arnOf("clicks"), made.ConsumerCreationTimestamp.Unix()), *made.ConsumerARN)
	for what, in := range map[string]kinesis.DescribeStreamConsumerInput{
		"by its ARN":  {ConsumerARN: made.ConsumerARN},
		"by its name": {StreamARN: arnOf("clicks"), ConsumerName: aws.String("app")},
		"by both":     {ConsumerARN: made.ConsumerARN, StreamARN: arnOf("clicks"), ConsumerName: aws.String("app")},
	} {
		out, err := s.DescribeStreamConsumer(t.Context(), &in)
		require.NoError(t, err, what)
		d := out.ConsumerDescription
		got := types.Consumer{ConsumerARN: d.ConsumerARN, ConsumerName: d.ConsumerName, ConsumerStatus: d.ConsumerStatus, ConsumerCreationTimestamp: d.ConsumerCreationTimestamp}
		require.Equal(t, *made, got, what)
		require.Equal(t, *arnOf("clicks"), *d.StreamARN)
	}
	summary, err := s.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamARN: arnOf("clicks")})
	require.NoError(t, err)
	require.Equal(t, int32(1), *summary.StreamDescriptionSummary.ConsumerCount)

	_, err = s.DeregisterStreamConsumer(t.Context(), &kinesis.DeregisterStreamConsumerInput{ConsumerARN: made.ConsumerARN})
	require.NoError(t, err)
	again := s.register(t, "clicks", "app")
	require.NotEqual(t, *made.ConsumerARN, *again.ConsumerARN, "even within a second")
	_, err = s.DescribeStreamConsumer(t.Context(), &kinesis.DescribeStreamConsumerInput{ConsumerARN: made.ConsumerARN})
	require.Equal(t, codeNotFound, code(t, err))
	_, err = s.DescribeStreamConsumer(t.Context(), &kinesis.DescribeStreamConsumerInput{ConsumerARN: again.ConsumerARN})
	require.NoError(t, err)
}

func TestConsumersAreListedInPages(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	for i := range 20 {
		s.register(t, "clicks", fmt.Sprintf("app-%02d", i))
	}
	_, err := s.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: arnOf("clicks"), ConsumerName: aws.String("more")})
	require.Equal(t, codeLimit, code(t, err))
	created, err := s.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamARN: arnOf("clicks")})
	require.NoError(t, err)
	in := &kinesis.ListStreamConsumersInput{StreamARN: arnOf("clicks"), MaxResults: aws.Int32(8), StreamCreationTimestamp: created.StreamDescriptionSummary.StreamCreationTimestamp}
	var names []string
	pages := 0
	for {
		out, err := s.ListStreamConsumers(t.Context(), in)
		require.NoError(t, err)
		pages++
		for _, c := range out.Consumers {
			names = append(names, *c.ConsumerName)
		}
		if out.NextToken == nil {
			break
		}
		in = &kinesis.ListStreamConsumersInput{StreamARN: arnOf("clicks"), MaxResults: aws.Int32(8), NextToken: out.NextToken}
	}
	require.Equal(t, 3, pages)
	require.Len(t, names, 20)
	require.IsIncreasing(t, names)
}

func TestAStreamWithConsumersIsNotDeletedUnlessItIsSaid(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	made := s.register(t, "clicks", "app")
	_, err := s.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamARN: arnOf("clicks")})
	require.Equal(t, codeInUse, code(t, err))
	require.ErrorContains(t, err, "set the EnforceConsumerDeletion parameter to true")
	_, err = s.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamARN: arnOf("clicks"), EnforceConsumerDeletion: aws.Bool(true)})
	require.NoError(t, err)
	rows, err := s.control.List(t.Context(), "consumers/")
	require.NoError(t, err)
	require.Empty(t, rows, "they go with the stream")
	s.stream(t, "clicks", 1)
	_, err = s.DescribeStreamConsumer(t.Context(), &kinesis.DescribeStreamConsumerInput{ConsumerARN: made.ConsumerARN})
	require.Equal(t, codeNotFound, code(t, err), "the stream of the same name has none")
}

func TestConsumersPassThroughTheirStates(t *testing.T) {
	s := serve(t, Config{Delay: 2 * time.Second})
	s.stream(t, "clicks", 1)
	_, err := s.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: arnOf("clicks"), ConsumerName: aws.String("early")})
	require.Equal(t, codeInUse, code(t, err), "the stream is CREATING")
	s.active(t, "clicks")
	for i := range 5 {
		require.Equal(t, types.ConsumerStatusCreating, s.register(t, "clicks", fmt.Sprint(i)).ConsumerStatus)
	}
	_, err = s.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: arnOf("clicks"), ConsumerName: aws.String("sixth")})
	require.Equal(t, codeLimit, code(t, err), "five are CREATING")
	status := func() string {
		out, err := s.DescribeStreamConsumer(t.Context(), &kinesis.DescribeStreamConsumerInput{StreamARN: arnOf("clicks"), ConsumerName: aws.String("0")})
		if err != nil {
			return code(t, err)
		}
		return string(out.ConsumerDescription.ConsumerStatus)
	}
	_, err = s.DeregisterStreamConsumer(t.Context(), &kinesis.DeregisterStreamConsumerInput{StreamARN: arnOf("clicks"), ConsumerName: aws.String("0")})
	require.Equal(t, codeInUse, code(t, err))
	require.Eventually(t, func() bool { return status() == "ACTIVE" }, 30*time.Second, 10*time.Millisecond)
	_, err = s.DeregisterStreamConsumer(t.Context(), &kinesis.DeregisterStreamConsumerInput{StreamARN: arnOf("clicks"), ConsumerName: aws.String("0")})
	require.NoError(t, err)
	require.Equal(t, "DELETING", status())
	require.Eventually(t, func() bool { return status() == codeNotFound }, 30*time.Second, 10*time.Millisecond)
	s.register(t, "clicks", "0")
}

func TestWhatIsWrongWithAConsumerIsSaid(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	made := s.register(t, "clicks", "app")
	describe := func(in kinesis.DescribeStreamConsumerInput) error {
		_, err := s.DescribeStreamConsumer(t.Context(), &in)
		return err
	}
	list := func(in kinesis.ListStreamConsumersInput) error {
		_, err := s.ListStreamConsumers(t.Context(), &in)
		return err
	}
	_, taken := s.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: arnOf("clicks"), ConsumerName: aws.String("app")})
	_, nowhere := s.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: arnOf("none"), ConsumerName: aws.String("app")})
	_, named := s.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: arnOf("clicks"), ConsumerName: aws.String("a/b")})
	_, gone := s.DeregisterStreamConsumer(t.Context(), &kinesis.DeregisterStreamConsumerInput{StreamARN: arnOf("clicks"), ConsumerName: aws.String("none")})
	for what, c := range map[string]struct {
		err        error
		code, text string
	}{
		"a name that is taken":       {taken, codeInUse, "already exists"},
		"no such stream":             {nowhere, codeNotFound, "Stream none under account 000000000000 not found."},
		"a name that is none":        {named, "ValidationException", "regular expression"},
		"no such consumer":           {gone, codeNotFound, "Consumer none of stream clicks"},
		"nothing that names it":      {describe(kinesis.DescribeStreamConsumerInput{}), codeArgument, "ConsumerARN"},
		"a name without its stream":  {describe(kinesis.DescribeStreamConsumerInput{ConsumerName: aws.String("app")}), codeArgument, "StreamARN and ConsumerName"},
		"names that do not agree":    {describe(kinesis.DescribeStreamConsumerInput{ConsumerARN: made.ConsumerARN, ConsumerName: aws.String("b")}), codeArgument, "not of one consumer"},
		"a token of somebody":        {list(kinesis.ListStreamConsumersInput{StreamARN: arnOf("clicks"), NextToken: aws.String("AAAA")}), codeArgument, "Invalid NextToken"},
		"a stream of that name once": {list(kinesis.ListStreamConsumersInput{StreamARN: arnOf("clicks"), StreamCreationTimestamp: aws.Time(time.Now().Add(-time.Hour))}), codeNotFound, "clicks"},
	} {
		require.Equal(t, c.code, code(t, c.err), what)
		require.ErrorContains(t, c.err, c.text, what)
	}
}
