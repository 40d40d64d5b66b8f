package dynamodb_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/sinktest"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/integration/tabletest"
	"github.com/penstock/penstock/sinks/dynamodb"
)

// fault is what a proxy does to a request instead of passing it on.
type fault func(w http.ResponseWriter, r *http.Request, pass http.Handler)

func says(status int, code string) fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"injected"}`, code)
	}
}

var faults = map[string]fault{
	"throttled": says(http.StatusBadRequest, "ProvisionedThroughputExceededException"),
	"broken":    says(http.StatusInternalServerError, "InternalServerError"),
	"no gateway": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		http.Error(w, "<html>bad gateway", http.StatusBadGateway)
	},
	"slow": func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		time.Sleep(100 * time.Millisecond)
		pass.ServeHTTP(w, r)
	},
	"cut off": func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.CopyN(io.Discard, r.Body, 20)
		panic(http.ErrAbortHandler)
	},
	"done, but the answer is lost": func(_ http.ResponseWriter, r *http.Request, pass http.Handler) {
		pass.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	},
	"done, but the answer is cut off": func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		said := httptest.NewRecorder()
		pass.ServeHTTP(said, r)
		w.Header().Set("Content-Length", fmt.Sprint(said.Body.Len()+10))
		w.WriteHeader(said.Code)
		_, _ = w.Write(said.Body.Bytes())
		panic(http.ErrAbortHandler)
	},
	"partly done": partly,
}

// partly passes every other item of a batch on, and says of the rest that it was not done.
func partly(w http.ResponseWriter, r *http.Request, pass http.Handler) {
	body, _ := io.ReadAll(r.Body)
	var in struct{ RequestItems map[string][]json.RawMessage }
	if err := json.Unmarshal(body, &in); err != nil || len(in.RequestItems) == 0 { // no batch
		r.Body = io.NopCloser(bytes.NewReader(body))
		pass.ServeHTTP(w, r)
		return
	}
	left := map[string][]json.RawMessage{}
	for table, items := range in.RequestItems {
		n := (len(items) + 1) / 2
		in.RequestItems[table] = items[:n]
		if len(items) > n {
			left[table] = items[n:]
		}
	}
	body, _ = json.Marshal(in)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	said := httptest.NewRecorder()
	if pass.ServeHTTP(said, r); said.Code == http.StatusOK {
		_ = json.NewEncoder(w).Encode(map[string]any{"UnprocessedItems": left})
		return
	}
	w.WriteHeader(said.Code)
	_, _ = w.Write(said.Body.Bytes())
}

// sick is a proxy that spoils one of so many writes.
type sick struct {
	*httptest.Server
	every int

	mu   sync.Mutex // guards what follows
	rng  *rand.Rand
	done map[string]int
}

func newSick(t *testing.T, to string, every int) *sick {
	t.Helper()
	target, err := url.Parse(to)
	require.NoError(t, err)
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	p := &sick{every: every, rng: rand.New(rand.NewPCG(3, 4)), done: map[string]int{}} //nolint:gosec // repeatable
	names := make([]string, 0, len(faults))
	for name := range faults {
		names = append(names, name)
	}
	slices.Sort(names)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		name := ""
		if p.rng.IntN(p.every) == 0 {
			name = names[p.rng.IntN(len(names))]
		}
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".BatchWriteItem") && p.rng.IntN(2) == 0 {
			name = "partly done"
		}
		if name != "" {
			p.done[name]++
		}
		p.mu.Unlock()
		if name == "" {
			pass.ServeHTTP(w, r)
			return
		}
		faults[name](w, r, pass)
	}))
	t.Cleanup(p.Close)
	return p
}

// TestATableIsTheFoldOfTheLogWhateverTheServerDoes publishes each plan by two workers at once through a proxy that spoils
// many requests, and old plans again by workers that were given up.
func TestATableIsTheFoldOfTheLogWhateverTheServerDoes(t *testing.T) {
	server := servers.DynaliteFor(t)
	for _, cfg := range []dynamodb.Config{
		{Mode: "put", Key: dynamodb.Key{Partition: "k"}, DeleteWhen: "gone", Sets: []string{"tags"}},
		{Mode: "update", Key: dynamodb.Key{Partition: "k"}, DeleteWhen: "gone", Sets: []string{"tags"}, Counters: []string{"n"}},
		{Mode: "append", Key: dynamodb.Key{Partition: "k", Sort: "_id"}, Sets: []string{"tags"}},
	} {
		t.Run(cfg.Mode, func(t *testing.T) {
			proxy := newSick(t, server.Endpoint, map[string]int{"put": 4, "update": 4, "append": 2}[cfg.Mode])
			l := load(t, server, cfg, sinktest.Column("k", text), sinktest.Column("a", text), sinktest.Column("n", whole), sinktest.Column("tags", arrow.ListOf(text)), sinktest.Column("gone", truth))
			var sinks [3]connectors.Sink
			for i := range sinks {
				worker := l.cfg
				worker.Endpoint = proxy.URL
				s, err := dynamodb.Open(t.Context(), worker)
				require.NoError(t, err)
				sinks[i] = s
			}
			l.Sink = sinks[0]
			rng := rand.New(rand.NewPCG(5, uint64(len(cfg.Mode)))) //nolint:gosec // repeatable
			var all []tabletest.Event
			type late struct {
				connectors.Staging
				connectors.Plan
			}
			var zombies []late
			for range 6 {
				of := map[core.ShardID][]string{}
				for _, shard := range []core.ShardID{"s1", "s2"} {
					for _, e := range tabletest.Random(rng, string(shard)+"-", 15, 40) {
						of[shard], all = append(of[shard], e.Line()), append(all, e)
					}
				}
				st, p := l.Plan(t, of)
				other := l.Again(t, sinks[1], p, of)
				zombies = append(zombies, late{l.Again(t, sinks[2], p, of), p})
				var wg sync.WaitGroup
				for _, s := range []connectors.Staging{st, other} {
					wg.Go(func() { publish(t, s, p) })
				}
				wg.Wait()
				if n := len(zombies); n > 2 {
					l.forget(t, zombies[n-3].Plan)
					publish(t, zombies[n-3].Staging, zombies[n-3].Plan)
				}
			}
			require.Equal(t, tabletest.Fold(cfg.Mode, all), items(t, l.client, l.cfg.Table))
			direct, err := dynamodb.Open(t.Context(), l.cfg)
			require.NoError(t, err)
			report, err := direct.Verify(t.Context(), "p", true)
			require.NoError(t, err)
			require.Empty(t, report.Problems)
			require.EqualValues(t, len(all), report.Rows)
			for name := range faults {
				require.NotZero(t, proxy.done[name], "no request was %s", name)
			}
			t.Logf("%s: %d rows, faults %v", cfg.Mode, len(all), proxy.done)
		})
	}
}

// publish publishes as a worker does: again and again.
func publish(t *testing.T, st connectors.Staging, p connectors.Plan) {
	t.Helper()
	for try := 0; ; try++ {
		err := st.Publish(t.Context(), p, nil)
		if err == nil {
			return
		}
		if connectors.IsPermanent(err) || try == 20 {
			t.Errorf("plan %d: %v", p.Number, err)
			return
		}
	}
}
