package kinesisapi

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/stretchr/testify/require"
)

// tags are those of a stream or consumer.
func (s *server) tags(t *testing.T, arn *string) map[string]string {
	t.Helper()
	out, err := s.ListTagsForResource(t.Context(), &kinesis.ListTagsForResourceInput{ResourceARN: arn})
	require.NoError(t, err)
	return plain(out.Tags)
}

func plain(tags []types.Tag) map[string]string {
	out := map[string]string{}
	for _, tag := range tags {
		out[*tag.Key] = aws.ToString(tag.Value)
	}
	return out
}

func TestTagsOfStreams(t *testing.T) {
	s := serve(t, instant)
	name := aws.String("clicks")
	_, err := s.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: name, ShardCount: aws.Int32(1), Tags: map[string]string{"team": "a", "empty": ""}})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"team": "a", "empty": ""}, s.tags(t, arnOf("clicks")))
	_, err = s.AddTagsToStream(t.Context(), &kinesis.AddTagsToStreamInput{StreamName: name, Tags: map[string]string{"team": "b", "Größe": "10 m/s @home=x+y-z_.:"}})
	require.NoError(t, err)
	_, err = s.TagResource(t.Context(), &kinesis.TagResourceInput{ResourceARN: arnOf("clicks"), Tags: map[string]string{"cost": "1"}})
	require.NoError(t, err)
	_, err = s.RemoveTagsFromStream(t.Context(), &kinesis.RemoveTagsFromStreamInput{StreamName: name, TagKeys: []string{"empty", "never there"}})
	require.NoError(t, err)
	all := map[string]string{"team": "b", "Größe": "10 m/s @home=x+y-z_.:", "cost": "1"}
	require.Equal(t, all, s.tags(t, arnOf("clicks")))

	first, err := s.ListTagsForStream(t.Context(), &kinesis.ListTagsForStreamInput{StreamName: name, Limit: aws.Int32(2)})
	require.NoError(t, err)
	require.True(t, *first.HasMoreTags)
	require.Len(t, first.Tags, 2)
	rest, err := s.ListTagsForStream(t.Context(), &kinesis.ListTagsForStreamInput{StreamName: name, ExclusiveStartTagKey: first.Tags[1].Key})
	require.NoError(t, err)
	require.False(t, *rest.HasMoreTags)
	require.Equal(t, all, plain(append(first.Tags, rest.Tags...)))
	_, err = s.UntagResource(t.Context(), &kinesis.UntagResourceInput{ResourceARN: arnOf("clicks"), TagKeys: []string{"team", "cost", "Größe"}})
	require.NoError(t, err)
	require.Empty(t, s.tags(t, arnOf("clicks")))
}

func TestTagsOfConsumers(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	made, err := s.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: arnOf("clicks"), ConsumerName: aws.String("app"), Tags: map[string]string{"a": "1"}})
	require.NoError(t, err)
	arn := made.Consumer.ConsumerARN
	_, err = s.TagResource(t.Context(), &kinesis.TagResourceInput{ResourceARN: arn, Tags: map[string]string{"b": "2"}})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "1", "b": "2"}, s.tags(t, arn))
	_, err = s.UntagResource(t.Context(), &kinesis.UntagResourceInput{ResourceARN: arn, TagKeys: []string{"a"}})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"b": "2"}, s.tags(t, arn))
	require.Empty(t, s.tags(t, arnOf("clicks")), "they are not the stream's")
}

func TestWhatIsWrongWithTagsIsSaid(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	app := s.register(t, "clicks", "app").ConsumerARN
	many := func(n int) map[string]string {
		out := map[string]string{}
		for i := range n {
			out[fmt.Sprint("k", i)] = "v"
		}
		return out
	}
	tag := func(arn *string, tags map[string]string) error {
		_, err := s.TagResource(t.Context(), &kinesis.TagResourceInput{ResourceARN: arn, Tags: tags})
		return err
	}
	_, created := s.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("more"), ShardCount: aws.Int32(1), Tags: many(51)})
	_, registered := s.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: arnOf("clicks"), ConsumerName: aws.String("b"), Tags: map[string]string{"aws:x": "1"}})
	_, removed := s.RemoveTagsFromStream(t.Context(), &kinesis.RemoveTagsFromStreamInput{StreamName: aws.String("clicks"), TagKeys: []string{"a*"}})
	require.NoError(t, tag(arnOf("clicks"), many(50)))
	require.NoError(t, tag(arnOf("clicks"), many(3)), "tags that it has already")
	for what, c := range map[string]struct {
		err        error
		code, text string
	}{
		"a character":               {tag(app, map[string]string{"a": "b%"}), codeArgument, "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . : / = + - @."},
		"a character of a key":      {tag(app, map[string]string{"a;": "b"}), codeArgument, "invalid characters"},
		"a key to be removed":       {removed, codeArgument, "invalid characters"},
		"a reserved key":            {tag(app, map[string]string{"AWS:a": "b"}), codeArgument, "begin with aws: are reserved"},
		"the 51st of a stream":      {tag(arnOf("clicks"), map[string]string{"one more": ""}), codeArgument, "cannot have more than 50 tags"},
		"51 of a new stream":        {created, codeArgument, "cannot have more than 50 tags"},
		"a new consumer's":          {registered, codeArgument, "reserved"},
		"no such stream":            {tag(arnOf("none"), many(1)), codeNotFound, "Stream none"},
		"no such consumer":          {tag(aws.String(*arnOf("clicks")+"/consumer/x:1"), many(1)), codeNotFound, "Consumer x of stream clicks"},
		"a consumer of before":      {tag(aws.String(*arnOf("clicks")+"/consumer/app:1"), many(1)), codeNotFound, "Consumer app of stream clicks"},
		"no resource of this kind":  {tag(aws.String("arn:aws:s3:::bucket"), many(1)), "ValidationException", "regular expression"},
		"a key of 129 characters":   {tag(app, map[string]string{fmt.Sprintf("%0129d", 1): ""}), "ValidationException", "128"},
		"a value of 257 characters": {tag(app, map[string]string{"a": fmt.Sprintf("%0257d", 1)}), "ValidationException", "256"},
	} {
		require.Equal(t, c.code, code(t, c.err), what)
		require.ErrorContains(t, c.err, c.text, what)
	}
}
