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
		"{":                        "not a JSON object",
		"[]":                       "not a JSON object",
		"{}":                       "a Statement is not a JSON object",
		`{"Statement":[]}`:         "has no Statement",
		`{"Version":"2020-01-01"}`: "its Version",
		statement(`"x"`):           "a Statement is not a JSON object",
		statement(`{"Effect":"Maybe","Principal":"*","Action":"*"}`): "neither Allow nor Deny",
		statement(`{"Effect":"Allow","Action":"*"}`):                 "has no Principal",
		statement(`{"Effect":"Allow","Principal":"*"}`):              "has no Action",
		somePolicy + strings.Repeat(" ", 20<<10):                     "it may have 20480",
	} {
		_, err := s.PutResourcePolicy(t.Context(), &kinesis.PutResourcePolicyInput{ResourceARN: arnOf("clicks"), Policy: &text})
		require.Equal(t, codeArgument, code(t, err), text)
		require.ErrorContains(t, err, why, text)
	}
	_, err := s.GetResourcePolicy(t.Context(), &kinesis.GetResourcePolicyInput{ResourceARN: arnOf("clicks")})
	require.Equal(t, codeNotFound, code(t, err), "what was refused is not stored")
}
