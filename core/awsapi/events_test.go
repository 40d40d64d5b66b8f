package awsapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/stretchr/testify/require"
)

// ticking is a service whose one operation sends an event every 50 ms until it may end.
func ticking(enough <-chan struct{}) Service {
	return Service{Name: "echo", Target: "Echo_2026", Operations: []Operation{
		Events("Tick", nothing, func(ctx context.Context, _ *Call, in *echo, send *Sender) error {
			for {
				if err := send.Send("Tick", in); err != nil {
					return err
				}
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-enough:
					return errors.New("the disk of db7 is gone")
				case <-time.After(50 * time.Millisecond):
				}
			}
		}),
	}}
}

// kinds are the types of the events of an answer, and how it ended.
func kinds(r io.Reader, each func(kind string)) {
	d := eventstream.NewDecoder()
	for {
		m, err := d.Decode(r, nil)
		if err != nil {
			return
		}
		for _, name := range []string{":event-type", ":exception-type"} {
			if v := m.Headers.Get(name); v != nil {
				each(v.String())
			}
		}
	}
}

func TestAStreamOfEventsOutlivesTheTimesOfRequests(t *testing.T) {
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	for proto, transport := range map[string]*http.Transport{"HTTP/1.1": {}, "HTTP/2.0": {Protocols: h2}} {
		t.Run(proto, func(t *testing.T) {
			enough := make(chan struct{})
			api := New(ticking(enough), Config{Guard: Anyone})
			server := HTTPServer(api, api.cfg.Log)
			server.ReadTimeout, server.WriteTimeout, server.ReadHeaderTimeout = 300*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond
			l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			require.NoError(t, err)
			go server.Serve(l)   //nolint:errcheck // it ends with Close
			defer server.Close() //nolint:errcheck // nothing is left of it
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+l.Addr().String(), bytes.NewReader([]byte(`{"Text":"hi"}`)))
			require.NoError(t, err)
			r.Header.Set("Content-Type", typeJSON)
			r.Header.Set("X-Amz-Target", "Echo_2026.Tick")
			resp, err := transport.RoundTrip(r)
			require.NoError(t, err)
			defer resp.Body.Close() //nolint:errcheck // it was read
			require.Equal(t, proto, resp.Proto)
			began, last, stop := time.Now(), "", sync.OnceFunc(func() { close(enough) })
			kinds(resp.Body, func(kind string) {
				if last = kind; time.Since(began) > time.Second {
					stop()
				}
			})
			require.Greater(t, time.Since(began), time.Second)
			require.Equal(t, codeInternal, last, "it ends as its operation says")
		})
	}
}

// TestAFailureBehindTheFirstEventIsLogged, as the client is told.
func TestAFailureBehindTheFirstEventIsLogged(t *testing.T) {
	enough := make(chan struct{})
	close(enough)
	var said bytes.Buffer
	seen := make(chan Outcome, 1)
	s := httptest.NewServer(New(ticking(enough), Config{Guard: Anyone, Log: slog.New(slog.NewTextHandler(&said, nil)), Observe: func(o Outcome) { seen <- o }}))
	defer s.Close()
	resp, body := ask(t, s.URL, "Tick", `{"Text":"hi"}`, nil)
	require.NotContains(t, body, "db7")
	o := <-seen
	require.Equal(t, codeInternal, o.Code)
	require.Contains(t, said.String(), "db7")
	require.Contains(t, said.String(), resp.Header.Get("X-Amzn-Requestid"))
}

// TestAClientThatLeavesIsNoFailure of the server.
func TestAClientThatLeavesIsNoFailure(t *testing.T) {
	var said bytes.Buffer
	seen := make(chan Outcome, 1)
	s := httptest.NewServer(New(ticking(nil), Config{Guard: Anyone, Log: slog.New(slog.NewTextHandler(&said, nil)), Observe: func(o Outcome) { seen <- o }}))
	defer s.Close()
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader([]byte(`{"Text":"hi"}`)))
	require.NoError(t, err)
	r.Header.Set("Content-Type", typeJSON)
	r.Header.Set("X-Amz-Target", "Echo_2026.Tick")
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	leave()
	require.NoError(t, resp.Body.Close())
	<-seen
	require.Empty(t, said.String())
}
