//go:build linux

package conformance

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/penstock/penstock/core/awsapi/iam"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/integration/servetest"
)

const (
	aDay   = 24 * time.Hour
	window = 5 * time.Minute // of signatures, iterators and tokens
)

// TestClocksThatJump has a server's wall clock jump by a day, step back, stand still, and be wrong at a start, while
// everything is done to streams and a pipeline delivers one: sequence numbers and arrival times of a shard never fall,
// nothing is hidden or lost, no phase lasts longer, and signatures, iterators and tokens go by the wall clock.
// PENSTOCK_CLOCK_RUNS says how many scripts, PENSTOCK_CLOCK_SEED with which seed first.
func TestClocksThatJump(t *testing.T) {
	runs, seed := setting(t, "PENSTOCK_CLOCK_RUNS", 6), setting(t, "PENSTOCK_CLOCK_SEED", 1)
	r := newClockRig(t)
	for i := range runs {
		r.script(t, seed+i)
	}
	r.clock.Set(t, 0)
	r.delivered(t)
	t.Logf("jumps=%d restarts=%d records=%d reshards=%d expired=%d refused_signatures=%d", r.jumps, r.restarts, r.records, r.reshards, r.expired, r.refused)
	t.Logf("campaign=clocks runs=%d wrong=0", runs)
}

// TestAServerThatStartsAheadDeletesNothing: a clock that is wrong at the start cannot be told from a long rest, so what it
// says has expired cannot be read; but it is there once the clock is right.
func TestAServerThatStartsAheadDeletesNothing(t *testing.T) {
	r := newClockRig(t)
	s := r.stream(t, "ahead", 1)
	s.puts(t)
	r.clock.Set(t, 2*aDay)
	r.Kill()
	r.Restart(t)
	_, rows := s.pick(t)
	require.Empty(t, rows)
	r.clock.Set(t, 0)
	s.all(t)
}

// clockRig is a server with a clock, a client that signs by it, and a pipeline.
type clockRig struct {
	*servetest.Server
	clock *servetest.Clock
	off   time.Duration // that signatures are off
	api   *kinesis.Client
	lake  string
	sent  int // to the pipeline

	jumps, restarts, records, reshards, expired, refused int
}

const toPipeline = "delivered"

func newClockRig(t *testing.T) *clockRig {
	t.Helper()
	servers.Need(t, "penstock with a clock of the test's")
	dir := t.TempDir()
	r := &clockRig{lake: filepath.Join(dir, "lake")}
	keys := filepath.Join(t.TempDir(), "credentials.yaml")
	key, err := iam.Generate(keys)
	require.NoError(t, err)
	pipeline := fmt.Sprintf("version: 1\nname: p\nsource: {stream: %s, decode: {json: {}}}\nbuffer: {max_age: 100ms}\nsink: {file: {path: %s, format: {ndjson: {}}}}\n", toPipeline, r.lake)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "p.yaml"), []byte(pipeline), 0o600))
	r.Server, r.clock = servetest.NewClocked(t, "--auth", keys, "--state-delay", "50ms", "--pipelines", dir)
	r.api = kinesis.New(kinesis.Options{
		BaseEndpoint: &r.Endpoint, Region: "us-east-1", RetryMaxAttempts: 1,
		Credentials: aws.AnonymousCredentials{},
		HTTPClient:  &http.Client{Transport: signing{r, aws.Credentials{AccessKeyID: key.AccessKey, SecretAccessKey: key.Secret.Reveal()}}},
	})
	return r
}

// signing signs requests anew, by the server's clock.
type signing struct {
	rig *clockRig
	key aws.Credentials
}

func (s signing) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.Header.Del("Authorization")
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(r.Context(), s.key, r, hex.EncodeToString(sum[:]), "kinesis", "us-east-1", s.rig.clock.Now().Add(s.rig.off)); err != nil {
		return nil, err
	}
	return http.DefaultTransport.RoundTrip(r)
}

// clockStream is a stream that a script is about.
type clockStream struct {
	*clockRig
	ordered
	rng      *rand.Rand
	iterator *string
	token    *string
	made     time.Time // of both, by the server's clock
}

// stream makes a stream and waits until it is there.
func (r *clockRig) stream(t *testing.T, name string, seed int) *clockStream {
	t.Helper()
	s := &clockStream{clockRig: r, ordered: ordered{sdk: r.api, name: name, acks: make([][]uint64, 1)}, rng: rand.New(rand.NewPCG(uint64(seed), 3))} //nolint:gosec // not negative
	_, err := r.api.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(2)})
	require.NoError(t, err)
	s.active(t, name)
	return s
}

// active waits until a stream is ACTIVE.
func (r *clockRig) active(t *testing.T, name string) {
	t.Helper()
	require.Eventually(t, func() bool {
		out, err := r.api.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: &name})
		return err == nil && out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive
	}, 30*time.Second, 10*time.Millisecond, "%s stays as it is", name)
}

// script does things to a stream while the clock jumps.
func (r *clockRig) script(t *testing.T, seed int) {
	t.Helper()
	r.clock.Set(t, 0)
	s := r.stream(t, fmt.Sprintf("clocks-%d", seed), seed)
	s.puts(t)
	for range 8 {
		s.jump(t)
		s.puts(t)
		s.split(t)
		s.held(t)
		s.signatures(t)
		s.since(t)
		s.all(t)
	}
	s.phases(t)
	_, err := r.api.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: &s.name})
	require.NoError(t, err)
}

// jump does something to the clock, or to the server. It is never started again while the clock is ahead: what is then past
// its retention cannot be read.
func (s *clockStream) jump(t *testing.T) {
	t.Helper()
	second := time.Duration(1+s.rng.IntN(90)) * time.Second
	s.jumps++
	switch s.rng.IntN(8) {
	case 0:
		s.clock.Set(t, aDay)
	case 1:
		s.clock.Set(t, -aDay)
	case 2, 3:
		s.clock.Set(t, s.clock.Offset()-second)
	case 4:
		s.clock.Set(t, s.clock.Offset()+second)
	case 5:
		s.clock.Stop(t)
	case 6:
		s.clock.Set(t, 0)
	case 7:
		if s.clock.Offset() <= 0 {
			s.Kill()
			s.Restart(t)
			s.restarts++
			s.active(t, s.name) // a clock that stepped back into a phase has a new process be in it again, no longer than it lasts
			s.active(t, toPipeline)
		}
	}
}

// puts puts a few records, and one for the pipeline.
func (s *clockStream) puts(t *testing.T) {
	t.Helper()
	n := len(s.acks[0])
	s.acks[0] = append(s.acks[0], make([]uint64, 1+s.rng.IntN(9))...)
	in := &kinesis.PutRecordsInput{StreamName: &s.name}
	for i := range s.acks[0][n:] {
		in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String(fmt.Sprint(s.rng.IntN(keysEach))), Data: fmt.Appendf(nil, "0 %d", n+i)})
	}
	out, err := s.sdk.PutRecords(t.Context(), in)
	require.NoError(t, err)
	require.Zero(t, *out.FailedRecordCount)
	for i, r := range out.Records {
		s.acks[0][n+i] = where(*r.ShardId, *r.SequenceNumber)
	}
	s.records += len(in.Records)
	_, err = s.sdk.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String(toPipeline), PartitionKey: aws.String("k"), Data: fmt.Appendf(nil, `{"n":%d}`, s.sent)})
	if code(err) == "ResourceNotFoundException" { // the first of all
		_, err = s.sdk.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String(toPipeline), ShardCount: aws.Int32(1)})
		require.NoError(t, err)
		s.active(t, toPipeline)
		return
	}
	require.NoError(t, err)
	s.sent++
}

// split splits or merges, one time in three.
func (s *clockStream) split(t *testing.T) {
	t.Helper()
	if s.rng.IntN(3) > 0 {
		return
	}
	require.NoError(t, reshard(t.Context(), s.sdk, s.name, 4, s.rng))
	s.reshards++
	s.active(t, s.name)
}

// held uses an iterator and a token that were made some jumps before.
func (s *clockStream) held(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	if s.iterator != nil {
		age := s.clock.Now().Sub(s.made)
		_, err := s.sdk.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: s.iterator})
		_, terr := s.sdk.ListShards(ctx, &kinesis.ListShardsInput{NextToken: s.token})
		switch {
		case (age - window).Abs() < 30*time.Second:
		case age > window:
			require.Equal(t, "ExpiredIteratorException", code(err), "%s old", age)
			require.Equal(t, "ExpiredNextTokenException", code(terr), "%s old", age)
			s.expired++
		default:
			require.NoError(t, err, "%s old", age)
			require.NoError(t, terr, "%s old", age)
		}
		if s.rng.IntN(2) == 0 {
			return
		}
	}
	list, err := s.sdk.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &s.name, MaxResults: aws.Int32(1)})
	require.NoError(t, err)
	s.token, s.made = list.NextToken, s.clock.Now()
	s.iterator, err = iterator(ctx, s.sdk, s.name, *list.Shards[0].ShardId)
	require.NoError(t, err)
}

// signatures signs by other clocks.
func (s *clockStream) signatures(t *testing.T) {
	t.Helper()
	defer func() { s.off = 0 }()
	for _, s.off = range []time.Duration{-aDay, -window - time.Minute, -window + time.Minute, window - time.Minute, window + time.Minute, aDay} {
		_, err := s.sdk.ListStreams(t.Context(), &kinesis.ListStreamsInput{})
		if s.off.Abs() < window {
			require.NoError(t, err, "signed by a clock that is off by %s", s.off)
			continue
		}
		require.Equal(t, "InvalidSignatureException", code(err), "signed by a clock that is off by %s", s.off)
		s.refused++
	}
}

// pick is a shard, with its first records.
func (s *clockStream) pick(t *testing.T) (shard *string, rows []types.Record) {
	t.Helper()
	list, err := shards(t.Context(), s.sdk, s.name)
	require.NoError(t, err)
	shard = list[s.rng.IntN(len(list))].ShardId
	return shard, s.from(t, kinesis.GetShardIteratorInput{ShardId: shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
}

func (s *clockStream) from(t *testing.T, in kinesis.GetShardIteratorInput) []types.Record {
	t.Helper()
	in.StreamName = &s.name
	it, err := s.sdk.GetShardIterator(t.Context(), &in)
	require.NoError(t, err)
	out, err := s.sdk.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator})
	require.NoError(t, err)
	return out.Records
}

// since reads from the time at which a record arrived.
func (s *clockStream) since(t *testing.T) {
	t.Helper()
	shard, rows := s.pick(t)
	if len(rows) == 0 {
		return
	}
	at := rows[s.rng.IntN(len(rows))].ApproximateArrivalTimestamp
	in := kinesis.GetShardIteratorInput{StreamName: &s.name, ShardId: shard, ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: at}
	switch ahead := at.Sub(s.clock.Now()); {
	case ahead > time.Second:
		_, err := s.sdk.GetShardIterator(t.Context(), &in)
		require.Equal(t, "InvalidArgumentException", code(err), "%s ahead", ahead)
	case ahead < -time.Second:
		first := slices.IndexFunc(rows, func(r types.Record) bool { return !r.ApproximateArrivalTimestamp.Before(*at) })
		require.Equal(t, *rows[first].SequenceNumber, *s.from(t, in)[0].SequenceNumber)
	}
}

// all reads the stream from its beginning.
func (s *clockStream) all(t *testing.T) {
	t.Helper()
	s.follower = follower{reads: [][]uint64{make([]uint64, len(s.acks[0]))}}
	s.over.Store(true)
	g, ctx := errgroup.WithContext(t.Context())
	s.follow(ctx, g, "shardId-000000000000")
	s.follow(ctx, g, "shardId-000000000001")
	require.NoError(t, g.Wait())
	missing, _ := s.compare()
	require.Zero(t, missing, "missing")
	require.Zero(t, s.extra, "extra")
	require.Zero(t, s.inversions, "inversions")
}

// phases has the clock step back while a stream and a consumer pass through phases, and a consumer be made anew before it
// was made first.
func (s *clockStream) phases(t *testing.T) {
	t.Helper()
	ctx, sdk := t.Context(), s.sdk
	name := s.name + "-side"
	s.clock.Set(t, aDay)
	_, err := sdk.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(1)})
	require.NoError(t, err)
	s.clock.Set(t, 0)
	s.active(t, name)
	stream := aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/" + name)
	arns := map[string]bool{}
	for _, offset := range []time.Duration{0, -aDay, -2 * aDay} {
		made, err := sdk.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: stream, ConsumerName: aws.String("c")})
		require.NoError(t, err)
		arns[*made.Consumer.ConsumerARN] = true
		s.clock.Set(t, offset-time.Hour)
		_, err = sdk.DeregisterStreamConsumer(ctx, &kinesis.DeregisterStreamConsumerInput{StreamARN: stream, ConsumerName: aws.String("c")})
		require.NoError(t, err)
		s.clock.Set(t, offset-2*time.Hour)
		require.Eventually(t, func() bool {
			out, err := sdk.ListStreamConsumers(ctx, &kinesis.ListStreamConsumersInput{StreamARN: stream})
			return err == nil && len(out.Consumers) == 0
		}, 30*time.Second, 10*time.Millisecond, "a consumer stays")
	}
	require.Len(t, arns, 3)
	_, err = sdk.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: &name})
	require.NoError(t, err)
	s.clock.Set(t, -3*aDay)
	require.Eventually(t, func() bool {
		_, err := sdk.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &name})
		return code(err) == "ResourceNotFoundException"
	}, 30*time.Second, 10*time.Millisecond, "the stream stays")
	s.clock.Set(t, 0)
}

// delivered waits until the pipeline has delivered each record, once.
func (r *clockRig) delivered(t *testing.T) {
	t.Helper()
	var got []int
	require.Eventually(t, func() bool {
		got = got[:0]
		files, err := filepath.Glob(filepath.Join(r.lake, "*.ndjson"))
		require.NoError(t, err)
		for _, f := range files {
			text, err := os.ReadFile(f) //nolint:gosec // a temporary folder
			require.NoError(t, err)
			for line := range bytes.Lines(text) {
				var row struct{ N int }
				require.NoError(t, json.Unmarshal(line, &row))
				got = append(got, row.N)
			}
		}
		return len(got) >= r.sent
	}, 2*time.Minute, 50*time.Millisecond, "%d of %d rows came", len(got), r.sent)
	slices.Sort(got)
	for i, n := range got {
		require.Equal(t, i, n)
	}
	require.Len(t, got, r.sent)
}
