package kinesisapi

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/kinesisapi/kinesistest"
	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/core/vfs"
)

// server is the API over an engine in memory, and a client of AWS's SDK for Go.
type server struct {
	*kinesis.Client
	streams *stream.Store
	control *control.Store
	engine  *local.Engine
	url     string
}

func serve(t *testing.T, cfg Config) *server {
	t.Helper()
	api, s := newAPI(t, cfg)
	h := httptest.NewServer(awsapi.New(api.Service(), awsapi.Config{Guard: awsapi.Anyone}))
	t.Cleanup(h.Close)
	s.Client, s.url = kinesistest.Client(h.URL, "key", "secret"), h.URL
	return s
}

// newAPI is the API over an engine in memory.
func newAPI(t *testing.T, cfg Config) (*API, *server) {
	t.Helper()
	e, err := local.Open(vfs.NewMem(), "/log", local.Config{})
	require.NoError(t, err)
	c, err := control.Open(t.Context(), e, "control", "test", control.Config{})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, c.Close())
		require.NoError(t, e.Close())
	})
	api, err := New(t.Context(), stream.NewStore(e, c, "test"), c, cfg)
	require.NoError(t, err)
	return api, &server{streams: api.streams, control: c, engine: e}
}

// instant is without phases between a change and its end.
var instant = Config{Delay: -1}

func (s *server) stream(t *testing.T, name string, shards int32) {
	t.Helper()
	_, err := s.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &name, ShardCount: &shards})
	require.NoError(t, err)
}

// active waits until a stream is.
func (s *server) active(t *testing.T, name string) {
	t.Helper()
	require.Eventually(t, func() bool {
		out, err := s.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: &name})
		require.NoError(t, err)
		return out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive
	}, 30*time.Second, 10*time.Millisecond)
}

func (s *server) put(t *testing.T, name string, from, to int) {
	t.Helper()
	in := &kinesis.PutRecordsInput{StreamName: &name}
	for i := from; i < to; i++ {
		in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: []byte(fmt.Sprint(i)), PartitionKey: aws.String("key-" + fmt.Sprint(i%7))})
	}
	out, err := s.PutRecords(t.Context(), in)
	require.NoError(t, err)
	require.Zero(t, *out.FailedRecordCount)
	require.Len(t, out.Records, to-from)
}

// iterator begins to read a shard.
func (s *server) iterator(t *testing.T, in kinesis.GetShardIteratorInput) *string {
	t.Helper()
	out, err := s.GetShardIterator(t.Context(), &in)
	require.NoError(t, err)
	return out.ShardIterator
}

// drain reads from an iterator to the tip or the end of its shard, limit records at a time.
func (s *server) drain(t *testing.T, it *string, limit int32) (records []types.Record, last *kinesis.GetRecordsOutput) {
	t.Helper()
	for {
		out, err := s.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it, Limit: &limit})
		require.NoError(t, err)
		require.LessOrEqual(t, len(out.Records), int(limit))
		require.Equal(t, out.NextShardIterator == nil, len(out.ChildShards) > 0, "as KCL has it")
		records = append(records, out.Records...)
		if out.NextShardIterator == nil || len(out.Records) == 0 {
			require.Zero(t, *out.MillisBehindLatest)
			return records, out
		}
		it = out.NextShardIterator
	}
}

func code(t *testing.T, err error) string {
	t.Helper()
	var api interface{ ErrorCode() string }
	require.ErrorAs(t, err, &api)
	return api.ErrorCode()
}

func TestWhatIsPutIsGot(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 3)
	s.put(t, "clicks", 0, 500)
	shards, err := s.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("clicks")})
	require.NoError(t, err)
	require.Len(t, shards.Shards, 3)
	got := map[string]bool{}
	for _, sh := range shards.Shards {
		it := s.iterator(t, kinesis.GetShardIteratorInput{StreamName: aws.String("clicks"), ShardId: sh.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
		records, _ := s.drain(t, it, 37)
		var last core.SequenceNumber
		for _, r := range records {
			require.False(t, got[string(r.Data)])
			got[string(r.Data)] = true
			require.Positive(t, core.SequenceNumber(*r.SequenceNumber).Compare(last))
			last = core.SequenceNumber(*r.SequenceNumber)
			require.WithinDuration(t, time.Now(), *r.ApproximateArrivalTimestamp, time.Minute)
		}
	}
	require.Len(t, got, 500)
}

// TestMoreShardsThanAStreamMayHave are refused where the limit of all streams allows them.
func TestMoreShardsThanAStreamMayHave(t *testing.T) {
	cfg := instant
	cfg.ShardLimit = 50_000
	s := serve(t, cfg)
	_, err := s.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("clicks"), ShardCount: aws.Int32(10_001)})
	require.Equal(t, codeArgument, code(t, err))
	s.stream(t, "clicks", 1)
	_, err = s.UpdateShardCount(t.Context(), &kinesis.UpdateShardCountInput{StreamName: aws.String("clicks"), TargetShardCount: aws.Int32(10_001), ScalingType: "UNIFORM_SCALING"})
	require.Error(t, err)
	require.NotEqual(t, codeInternal, code(t, err))
}

func TestIteratorsBeginWhereTheySay(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	name, shard := aws.String("clicks"), aws.String("shardId-000000000000")
	latest := s.iterator(t, kinesis.GetShardIteratorInput{StreamName: name, ShardId: shard, ShardIteratorType: types.ShardIteratorTypeLatest})
	s.put(t, "clicks", 0, 10)
	all, last := s.drain(t, latest, 100)
	require.Len(t, all, 10, "LATEST is fixed when the iterator is made")
	middle := s.iterator(t, kinesis.GetShardIteratorInput{StreamName: name, ShardId: shard, ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: all[4].SequenceNumber})
	rest, _ := s.drain(t, middle, 100)
	require.Equal(t, "4", string(rest[0].Data))
	after := s.iterator(t, kinesis.GetShardIteratorInput{StreamName: name, ShardId: shard, ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: all[4].SequenceNumber})
	rest, _ = s.drain(t, after, 100)
	require.Equal(t, "5", string(rest[0].Data))
	at := s.iterator(t, kinesis.GetShardIteratorInput{StreamName: name, ShardId: shard, ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: all[0].ApproximateArrivalTimestamp})
	rest, _ = s.drain(t, at, 100)
	require.Len(t, rest, 10)
	s.put(t, "clicks", 10, 12)
	rest, _ = s.drain(t, last.NextShardIterator, 100)
	require.Len(t, rest, 2, "an iterator at the tip goes on from there")
}

func TestWhatIsWrongWithARequestIsSaid(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 2)
	name, shard := aws.String("clicks"), aws.String("shardId-000000000000")
	out, err := s.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: name, Data: []byte("x"), PartitionKey: aws.String("a"), ExplicitHashKey: aws.String("0")})
	require.NoError(t, err)
	iterate := func(in kinesis.GetShardIteratorInput) error {
		if in.StreamName == nil && in.StreamARN == nil {
			in.StreamName = name
		}
		if in.ShardId == nil {
			in.ShardId = shard
		}
		_, err := s.GetShardIterator(t.Context(), &in)
		return err
	}
	put := func(in kinesis.PutRecordInput) error {
		if in.StreamName == nil && in.StreamARN == nil {
			in.StreamName = name
		}
		_, err := s.PutRecord(t.Context(), &in)
		return err
	}
	_, taken := s.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: name, ShardCount: aws.Int32(1)})
	_, many := s.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("b"), ShardCount: aws.Int32(2_000_000_000)})
	_, forged := s.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: aws.String("AAAAAAAAAAF")})
	_, described := s.DescribeStream(t.Context(), &kinesis.DescribeStreamInput{StreamARN: aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/none")})
	for what, c := range map[string]struct {
		err        error
		code, text string
	}{
		"a name that is taken":        {taken, codeInUse, "already exists"},
		"shards beyond the limit":     {many, codeLimit, "would exceed the shard limit"},
		"an iterator of somebody":     {forged, codeArgument, "Invalid ShardIterator"},
		"no such stream":              {described, codeNotFound, "Stream none under account 000000000000 not found."},
		"no such shard":               {iterate(kinesis.GetShardIteratorInput{ShardId: aws.String("shardId-000000000009"), ShardIteratorType: "LATEST"}), codeNotFound, "shardId-000000000009"},
		"a sequence number elsewhere": {iterate(kinesis.GetShardIteratorInput{ShardId: aws.String("shardId-000000000001"), ShardIteratorType: "AT_SEQUENCE_NUMBER", StartingSequenceNumber: out.SequenceNumber}), codeArgument, "is of shardId-000000000000"},
		"no sequence number":          {iterate(kinesis.GetShardIteratorInput{ShardIteratorType: "AT_SEQUENCE_NUMBER"}), codeArgument, "sequence number"},
		"the future":                  {iterate(kinesis.GetShardIteratorInput{ShardIteratorType: "AT_TIMESTAMP", Timestamp: aws.Time(time.Now().Add(time.Hour))}), codeArgument, "cannot be greater than"},
		"another region":              {iterate(kinesis.GetShardIteratorInput{StreamARN: aws.String("arn:aws:kinesis:eu-west-1:000000000000:stream/clicks"), ShardIteratorType: "LATEST"}), codeArgument, "eu-west-1"},
		"another account":             {iterate(kinesis.GetShardIteratorInput{StreamARN: aws.String("arn:aws:kinesis:us-east-1:123456789012:stream/clicks"), ShardIteratorType: "LATEST"}), codeNotFound, "under account 123456789012"},
		"a hash key of 2^128":         {put(kinesis.PutRecordInput{PartitionKey: aws.String("a"), Data: []byte("x"), ExplicitHashKey: aws.String("340282366920938463463374607431768211456")}), codeArgument, "ExplicitHashKey"},
		"a record of 2 MiB":           {put(kinesis.PutRecordInput{PartitionKey: aws.String("a"), Data: make([]byte, 2<<20)}), codeArgument, "1024 KiB"},
		"a key of 257 characters":     {put(kinesis.PutRecordInput{PartitionKey: aws.String(fmt.Sprintf("%0257d", 1)), Data: []byte("x")}), "ValidationException", "less than or equal to 256"},
		"a name that is none":         {put(kinesis.PutRecordInput{StreamName: aws.String("../etc"), PartitionKey: aws.String("a"), Data: []byte("x")}), "ValidationException", "regular expression"},
	} {
		require.Equal(t, c.code, code(t, c.err), what)
		require.ErrorContains(t, c.err, c.text, what)
	}
}

func TestAStreamOfTheSameNameIsAnotherOne(t *testing.T) {
	s := serve(t, instant)
	s.stream(t, "clicks", 1)
	it := s.iterator(t, kinesis.GetShardIteratorInput{StreamName: aws.String("clicks"), ShardId: aws.String("shardId-000000000000"), ShardIteratorType: types.ShardIteratorTypeLatest})
	_, err := s.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String("clicks")})
	require.NoError(t, err)
	s.stream(t, "clicks", 1)
	_, err = s.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it})
	require.Equal(t, codeNotFound, code(t, err))
}

func TestStreamsPassThroughTheirStates(t *testing.T) {
	s := serve(t, Config{Delay: 2 * time.Second})
	s.stream(t, "clicks", 1)
	status := func() string {
		out, err := s.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("clicks")})
		if err != nil {
			return code(t, err)
		}
		return string(out.StreamDescriptionSummary.StreamStatus)
	}
	require.Equal(t, "CREATING", status())
	require.Eventually(t, func() bool { return status() == "ACTIVE" }, 30*time.Second, 10*time.Millisecond)
	s.put(t, "clicks", 0, 3)
	_, err := s.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String("clicks")})
	require.NoError(t, err)
	require.Equal(t, "DELETING", status())
	_, err = s.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("clicks"), Data: []byte("x"), PartitionKey: aws.String("a")})
	require.Equal(t, codeNotFound, code(t, err))
	require.Eventually(t, func() bool { return status() == codeNotFound }, 30*time.Second, 10*time.Millisecond)
	infos, err := s.streams.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, infos)
}
