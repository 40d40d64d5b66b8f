package awsapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/awsapi/wire"
	"github.com/penstock/penstock/core/memory"
)

type echo struct {
	Text string `aws:"Text,required" len:"1,1000000"`
}

func nothing(*echo) string { return "*" }

func service() Service {
	return Service{Name: "echo", Target: "Echo_2026", Operations: []Operation{
		Op("Echo", nothing, func(_ context.Context, _ *Call, in *echo) (*echo, error) { return in, nil }),
		Void("Fail", nothing, func(context.Context, *Call, *echo) error { return errors.New("the disk of db7 is gone") }),
		Void("Panic", nothing, func(context.Context, *Call, *echo) error { panic("no") }),
		Void("Refuse", nothing, func(_ context.Context, _ *Call, in *echo) error {
			return Refuse("NotNowException", "not %s now", in.Text)
		}),
	}}
}

// ask sends one request, as JSON if edit does not make it another.
func ask(t *testing.T, url, operation, body string, edit func(*http.Request)) (answered, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", typeJSON)
	r.Header.Set("X-Amz-Target", "Echo_2026."+operation)
	if edit != nil {
		edit(r)
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Len(t, resp.Header.Get("x-amzn-RequestId"), 36)
	require.NotEmpty(t, resp.Header.Get("x-amz-id-2"))
	return answered{resp.StatusCode, resp.Header}, string(b)
}

type answered struct {
	StatusCode int
	Header     http.Header
}

func TestRequestsAreAnswered(t *testing.T) {
	s := httptest.NewServer(New(service(), Config{Guard: Anyone, MaxBody: 1 << 10}))
	defer s.Close()
	for name, c := range map[string]struct {
		operation, body string
		edit            func(*http.Request)
		status          int
		want            string
	}{
		"an answer":         {"Echo", `{"Text":"hi"}`, nil, 200, `{"Text":"hi"}`},
		"any path":          {"Echo", `{"Text":"hi"}`, func(r *http.Request) { r.URL.Path = "/a/b" }, 200, `{"Text":"hi"}`},
		"a charset":         {"Echo", `{"Text":"hi"}`, func(r *http.Request) { r.Header.Set("Content-Type", typeJSON+"; charset=UTF-8") }, 200, `{"Text":"hi"}`},
		"sent in chunks":    {"Echo", `{"Text":"hi"}`, func(r *http.Request) { r.ContentLength = -1 }, 200, `{"Text":"hi"}`},
		"a refusal":         {"Refuse", `{"Text":"hi"}`, nil, 400, `{"__type":"NotNowException","message":"not hi now"}`},
		"a constraint":      {"Echo", `{}`, nil, 400, `{"__type":"ValidationException","message":"1 validation error detected: Value null at 'text' failed to satisfy constraint: Member must not be null"}`},
		"no JSON":           {"Echo", `{`, nil, 400, `{"__type":"SerializationException","message":"the document ends too early, at byte 1"}`},
		"no operation":      {"Nope", `{}`, nil, 400, `{"__type":"UnknownOperationException","message":"echo has no operation \"Nope\"."}`},
		"no target":         {"", `{}`, func(r *http.Request) { r.Header.Del("X-Amz-Target") }, 400, `{"__type":"UnknownOperationException","message":"The header X-Amz-Target has to name an operation as Echo_2026.Operation."}`},
		"our own failure":   {"Fail", `{"Text":"hi"}`, nil, 500, `{"__type":"InternalFailureException","message":"The request could not be processed because of an internal failure. The server's log has it under this request's id."}`},
		"a panic":           {"Panic", `{"Text":"hi"}`, nil, 500, `{"__type":"InternalFailureException","message":"The request could not be processed because of an internal failure. The server's log has it under this request's id."}`},
		"too large":         {"Echo", strings.Repeat(" ", 1025), nil, 413, `{"__type":"RequestEntityTooLargeException","message":"A request may have at most 0 MiB."}`},
		"too large, chunks": {"Echo", strings.Repeat(" ", 1025), func(r *http.Request) { r.ContentLength = -1 }, 413, `{"__type":"RequestEntityTooLargeException","message":"A request may have at most 0 MiB."}`},
		"GET":               {"Echo", ``, func(r *http.Request) { r.Method = http.MethodGet }, 404, `{"__type":"UnknownOperationException","message":"Requests are sent with POST, not GET."}`},
	} {
		resp, body := ask(t, s.URL, c.operation, c.body, c.edit)
		require.Equal(t, c.status, resp.StatusCode, name)
		require.Equal(t, c.want, body, name)
	}
	resp, _ := ask(t, s.URL, "Echo", `{"Text":"hi"}`, func(r *http.Request) { r.Header.Set("Content-Type", "text/html") })
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
}

func TestTheProtocolIsThatOfTheRequest(t *testing.T) {
	s := httptest.NewServer(New(service(), Config{Guard: Anyone}))
	defer s.Close()
	resp, body := ask(t, s.URL, "Echo", string(wire.Append(wire.CBOR, nil, &echo{"hi"})), func(r *http.Request) { r.Header.Set("Content-Type", typeCBOR) })
	require.Equal(t, typeCBOR, resp.Header.Get("Content-Type"))
	require.Equal(t, "\xa1\x64Text\x62hi", body)
	rpc := func(path string) func(*http.Request) {
		return func(r *http.Request) {
			r.URL.Path = path
			r.Header.Del("X-Amz-Target")
			r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
			r.Header.Set("Content-Type", typeRPCv2)
		}
	}
	resp, body = ask(t, s.URL, "", "\xa1\x64Text\x62hi", rpc("/service/Echo_2026/operation/Echo"))
	require.Equal(t, []string{typeRPCv2, "rpc-v2-cbor"}, []string{resp.Header.Get("Content-Type"), resp.Header.Get("Smithy-Protocol")})
	require.Equal(t, "\xa1\x64Text\x62hi", body)
	resp, _ = ask(t, s.URL, "", "\xa0", rpc("/service/Other/operation/Echo"))
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
}

func TestOnePortSpeaksBothHTTPs(t *testing.T) {
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	api := New(service(), Config{Guard: Anyone})
	server := HTTPServer(api, api.cfg.Log)
	go server.Serve(l)   //nolint:errcheck // it ends with Close
	defer server.Close() //nolint:errcheck // nothing is left of it
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	h2c := &http.Client{Transport: &http.Transport{Protocols: h2}}
	for proto, client := range map[string]*http.Client{"HTTP/1.1": http.DefaultClient, "HTTP/2.0": h2c} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+l.Addr().String(), bytes.NewReader([]byte(`{"Text":"hi"}`)))
		require.NoError(t, err)
		r.Header.Set("Content-Type", typeJSON)
		r.Header.Set("X-Amz-Target", "Echo_2026.Echo")
		resp, err := client.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, proto, resp.Proto)
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
}

func TestASenderThatStopsIsLetGo(t *testing.T) {
	seen := make(chan Outcome, 1)
	s := httptest.NewServer(New(service(), Config{Guard: Anyone, Observe: func(o Outcome) { seen <- o }}))
	defer s.Close()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	_, err = conn.Write([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Type: " + typeJSON + "\r\nX-Amz-Target: Echo_2026.Echo\r\nContent-Length: 1000\r\n\r\n{\"Text"))
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	select {
	case o := <-seen:
		require.Equal(t, codeSerialization, o.Code)
	case <-time.After(20 * time.Second):
		t.Fatal("the request is still under way")
	}
}

func TestABodyThatDoesNotComeTakesNoMemory(t *testing.T) {
	budget, err := memory.New(memory.Min)
	require.NoError(t, err)
	server := New(service(), Config{Guard: Anyone, Memory: budget})
	s := httptest.NewServer(server)
	defer s.Close()
	var conns []net.Conn
	for range 50 {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
		require.NoError(t, err)
		defer c.Close() //nolint:errcheck // closed below; the server waits for it where the test fails
		_, err = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: "+typeJSON+"\r\nX-Amz-Target: Echo_2026.Echo\r\nContent-Length: 15000000\r\n\r\n{")
		require.NoError(t, err)
		conns = append(conns, c)
	}
	held := func() int64 { reading, _ := budget.Used(); return reading }
	require.Eventually(t, func() bool { return held() > 0 }, 10*time.Second, time.Millisecond, "the first bytes are read")
	for range 20 {
		resp, said := ask(t, s.URL, "Echo", `{"Text":"hi"}`, nil)
		require.Equal(t, http.StatusOK, resp.StatusCode, said)
	}
	require.Less(t, held(), int64(1<<20))
	for _, c := range conns {
		require.NoError(t, c.Close())
	}
	require.Eventually(t, func() bool { return held() == 0 }, 10*time.Second, time.Millisecond, "it is given back")
}
