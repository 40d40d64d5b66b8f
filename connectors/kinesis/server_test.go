package kinesis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/awsclient"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/kinesisapi"
	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/core/vfs"
)

// server is Penstock's API over an engine in memory, whose answers a test can spoil.
type server struct {
	*kinesis.Client
	http.Handler
	streams *stream.Store
	url     string
	n       atomic.Int64
	spoil   func(op string, n int64, w http.ResponseWriter, r *http.Request) bool // true: it answered
}

func newServer(t *testing.T) *server {
	t.Helper()
	e, err := local.Open(vfs.NewMem(), "/log", local.Config{})
	require.NoError(t, err)
	c, err := control.Open(t.Context(), e, "control", "test", control.Config{})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, c.Close())
		require.NoError(t, e.Close())
	})
	s := &server{streams: stream.NewStore(e, c, "test")}
	api, err := kinesisapi.New(t.Context(), s.streams, c, kinesisapi.Config{Delay: -1})
	require.NoError(t, err)
	s.Handler = awsapi.New(api.Service(), awsapi.Config{Guard: awsapi.Anyone})
	return s
}

// ServeHTTP answers as the API does, unless the answer is spoilt.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if s.spoil != nil && s.spoil(op, s.n.Add(1), w, r) {
		return
	}
	s.Handler.ServeHTTP(w, r)
}

// listen makes the server one that listens.
func (s *server) listen(t *testing.T) *server {
	t.Helper()
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	s.url = h.URL
	client, err := NewClient(t.Context(), s.config("any", "polling"))
	require.NoError(t, err)
	s.Client = client
	return s
}

func (s *server) config(stream, mode string) Config {
	c := Config{Stream: stream, Endpoint: s.url, Mode: mode, Identity: awsclient.Identity{AccessKey: "key", SecretKey: core.NewSecret("secret")}}
	if mode == fanOut {
		c.Consumer = "tester"
	}
	return c
}

func (s *server) create(t *testing.T, name string, shards int32) {
	t.Helper()
	_, err := s.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &name, ShardCount: &shards})
	require.NoError(t, err)
}

func (s *server) put(t *testing.T, name string, from, to int) {
	t.Helper()
	for ; from < to; from += 500 {
		in := &kinesis.PutRecordsInput{StreamName: &name}
		for i := from; i < min(to, from+500); i++ {
			in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: fmt.Append(nil, i), PartitionKey: aws.String(fmt.Sprint("key-", i%7))})
		}
		out, err := s.PutRecords(t.Context(), in)
		require.NoError(t, err)
		require.Zero(t, *out.FailedRecordCount)
	}
}

func (s *server) source(t *testing.T, stream, mode string, events *connectors.Events) *Source {
	t.Helper()
	src, err := Open(t.Context(), s.config(stream, mode), Options{Events: events})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, src.Close()) })
	return src
}

// answer is an error as the API has them.
func answer(w http.ResponseWriter, status int, code string) bool {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"__type":%q,"message":"spoilt"}`, code)
	return true
}

// reading reads a shard in a test.
type reading struct {
	connectors.Reader
	last core.SequenceNumber
	got  []string
}

func open(t *testing.T, read func(context.Context, core.ShardID, core.SequenceNumber) (connectors.Reader, error), id core.ShardID, after core.SequenceNumber) *reading {
	t.Helper()
	r, err := read(t.Context(), id, after)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return &reading{Reader: r, last: after}
}

// next reads so many records more.
func (r *reading) next(t *testing.T, n int) []string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for len(r.got) < n {
		b, err := r.Next(ctx)
		require.NoError(t, err)
		r.add(b)
	}
	out := r.got[:n]
	r.got = r.got[n:]
	return out
}

// rest reads to the end, and returns the error that it is.
func (r *reading) rest(t *testing.T) ([]string, error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for {
		b, err := r.Next(ctx)
		if err != nil {
			out := r.got
			r.got = nil
			return out, err
		}
		r.add(b)
	}
}

func (r *reading) add(b core.Batch) {
	data := b.Rows.Column(core.HiddenColumns)
	for i := range int(b.NumRows()) {
		r.got = append(r.got, string(data.(interface{ Value(int) []byte }).Value(i)))
	}
	r.last = b.Span.Last
	b.Release()
}

func numbered(from, to int) []string {
	out := []string{}
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprint(i))
	}
	return out
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }
