package kinesis

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsapi/wholebody"
	"github.com/penstock/penstock/core/shardlog"
)

// direct hands requests to a handler, so that no network is waited for where time is not real.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	r.RequestURI = r.URL.RequestURI()
	d.ServeHTTP(w, r)
	out := w.Result()
	out.Request = r
	return out, nil
}

// bubble runs a test where a day is a moment, with a source that polls.
func bubble(t *testing.T, f func(t *testing.T, s *server, open func() *Source)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		endpoint := "http://kinesis"
		s.Client = kinesis.New(kinesis.Options{
			BaseEndpoint: &endpoint, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
			HTTPClient: &http.Client{Transport: wholebody.Transport{Next: direct{s}}},
		})
		s.create(t, "clicks", 1)
		f(t, s, func() *Source {
			src, err := openWith(t.Context(), s.Client, Config{Stream: "clicks"}, Options{})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, src.Close()) })
			return src
		})
	})
}

func resolve(t *testing.T, src *Source, kind connectors.StartKind) core.SequenceNumber {
	t.Helper()
	seq, err := src.Resolve(t.Context(), first, connectors.Start{Kind: kind})
	require.NoError(t, err)
	return seq
}

func TestWhatExpiredIsAGap(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, s *server, src func() *Source) {
		s.put(t, "clicks", 0, 10)
		begin := resolve(t, src(), "")
		r := open(t, src().Read, first, begin)
		read := r.next(t, 10)
		require.Equal(t, numbered(0, 10), read)
		tenth := r.last
		time.Sleep(12 * time.Hour)
		s.put(t, "clicks", 10, 20)
		require.Equal(t, numbered(10, 20), r.next(t, 10), "an iterator that expired is replaced")
		twentieth := r.last

		time.Sleep(13 * time.Hour) // the first ten are gone, and with them the records that positions name
		for _, from := range []core.SequenceNumber{begin, tenth} {
			_, err := open(t, src().Read, first, from).rest(t)
			require.ErrorIs(t, err, shardlog.ErrTrimmed)
			gap, err := src().Gap(t.Context(), first, from)
			require.NoError(t, err)
			require.Equal(t, connectors.Gap{From: from, Through: plus(r.lastOf(t, src(), 0), -1)}, gap)
			require.Equal(t, numbered(10, 20), open(t, src().Read, first, gap.Through).next(t, 10), "it goes on behind the gap")
			require.Equal(t, numbered(10, 20), open(t, src().Reread, first, from).next(t, 10), "who reads again counts what there is")
		}
		gap, err := src().Gap(t.Context(), first, twentieth)
		require.NoError(t, err)
		require.Empty(t, gap.Through)

		time.Sleep(24 * time.Hour) // now all are
		for _, from := range []core.SequenceNumber{begin, tenth, twentieth} {
			gap, err := src().Gap(t.Context(), first, from)
			require.NoError(t, err)
			require.Empty(t, gap.Through, "there is nothing to go on at yet")
		}
		s.put(t, "clicks", 20, 25)
		gap, err = src().Gap(t.Context(), first, twentieth)
		require.NoError(t, err)
		require.Equal(t, numbered(20, 25), open(t, src().Read, first, gap.Through).next(t, 5))
	})
}

// lastOf is the number of the n-th record that is there.
func (r *reading) lastOf(t *testing.T, src *Source, n int) core.SequenceNumber {
	t.Helper()
	again, err := src.Reread(t.Context(), first, "")
	require.NoError(t, err)
	b, err := again.Next(t.Context())
	require.NoError(t, err)
	defer b.Release()
	return b.SequenceOf(n)
}

// TestAServerThatRefusesNumbersOfExpiredRecords is no reason to stop either.
func TestAServerThatRefusesNumbersOfExpiredRecords(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, s *server, src func() *Source) {
		s.put(t, "clicks", 0, 10)
		r := open(t, src().Read, first, resolve(t, src(), ""))
		r.next(t, 10)
		time.Sleep(30 * time.Hour)
		s.put(t, "clicks", 10, 12)
		s.spoil = func(op string, _ int64, w http.ResponseWriter, r *http.Request) bool {
			body, err := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			return err == nil && op == "GetShardIterator" && bytes.Contains(body, []byte("AT_SEQUENCE_NUMBER")) && answer(w, 400, codeInvalid)
		}
		_, err := open(t, src().Read, first, r.last).rest(t)
		require.ErrorIs(t, err, shardlog.ErrTrimmed)
		gap, err := src().Gap(t.Context(), first, r.last)
		require.NoError(t, err)
		require.NotEmpty(t, gap.Through)
		_, err = src().Gap(t.Context(), first, "12")
		require.True(t, connectors.IsPermanent(err), "a number that is not the shard's")
	})
}

func TestStartsOfAnOldShardThatIsEmpty(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, s *server, src func() *Source) {
		require.Equal(t, core.SequenceNumber(""), resolve(t, src(), ""), "nothing of it can have expired")
		s.put(t, "clicks", 0, 1)
		time.Sleep(30 * time.Hour)
		horizon, latest := resolve(t, src(), ""), resolve(t, src(), connectors.StartLatest)
		require.Equal(t, atTime, parsePosition(horizon).kind)
		require.Equal(t, horizon, latest)
		s.put(t, "clicks", 1, 3)
		for _, from := range []core.SequenceNumber{horizon, latest} {
			gap, err := src().Gap(t.Context(), first, from)
			require.NoError(t, err)
			require.Empty(t, gap.Through)
			require.Equal(t, numbered(1, 3), open(t, src().Read, first, from).next(t, 2))
		}
		gap, err := src().Gap(t.Context(), first, "")
		require.NoError(t, err)
		require.NotEmpty(t, gap.Through, "of its beginning something may have")

		time.Sleep(30 * time.Hour)
		s.put(t, "clicks", 3, 4)
		gap, err = src().Gap(t.Context(), first, horizon)
		require.NoError(t, err)
		require.Equal(t, numbered(3, 4), open(t, src().Read, first, gap.Through).next(t, 1), "and now of what came since")
	})
}

func TestTheTipIsAskedEverySecondAtMost(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, s *server, src func() *Source) {
		var reads atomic.Int64
		s.spoil = func(op string, _ int64, _ http.ResponseWriter, _ *http.Request) bool {
			if op == "GetRecords" {
				reads.Add(1)
			}
			return false
		}
		r := open(t, src().Read, first, "")
		type next struct {
			b   core.Batch
			err error
		}
		done := make(chan next)
		go func() {
			b, err := r.Next(t.Context())
			done <- next{b, err}
		}()
		time.Sleep(30 * time.Second)
		require.InDelta(t, 32, reads.Load(), 3)
		s.put(t, "clicks", 0, 1)
		n := <-done
		require.NoError(t, n.err)
		n.b.Release()
	})
}

func TestAShardIsReadFiveTimesASecondAtMost(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, s *server, src func() *Source) {
		var at []time.Time
		s.spoil = func(op string, _ int64, _ http.ResponseWriter, _ *http.Request) bool {
			if op == "GetRecords" {
				at = append(at, time.Now())
			}
			return false
		}
		source := src()
		for range 20 {
			resolve(t, source, "")
		}
		require.Len(t, at, 20)
		for i := range at[readsASecond:] {
			require.GreaterOrEqual(t, at[i+readsASecond].Sub(at[i]), time.Second)
		}
	})
}
