package kinesisapi

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/stretchr/testify/require"
)

const somePolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"kinesis:GetRecords","Resource":"*"}]}`

func TestPoliciesOfStreamsAndConsumers(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	app := s.register(t, "clicks", "app")
	for what, arn := range map[string]*string{"a stream": arnOf("clicks"), "a consumer": app.ConsumerARN} {
		_, err := s.GetResourcePolicy(t.Context(), &kinesis.GetResourcePolicyInput{ResourceARN: arn})
		require.Equal(t, codeNotFound, code(t, err), what)
		for _, text := range []string{somePolicy, strings.ReplaceAll(somePolicy, "GetRecords", "*")} {
			_, err = s.PutResourcePolicy(t.Context(), &kinesis.PutResourcePolicyInput{ResourceARN: arn, Policy: &text})
			require.NoError(t, err, what)
			out, err := s.GetResourcePolicy(t.Context(), &kinesis.GetResourcePolicyInput{ResourceARN: arn})
			require.NoError(t, err, what)
			require.Equal(t, text, *out.Policy, what)
		}
		_, err = s.DeleteResourcePolicy(t.Context(), &kinesis.DeleteResourcePolicyInput{ResourceARN: arn})
		require.NoError(t, err, what)
		_, err = s.GetResourcePolicy(t.Context(), &kinesis.GetResourcePolicyInput{ResourceARN: arn})
		require.Equal(t, codeNotFound, code(t, err), what)
		_, err = s.DeleteResourcePolicy(t.Context(), &kinesis.DeleteResourcePolicyInput{ResourceARN: arn})
		require.Equal(t, codeNotFound, code(t, err), what)
	}
}

func TestWhatIsWrongWithAPolicyIsSaid(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	_, nowhere := s.PutResourcePolicy(t.Context(), &kinesis.PutResourcePolicyInput{ResourceARN: arnOf("none"), Policy: aws.String(somePolicy)})
	require.Equal(t, codeNotFound, code(t, nowhere))
	statement := func(s string) string { return `{"Statement":[` + s + `]}` }
	for text, why := range map[string]string{
		"":                 "The policy is malformed",
		"{":                "The policy is malformed",
		"[]":               "want a mapping",
		"{}":               "at least one statement",
		`{"Statement":[]}`: "at least one statement",
		statement(`"x"`):   "want a mapping",
		statement(`{"Effect":"Maybe","Principal":"*","Action":"*","Resource":"*"}`):                           "want Allow or Deny",
		statement(`{"Effect":"Allow","Action":"*","Resource":"*"}`):                                           "Principal: missing",
		statement(`{"Effect":"Allow","Principal":"*","Resource":"*"}`):                                        "Action: missing",
		`{"Version":"2020-01-01","Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}`: "Version: want 2012-10-17",
		somePolicy + strings.Repeat(" ", 20<<10):                                                              "more than 20480",
	} {
		_, err := s.PutResourcePolicy(t.Context(), &kinesis.PutResourcePolicyInput{ResourceARN: arnOf("clicks"), Policy: &text})
		require.Equal(t, codeArgument, code(t, err), text)
		require.ErrorContains(t, err, why, text)
	}
	_, err := s.GetResourcePolicy(t.Context(), &kinesis.GetResourcePolicyInput{ResourceARN: arnOf("clicks")})
	require.Equal(t, codeNotFound, code(t, err), "what was refused is not stored")
}
