package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/laketest"
	"github.com/penstock/penstock/integration/servers"
)

// fault is what a proxy does to a request instead of passing it on.
type fault struct {
	name string
	// serve answers; pass passes the request on to the server and answers into w.
	serve func(w http.ResponseWriter, r *http.Request, pass http.Handler)
}

func s3Error(status int, code string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>injected</Message></Error>`, code)
	}
}

var faults = []fault{
	{"500", s3Error(http.StatusInternalServerError, "InternalError")},
	{"503", s3Error(http.StatusServiceUnavailable, "SlowDown")},
	{"closed in the middle of the upload", func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.CopyN(io.Discard, r.Body, 1000)
		panic(http.ErrAbortHandler)
	}},
	{"done, but the answer is lost", func(_ http.ResponseWriter, r *http.Request, pass http.Handler) {
		pass.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}},
	{"slow", func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		time.Sleep(300 * time.Millisecond)
		pass.ServeHTTP(w, r)
	}},
	{"an answer that is no XML", func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusBadGateway)
		_, _ = w.Write([]byte("<html>bad gateway"))
	}},
}

// kindOf says what a request asks of S3.
func kindOf(r *http.Request) string {
	q := r.URL.Query()
	switch {
	case strings.HasSuffix(r.URL.Path, "/_penstock/probe"): // before anything is staged
		return "probe"
	case r.Method == http.MethodPost && q.Has("uploads"):
		return "begin"
	case r.Method == http.MethodPost && q.Has("uploadId"):
		return "complete"
	case r.Method == http.MethodPut && q.Has("uploadId"):
		return "part"
	case r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/_penstock/"):
		return "manifest"
	case r.Method == http.MethodPut:
		return "put"
	}
	return "other"
}

// proxy stands before a server and spoils some requests.
type proxy struct {
	*httptest.Server
	every func(w http.ResponseWriter, r *http.Request, pass http.Handler) // if set, serves what no fault is planned for

	mu   sync.Mutex // guards what follows
	plan map[string][]fault
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	target, err := url.Parse(to)
	require.NoError(t, err)
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is part of what is signed
	}}
	p := &proxy{plan: map[string][]fault{}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f, ok := p.next(kindOf(r)); ok {
			f.serve(w, r, pass)
			return
		}
		if p.every != nil {
			p.every(w, r, pass)
			return
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

// next is the fault for a request of this kind, if one is left.
func (p *proxy) next(kind string) (fault, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.plan[kind]
	if len(left) == 0 {
		return fault{}, false
	}
	p.plan[kind] = left[1:]
	return left[0], true
}

// TestAnArchiveSurvivesWhatAServerDoes spoils requests of every kind in every way, a few in a row so that the client's
// own retries do not hide them, and compares the rows.
func TestAnArchiveSurvivesWhatAServerDoes(t *testing.T) {
	for _, name := range servers.S3Names() {
		t.Run(name, func(t *testing.T) {
			server := servers.S3For(t, name)
			u := newUser(t, "S3_SECRET="+server.SecretKey)
			want := events(t, u, 60_000)
			for _, f := range faults {
				t.Run(f.name, func(t *testing.T) {
					t.Parallel() // most of the time is waiting
					p := newProxy(t, server.Endpoint)
					for _, kind := range []string{"begin", "part", "complete", "put", "manifest"} {
						p.plan[kind] = slices.Repeat([]fault{f}, 4)
					}
					b := bucket(t, server)
					file := u.write(t, b+".yaml", fmt.Sprintf(`version: 1
name: %s
source: {file: {paths: [events.ndjson]}, decode: {json: {}}}
buffer: {max_records: 40000}
sink: {s3: {endpoint: %q, bucket: %s, access_key: %s, secret_key: '${S3_SECRET}', prefix: 'h=!{partitionKeyFromQuery:h}/', partition_keys: {h: h}, format: {ndjson: {compression: none}}}}
`, b, p.URL, b, server.AccessKey))
					u.run(t, "run", file, "--data", "data-"+b)
					for kind, left := range p.plan {
						require.Less(t, len(left), 4, "no request of kind %s was spoilt", kind)
					}
					require.Contains(t, u.run(t, "verify", file), "clean")
					found, err := objects(t.Context(), server, b)
					require.NoError(t, err)
					require.Equal(t, want, laketest.Rows(t, found))
				})
			}
		})
	}
}

// events writes n events, so that one partition is larger than a part and others are small, and returns the rows.
func events(t *testing.T, u *user, n int) []string {
	t.Helper()
	var text bytes.Buffer
	var want []string
	for i := range n {
		h := "big"
		if i%100 == 0 {
			h = fmt.Sprint("small", i/100%5)
		}
		line, err := json.Marshal(map[string]any{"h": h, "n": i, "text": strings.Repeat(fmt.Sprint(i, " "), 60)})
		require.NoError(t, err)
		text.Write(append(line, '\n'))
		want = append(want, string(line))
	}
	u.write(t, "events.ndjson", text.String())
	slices.Sort(want)
	return want
}
