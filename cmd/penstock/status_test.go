//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/stream"
)

// statusOf is what /status says of the only pipeline.
func statusOf(t *testing.T, address string) (pipelineStatus, string) {
	t.Helper()
	code, body := get(t, address, "/status")
	if code != http.StatusOK {
		return pipelineStatus{}, body // it does not listen yet
	}
	var all struct{ Pipelines []pipelineStatus }
	require.NoError(t, json.Unmarshal([]byte(body), &all), body)
	if len(all.Pipelines) == 0 {
		return pipelineStatus{}, body
	}
	require.Len(t, all.Pipelines, 1)
	return all.Pipelines[0], body
}

func TestAnOutageOfTheDestinationIsTold(t *testing.T) {
	dir := t.TempDir()
	data, file, address := filepath.Join(dir, "data"), filepath.Join(dir, "p.yaml"), freeAddress(t)
	newStream(t, data)
	store, _ := newStore(t)
	var down atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			http.Error(w, "out of order", http.StatusServiceUnavailable)
			return
		}
		store.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	t.Setenv("LAKE_ENDPOINT", server.URL)
	require.NoError(t, os.WriteFile(file, []byte(`version: 1
name: p
source: {stream: clicks, decode: {json: {}}}
buffer: {max_age: 100ms}
sink: {s3: {endpoint: '${LAKE_ENDPOINT}', bucket: lake, region: us-east-1, access_key: a, secret_key: '${SECRET:-s3cr3t-canary}', format: {ndjson: {}}}}
`), 0o600))
	down.Store(true)
	began := time.Now()
	b := begin(t, "run", file, "--data", data, "--admin", address)
	var p pipelineStatus
	var body string
	becomes := func(state string) {
		t.Helper()
		require.Eventually(t, func() bool { p, body = statusOf(t, address); return p.State == state }, 60*time.Second, 50*time.Millisecond, "%s, not %s: %s", b.said(), state, body)
		code, _ := get(t, address, "/healthz")
		require.Equal(t, http.StatusOK, code, "to start it again would not help")
		code, _ = get(t, address, "/readyz")
		require.Equal(t, http.StatusOK, code)
	}
	outage := func(since time.Time) {
		t.Helper()
		becomes(stateRetrying)
		require.Equal(t, "p", p.Pipeline)
		require.NotEmpty(t, p.Retrying)
		r := p.Retrying[0]
		require.NotEmpty(t, r.Step)
		require.Positive(t, r.Attempts)
		require.WithinRange(t, r.Since, since, time.Now())
		require.NotEmpty(t, r.Error)
		require.NotEmpty(t, p.Error)
		require.NotContains(t, body, "s3cr3t-canary")
		require.NotContains(t, body, strings.TrimPrefix(server.URL, "http://"))
	}
	outage(began)
	require.Equal(t, "reach the destination", p.Retrying[0].Step)
	down.Store(false)
	becomes(stateRunning)
	require.Empty(t, p.Retrying)
	require.Empty(t, p.Error)

	down.Store(true)
	again := time.Now()
	put(t, data, 0, 100)
	outage(again)
	down.Store(false)
	becomes(stateRunning)
	require.Eventually(t, func() bool { return len(store.numbers(t)) == 100 }, 30*time.Second, 50*time.Millisecond)
	require.Equal(t, exitOK, b.end(), b.said())
}

func TestRawOutputIsWrittenAsPeopleAndAWSWriteIt(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	whole := map[string]any{"start": "0", "end": "340282366920938463463374607431768211455"}
	one := func(args ...string) map[string]any {
		t.Helper()
		return result[map[string]any](t, append(args, "--data", data)...)
	}
	for _, shown := range []map[string]any{
		one("streams", "create", "s", "--retention", "36h"), one("streams", "describe", "s"),
		result[[]map[string]any](t, "streams", "list", "--data", data)[0],
	} {
		require.Equal(t, "36h0m0s", shown["retention"])
		require.Equal(t, whole, shown["shards"].([]any)[0].(map[string]any)["range"])
	}
	require.Equal(t, "48h0m0s", one("streams", "retention", "s", "--keep", "48h")["retention"])
	children := result[[]map[string]any](t, "streams", "split", "s", "0", "--data", data)
	require.Equal(t, map[string]any{"start": "0", "end": "170141183460469231731687303715884105727"}, children[0]["range"])
	require.Equal(t, whole, one("streams", "merge", "s", "1", "2")["range"])

	// What is stored is as it was.
	var row string
	for _, r := range rowsOf(t, data) {
		if r.Key == "streams/s" {
			row = string(r.Value)
		}
	}
	var info stream.Info
	require.NoError(t, json.Unmarshal([]byte(row), &info))
	require.Equal(t, 48*time.Hour, info.Retention)
	require.Contains(t, row, fmt.Sprintf(`"retention":%d`, 48*time.Hour))
}
