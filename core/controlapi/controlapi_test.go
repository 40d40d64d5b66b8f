package controlapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/awsapi/access"
	"github.com/penstock/penstock/core/awsapi/iam"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/core/vfs"
)

// store is a control store over an engine in memory.
func store(t *testing.T) *control.Store {
	t.Helper()
	e, err := local.Open(vfs.NewMem(), "/log", local.Config{})
	require.NoError(t, err)
	s, err := control.Open(t.Context(), e, "control", "test", control.Config{})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.NoError(t, e.Close())
	})
	return s
}

// serve serves a store to whom a guard lets through; around stands before the server. May be nil.
func serve(t *testing.T, s *control.Store, g awsapi.Guard, around func(http.Handler) http.Handler) string {
	t.Helper()
	var h http.Handler = awsapi.New(Service(s, Config{"us-east-1", "000000000000"}), awsapi.Config{Guard: g})
	if around != nil {
		h = around(h)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func client(url, pipeline string) *Client {
	return NewClient(ClientConfig{Endpoint: url, Region: "us-east-1"}, pipeline)
}

func put(key, value string) control.Txn {
	return control.Txn{Checks: []control.Check{{Key: key}}, Writes: []control.Write{{Key: key, Value: []byte(value)}}}
}

func TestRowsAreReadAndWrittenAsInTheStore(t *testing.T) {
	s := store(t)
	c := client(serve(t, s, awsapi.Anyone, nil), "p")

	_, ok, err := c.Get(t.Context(), "pipelines/p/a")
	require.NoError(t, err)
	require.False(t, ok)

	version, err := c.Commit(t.Context(), put("pipelines/p/a", "one"))
	require.NoError(t, err)
	got, ok, err := c.Get(t.Context(), "pipelines/p/a")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, control.Row{Key: "pipelines/p/a", Value: []byte("one"), Version: version}, got)
	own, _, err := s.Get(t.Context(), "pipelines/p/a")
	require.NoError(t, err)
	require.Equal(t, own, got)

	_, err = c.Commit(t.Context(), put("pipelines/p/a", "two"))
	require.ErrorIs(t, err, control.ErrConflict)
	require.NotErrorIs(t, err, control.ErrUnknown)

	_, err = c.Commit(t.Context(), put("pipelines/p/b", ""))
	require.NoError(t, err)
	_, ok, err = c.Get(t.Context(), "pipelines/p/b")
	require.NoError(t, err)
	require.True(t, ok, "an empty value is no deletion")

	_, err = c.Commit(t.Context(), control.Txn{
		Checks: []control.Check{{Key: "pipelines/p/a", Version: version}},
		Writes: []control.Write{{Key: "pipelines/p/a"}, {Key: "pins/p/i/1", Value: []byte("[]")}},
	})
	require.NoError(t, err)
	rows, err := c.List(t.Context(), "pipelines/p/")
	require.NoError(t, err)
	require.Len(t, rows, 1)
	require.Equal(t, "pipelines/p/b", rows[0].Key)
}

func TestAListOfManyRowsIsWholeAndInOrder(t *testing.T) {
	s := store(t)
	c := client(serve(t, s, awsapi.Anyone, nil), "p")
	var want []control.Row
	for i := range 30 {
		key := fmt.Sprintf("pipelines/p/%03d", i)
		value := bytes.Repeat([]byte{byte(i)}, 200<<10)
		version, err := s.Commit(t.Context(), control.Txn{Writes: []control.Write{{Key: key, Value: value}}})
		require.NoError(t, err)
		want = append(want, control.Row{Key: key, Value: value, Version: version})
	}
	got, err := c.List(t.Context(), "pipelines/p/")
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestPipelinesAreListedByName(t *testing.T) {
	s := store(t)
	var txn control.Txn
	var want []string
	for i := range maxNames + 5 {
		name := fmt.Sprintf("p%04d", i)
		want = append(want, name)
		txn.Writes = append(txn.Writes, control.Write{Key: "pipelines/" + name + "/state", Value: []byte("{}")}, control.Write{Key: "pipelines/" + name + "/other", Value: []byte("{}")})
	}
	_, err := s.Commit(t.Context(), txn)
	require.NoError(t, err)
	got, err := client(serve(t, s, awsapi.Anyone, nil), "").Pipelines(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestOnlyThePipelinesOwnRowsAreReached(t *testing.T) {
	s := store(t)
	c := client(serve(t, s, awsapi.Anyone, nil), "p")
	for _, key := range []string{"pipelines/q/a", "pipelines/p", "pipelines/pp/a", "streams/x", "pins/q/1", "pins/p"} {
		_, _, err := c.Get(t.Context(), key)
		require.ErrorIs(t, err, ErrRefused, key)
		_, err = c.List(t.Context(), key)
		require.ErrorIs(t, err, ErrRefused, key)
		_, err = c.Commit(t.Context(), put(key, "x"))
		require.ErrorIs(t, err, ErrRefused, key)
		_, err = c.Commit(t.Context(), control.Txn{Checks: []control.Check{{Key: key}}, Writes: []control.Write{{Key: "pipelines/p/a", Value: []byte("x")}}})
		require.ErrorIs(t, err, ErrRefused, key)
	}
	rows, err := s.List(t.Context(), "")
	require.NoError(t, err)
	require.Empty(t, rows)
}

func TestASpecIsWhatItsNameSays(t *testing.T) {
	s := store(t)
	c := client(serve(t, s, awsapi.Anyone, nil), "p")
	sum := sha256.Sum256([]byte("version: 1\n"))
	key := "specs/" + hex.EncodeToString(sum[:16])
	_, err := c.Commit(t.Context(), control.Txn{Writes: []control.Write{{Key: key, Value: []byte("version: 1\n")}}})
	require.NoError(t, err)
	for _, w := range []control.Write{{Key: key, Value: []byte("version: 2\n")}, {Key: key}, {Key: "specs/x", Value: []byte("version: 1\n")}} {
		_, err := c.Commit(t.Context(), control.Txn{Writes: []control.Write{w}})
		require.ErrorIs(t, err, ErrRefused)
	}
	got, _, err := s.Get(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, "version: 1\n", string(got.Value))
}

// TestPoliciesSayWhoMayRunWhat lets one key at one pipeline.
func TestPoliciesSayWhoMayRunWhat(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`- access_key: WORKERSKEY0000000000
  secret_key: secretsecretsecretsecretsecret
  policy:
    Version: "2012-10-17"
    Statement:
      - {Effect: Allow, Action: "penstock:*", Resource: "arn:aws:penstock:us-east-1:000000000000:pipeline/p"}
`), 0o600))
	keys, err := iam.Open(file)
	require.NoError(t, err)
	guard := access.New(keys, access.Config{Region: "us-east-1", Service: Name, Account: "000000000000"})
	url := serve(t, store(t), guard, nil)
	as := func(key, secret, pipeline string) error {
		c := NewClient(ClientConfig{Endpoint: url, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider(key, secret, "")}, pipeline)
		_, err := c.Commit(t.Context(), put("pipelines/"+pipeline+"/a", "x"))
		return err
	}
	require.NoError(t, as("WORKERSKEY0000000000", "secretsecretsecretsecretsecret", "p"))
	require.ErrorContains(t, as("WORKERSKEY0000000000", "secretsecretsecretsecretsecret", "q"), "AccessDeniedException")
	require.ErrorIs(t, as("WORKERSKEY0000000000", "anothersecretanothersecret", "p"), ErrRefused)
	_, err = client(url, "p").Commit(t.Context(), put("pipelines/p/b", "x"))
	require.ErrorIs(t, err, ErrRefused, "nobody signed it")
}

// TestALostAnswerIsAnUnknownOutcome: the commit happened, and the client cannot know.
func TestALostAnswerIsAnUnknownOutcome(t *testing.T) {
	s := store(t)
	var lose atomic.Bool
	c := client(serve(t, s, awsapi.Anyone, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !lose.Load() {
				next.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		})
	}), "p")
	lose.Store(true)
	_, err := c.Commit(t.Context(), put("pipelines/p/a", "x"))
	require.ErrorIs(t, err, control.ErrUnknown)
	lose.Store(false)
	_, ok, err := c.Get(t.Context(), "pipelines/p/a")
	require.NoError(t, err)
	require.True(t, ok)
}

// TestReadingWaitsForTheServer: a server that starts again is no reason to end a pipeline.
func TestReadingWaitsForTheServer(t *testing.T) {
	s := store(t)
	_, err := s.Commit(t.Context(), put("pipelines/p/a", "x"))
	require.NoError(t, err)
	var away atomic.Int32
	away.Store(3)
	url := serve(t, s, awsapi.Anyone, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if away.Add(-1) >= 0 {
				http.Error(w, "starting", http.StatusBadGateway)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	tries := 0
	c := NewClient(ClientConfig{Endpoint: url, Unreachable: func(int, time.Duration, error) { tries++ }}, "p")
	_, ok, err := c.Get(t.Context(), "pipelines/p/a")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, 3, tries)

	gone := NewClient(ClientConfig{Endpoint: "http://127.0.0.1:1"}, "p")
	ctx, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	_, _, err = gone.Get(ctx, "pipelines/p/a")
	require.Error(t, err)
	_, err = gone.Commit(t.Context(), put("pipelines/p/a", "x"))
	require.ErrorIs(t, err, control.ErrUnknown)
}
