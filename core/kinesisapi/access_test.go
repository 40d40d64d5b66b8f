package kinesisapi

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/awsapi/access"
	"github.com/penstock/penstock/core/awsapi/iam"
	"github.com/penstock/penstock/core/kinesisapi/kinesistest"
	"github.com/penstock/penstock/core/sealing"
	"github.com/penstock/penstock/core/stream"
)

const credentials = `
- {access_key: ADMIN, secret_key: admins-secret-0123456789, policy: {Version: "2012-10-17", Statement: {Effect: Allow, Action: "*", Resource: "*"}}}
- {access_key: PRODUCER, secret_key: producers-secret-0123456789, policy: {Version: "2012-10-17", Statement: {Effect: Allow, Action: "kinesis:Put*", Resource: "arn:aws:kinesis:*:*:stream/clicks"}}}
- {access_key: NOBODY, secret_key: nobodys-secret-0123456789, policy: {Version: "2012-10-17", Statement: {Effect: Deny, Action: "kinesis:DeleteStream", Resource: "*"}}}
`

// guarded is the API for the keys above.
func guarded(t *testing.T) (url string, api *API) {
	t.Helper()
	api, _ = newAPI(t, instant)
	return guard(t, api, api.Policy), api
}

// guard serves the API to the keys above.
func guard(t *testing.T, api *API, policy func(context.Context, string) (string, error)) (url string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credentials.yaml")
	require.NoError(t, os.WriteFile(path, []byte(credentials), 0o600))
	keys, err := iam.Open(path)
	require.NoError(t, err)
	h := httptest.NewServer(awsapi.New(api.Service(), awsapi.Config{Guard: access.New(keys, access.Config{
		Region: "us-east-1", Service: "kinesis", Account: "000000000000", Policy: policy,
	})}))
	t.Cleanup(h.Close)
	return h.URL
}

// TestNoOperationRunsForAForger calls every operation that there is.
func TestNoOperationRunsForAForger(t *testing.T) {
	url, api := guarded(t)
	operations := api.Service().Operations
	require.Len(t, operations, 39)
	for _, op := range operations {
		for name, header := range map[string]string{
			"MissingAuthenticationTokenException": "",
			"IncompleteSignatureException":        "AWS4-HMAC-SHA256 Credential=ADMIN",
			"UnrecognizedClientException":         "AWS4-HMAC-SHA256 Credential=OTHER/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=" + strings.Repeat("0", 64),
		} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
			require.NoError(t, err)
			r.Header.Set("Content-Type", "application/x-amz-json-1.1")
			r.Header.Set("X-Amz-Target", "Kinesis_20131202."+op.Name)
			r.Header.Set("X-Amz-Date", "20260101T000000Z")
			if header != "" {
				r.Header.Set("Authorization", header)
			}
			resp, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			body := make([]byte, 1000)
			n, _ := resp.Body.Read(body)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, http.StatusBadRequest, resp.StatusCode, op.Name)
			require.Regexp(t, name+"|InvalidSignatureException", string(body[:n]), op.Name)
		}
	}
}

func TestPoliciesSayWhoMayDoWhat(t *testing.T) {
	url, _ := guarded(t)
	admin, producer, nobody := kinesistest.Client(url, "ADMIN", "admins-secret-0123456789"), kinesistest.Client(url, "PRODUCER", "producers-secret-0123456789"), kinesistest.Client(url, "NOBODY", "nobodys-secret-0123456789")
	for _, name := range []string{"clicks", "other"} {
		_, err := admin.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(1)})
		require.NoError(t, err)
	}
	put := func(c *kinesis.Client, name string) error {
		_, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: &name, Data: []byte("x"), PartitionKey: aws.String("a")})
		return err
	}
	require.NoError(t, put(producer, "clicks"))
	require.Equal(t, "AccessDeniedException", code(t, put(producer, "other")))
	require.Equal(t, "AccessDeniedException", code(t, put(producer, "none")), "and nothing is said of what there is")
	require.Equal(t, "AccessDeniedException", code(t, put(nobody, "clicks")))
	require.Equal(t, "InvalidSignatureException", code(t, put(kinesistest.Client(url, "ADMIN", "not-the-secret-0123456789"), "clicks")))
	_, err := producer.ListStreams(t.Context(), &kinesis.ListStreamsInput{})
	require.Equal(t, "AccessDeniedException", code(t, err))

	it, err := admin.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{StreamName: aws.String("clicks"), ShardId: aws.String("shardId-000000000000"), ShardIteratorType: "TRIM_HORIZON"})
	require.NoError(t, err)
	read := func(c *kinesis.Client, arn *string) error {
		_, err := c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator, StreamARN: arn})
		return err
	}
	require.NoError(t, read(admin, nil))
	require.Equal(t, "AccessDeniedException", code(t, read(nobody, nil)), "an iterator is no permission")

	_, err = admin.PutResourcePolicy(t.Context(), &kinesis.PutResourcePolicyInput{
		ResourceARN: aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/clicks"),
		Policy: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/NOBODY"},` +
			`"Action":["kinesis:GetRecords","kinesis:DeleteStream"],"Resource":"arn:aws:kinesis:us-east-1:000000000000:stream/clicks"}]}`),
	})
	require.NoError(t, err)
	require.NoError(t, read(nobody, nil), "the stream's own policy lets it")
	require.Equal(t, "AccessDeniedException", code(t, put(nobody, "clicks")))
	_, err = nobody.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String("clicks")})
	require.Equal(t, "AccessDeniedException", code(t, err), "a denial wins")
}

// TestAPolicyOnAConsumerHoldsHoweverItIsNamed asks for one by its ARN, and by its name and its stream's ARN.
func TestAPolicyOnAConsumerHoldsHoweverItIsNamed(t *testing.T) {
	url, _ := guarded(t)
	admin := kinesistest.Client(url, "ADMIN", "admins-secret-0123456789")
	_, err := admin.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("clicks"), ShardCount: aws.Int32(1)})
	require.NoError(t, err)
	made, err := admin.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: arnOf("clicks"), ConsumerName: aws.String("app")})
	require.NoError(t, err)
	_, err = admin.PutResourcePolicy(t.Context(), &kinesis.PutResourcePolicyInput{
		ResourceARN: made.Consumer.ConsumerARN,
		Policy:      aws.String(`{"Statement":{"Effect":"Deny","Principal":"*","Action":["kinesis:DescribeStreamConsumer","kinesis:DeregisterStreamConsumer"],"Resource":"*"}}`),
	})
	require.NoError(t, err)
	for what, in := range map[string]kinesis.DeregisterStreamConsumerInput{
		"its ARN":           {ConsumerARN: made.Consumer.ConsumerARN},
		"its name":          {StreamARN: arnOf("clicks"), ConsumerName: aws.String("app")},
		"its name and ARNs": {ConsumerARN: made.Consumer.ConsumerARN, StreamARN: arnOf("clicks"), ConsumerName: aws.String("app")},
	} {
		_, err := admin.DescribeStreamConsumer(t.Context(), &kinesis.DescribeStreamConsumerInput{ConsumerARN: in.ConsumerARN, StreamARN: in.StreamARN, ConsumerName: in.ConsumerName})
		require.Error(t, err, what)
		require.Equal(t, "AccessDeniedException", code(t, err), what)
		_, err = admin.DeregisterStreamConsumer(t.Context(), &in)
		require.Error(t, err, what)
		require.Equal(t, "AccessDeniedException", code(t, err), what)
	}
	_, err = admin.DescribeStreamConsumer(t.Context(), &kinesis.DescribeStreamConsumerInput{StreamARN: arnOf("clicks"), ConsumerName: aws.String("none")})
	require.Equal(t, codeNotFound, code(t, err))
}

// TestAPolicyThatCannotBeReadAllowsNothing, whatever the caller's own policy says.
func TestAPolicyThatCannotBeReadAllowsNothing(t *testing.T) {
	api, s := newAPI(t, instant)
	for _, arn := range []string{*arnOf("none"), *arnOf("none") + "/consumer/app:1", "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks", "arn:x", "*"} {
		text, err := api.Policy(t.Context(), arn)
		require.NoError(t, err, "there is no such resource here")
		require.Empty(t, text)
	}
	_, err := s.streams.Create(t.Context(), "clicks", stream.Settings{})
	require.NoError(t, err)
	busy := func(context.Context, string) (string, error) {
		return "", awsapi.Refuse(codeThroughput, "The log has no room just now.")
	}
	_, err = kinesistest.Client(guard(t, api, busy), "ADMIN", "admins-secret-0123456789").
		PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("clicks"), Data: []byte("x"), PartitionKey: aws.String("a")})
	require.Error(t, err)
	require.Equal(t, codeThroughput, code(t, err))
}

func TestEncryptionIsStartedAndStopped(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	start := func(key string) error {
		_, err := s.StartStreamEncryption(t.Context(), &kinesis.StartStreamEncryptionInput{StreamName: aws.String("clicks"), EncryptionType: "KMS", KeyId: &key})
		return err
	}
	require.Equal(t, codeNoKey, code(t, start("alias/one")), "none is configured")
	path := filepath.Join(t.TempDir(), "keys.yaml")
	require.NoError(t, os.WriteFile(path, []byte("alias/one: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"), 0o600))
	keys, err := sealing.OpenFile(path)
	require.NoError(t, err)
	s.streams.SetMasters(keys, stream.KeyLimits{})
	require.Equal(t, codeNoKey, code(t, start("alias/two")))
	s.put(t, "clicks", 0, 5)
	require.NoError(t, start("alias/one"))
	s.put(t, "clicks", 5, 10)
	out, err := s.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("clicks")})
	require.NoError(t, err)
	require.Equal(t, []string{"KMS", "alias/one"}, []string{string(out.StreamDescriptionSummary.EncryptionType), *out.StreamDescriptionSummary.KeyId})
	stop := func(key string) error {
		_, err := s.StopStreamEncryption(t.Context(), &kinesis.StopStreamEncryptionInput{StreamName: aws.String("clicks"), EncryptionType: "KMS", KeyId: &key})
		return err
	}
	require.Equal(t, codeArgument, code(t, stop("alias/two")))
	require.NoError(t, stop("alias/one"))
	s.put(t, "clicks", 10, 15)
	it := s.iterator(t, kinesis.GetShardIteratorInput{StreamName: aws.String("clicks"), ShardId: aws.String("shardId-000000000000"), ShardIteratorType: "TRIM_HORIZON"})
	records, _ := s.drain(t, it, 4)
	require.Len(t, records, 15)
	for i, r := range records {
		require.Equal(t, fmt.Sprint(i), string(r.Data))
		require.Equal(t, fmt.Sprintf("key-%d", i%7), *r.PartitionKey)
		require.Equal(t, i >= 5 && i < 10, r.EncryptionType == "KMS", i)
	}
	got := event(t, s.subscribe(t, s.consumer(t, "clicks", "app"), horizon())).Records
	require.Len(t, got, 15)
	for i, r := range got {
		require.Equal(t, i >= 5 && i < 10, r.EncryptionType == "KMS", i)
	}
}

// TestWhatIsWrongWithAMasterKeyIsSaid, as whoever can mend it is not the client.
func TestWhatIsWrongWithAMasterKeyIsSaid(t *testing.T) {
	masters := func(text string) *sealing.File {
		path := filepath.Join(t.TempDir(), "keys.yaml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		keys, err := sealing.OpenFile(path)
		require.NoError(t, err)
		return keys
	}
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	s.streams.SetMasters(masters("alias/one: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"), stream.KeyLimits{})
	_, err := s.StartStreamEncryption(t.Context(), &kinesis.StartStreamEncryptionInput{StreamName: aws.String("clicks"), EncryptionType: "KMS", KeyId: aws.String("alias/one")})
	require.NoError(t, err)
	for want, keys := range map[string]*sealing.File{
		codeNoKey:    masters("alias/two: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"),
		codeWrongKey: masters("alias/one: AAAAMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"),
	} {
		s.streams.SetMasters(keys, stream.KeyLimits{})
		_, err = s.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("clicks"), Data: []byte("x"), PartitionKey: aws.String("a")})
		require.Equal(t, want, code(t, err))
		require.ErrorContains(t, err, "alias/one")
		_, err = s.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("clicks"), Records: []types.PutRecordsRequestEntry{{Data: []byte("x"), PartitionKey: aws.String("a")}}})
		require.Equal(t, want, code(t, err))
	}
}

// refusing are master keys that refuse.
type refusing struct {
	sealing.Masters
	err error
}

func (r *refusing) Generate(ctx context.Context, master, of string) ([]byte, sealing.Wrapped, error) {
	if r.err != nil {
		return nil, sealing.Wrapped{}, r.err
	}
	return r.Masters.Generate(ctx, master, of)
}

func (r *refusing) Unwrap(ctx context.Context, of string, w sealing.Wrapped) ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	return r.Masters.Unwrap(ctx, of, w)
}

func TestWhatIsWrongWithAKeyIsSaidAsAWSDoes(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	path := filepath.Join(t.TempDir(), "keys.yaml")
	require.NoError(t, os.WriteFile(path, []byte("alias/one: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"), 0o600))
	file, err := sealing.OpenFile(path)
	require.NoError(t, err)
	keys := &refusing{Masters: file}
	s.streams.SetMasters(keys, stream.KeyLimits{})
	start := func() error {
		_, err := s.StartStreamEncryption(t.Context(), &kinesis.StartStreamEncryptionInput{StreamName: aws.String("clicks"), EncryptionType: "KMS", KeyId: aws.String("alias/one")})
		return err
	}
	require.NoError(t, start())
	s.put(t, "clicks", 0, 1)
	it := s.iterator(t, kinesis.GetShardIteratorInput{StreamName: aws.String("clicks"), ShardId: aws.String("shardId-000000000000"), ShardIteratorType: "TRIM_HORIZON"})
	for is, want := range map[error]string{
		sealing.ErrNoKey: "KMSNotFoundException", sealing.ErrDisabled: "KMSDisabledException", sealing.ErrState: "KMSInvalidStateException",
		sealing.ErrDenied: "KMSAccessDeniedException", sealing.ErrBusy: "KMSThrottlingException", sealing.ErrUnreachable: codeInternal,
	} {
		keys.err = fmt.Errorf("key alias/one at 10.1.2.3: %w", is)
		s.streams.SetMasters(keys, stream.KeyLimits{}) // with no data key open
		require.Equal(t, want, code(t, start()))
		_, err := s.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("clicks"), PartitionKey: aws.String("k"), Data: []byte("x")})
		require.Equal(t, want, code(t, err))
		_, err = s.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("clicks"), Records: []types.PutRecordsRequestEntry{{PartitionKey: aws.String("k"), Data: []byte("x")}}})
		require.Equal(t, want, code(t, err))
		_, err = s.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it})
		require.Equal(t, want, code(t, err))
		require.ErrorContains(t, err, is.Error())
		if want == codeInternal {
			require.NotContains(t, err.Error(), "10.1.2.3", "where it is stands in the log")
		}
	}
	keys.err = nil
	records, _ := s.drain(t, it, 1)
	require.Len(t, records, 1, "what was refused is not there")
}
