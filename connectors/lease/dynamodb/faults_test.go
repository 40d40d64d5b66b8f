package dynamodb_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/lease/dynamodb"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/integration/servers"
)

// way is a network between a store and its server, which answers requests of an operation itself, a few times.
type way struct {
	*httptest.Server
	mu        sync.Mutex // guards what follows
	operation string
	code      string // empty: the server's answer is lost
	times     int
}

func newWay(t *testing.T, endpoint string) *way {
	t.Helper()
	u, err := url.Parse(endpoint)
	require.NoError(t, err)
	w, proxy := &way{}, httputil.NewSingleHostReverseProxy(u)
	w.Server = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		code, hit := w.hit(in.Header.Get("X-Amz-Target"))
		switch {
		case !hit:
			proxy.ServeHTTP(out, in)
		case code == "":
			proxy.ServeHTTP(httptest.NewRecorder(), in)
			panic(http.ErrAbortHandler)
		default:
			out.Header().Set("Content-Type", "application/x-amz-json-1.0")
			out.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(out, `{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"as the test says"}`, code) //nolint:errcheck // the client sees it
		}
	}))
	t.Cleanup(w.Close)
	return w
}

func (w *way) hit(target string) (code string, hit bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.times == 0 || !strings.HasSuffix(target, "."+w.operation) {
		return "", false
	}
	w.times--
	return w.code, true
}

func (w *way) answer(operation, code string, times int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.operation, w.code, w.times = operation, code, times
}

func TestWhatTheServerAnswers(t *testing.T) {
	way := newWay(t, servers.DynamoDBFor(t).Endpoint)
	var waited atomic.Int32
	store, err := dynamodb.Open(t.Context(), dynamodb.Config{
		Client: client(way.URL), Table: "app", Pipeline: "p", Unreachable: func(int, time.Duration, error) { waited.Add(1) },
	})
	require.NoError(t, err)
	key := func(n int) string { return fmt.Sprint("pipelines/p/", n) }
	commit := func(n int) error {
		_, err := store.Commit(t.Context(), control.Txn{
			Checks: []control.Check{{Key: key(n)}, {Key: key(n + 1)}}, Writes: []control.Write{{Key: key(n), Value: []byte("x")}},
		})
		return err
	}
	there := func(n int) bool {
		_, ok, err := store.Get(t.Context(), key(n))
		require.NoError(t, err)
		return ok
	}
	const write = "TransactWriteItems"
	way.answer(write, "ThrottlingException", 3)
	require.NoError(t, commit(10), "it is tried again")
	way.answer(write, "ThrottlingException", 100)
	require.ErrorIs(t, commit(20), core.ErrThrottled)
	way.answer(write, "", 1)
	require.ErrorIs(t, commit(30), control.ErrUnknown)
	require.True(t, there(30), "the answer alone was lost")
	require.ErrorIs(t, commit(30), control.ErrConflict)
	way.answer(write, "InternalServerError", 1)
	require.ErrorIs(t, commit(40), control.ErrUnknown)
	way.answer(write, "AccessDeniedException", 1)
	err = commit(50)
	require.True(t, connectors.IsPermanent(err), "%v", err)
	require.ErrorContains(t, err, "allow dynamodb:")
	require.NotErrorIs(t, err, control.ErrUnknown)

	waited.Store(0)
	way.answer("GetItem", "ProvisionedThroughputExceededException", 2)
	require.True(t, there(30))
	require.Equal(t, int32(2), waited.Load(), "reading waits")
	way.answer("Query", "AccessDeniedException", 1)
	_, err = store.List(t.Context(), "pipelines/p/")
	require.True(t, connectors.IsPermanent(err), "%v", err)
	way.answer("DescribeTable", "UnrecognizedClientException", 1)
	_, err = dynamodb.Open(t.Context(), dynamodb.Config{Client: client(way.URL), Table: "app", Pipeline: "p"})
	require.ErrorContains(t, err, "does not know the access key")
}
