package sigv4_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsapi/sigv4"
)

// TestOverTheWire checks requests that came through Go's servers, whose way with headers differs between HTTP's versions.
func TestOverTheWire(t *testing.T) {
	v := verifier()
	v.Now = nil
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		id, err := v.Verify(r, sha256.Sum256(body))
		_, _ = fmt.Fprint(w, r.Proto, " ", id.AccessKey(), " ", err)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	ask := func(c *http.Client, r *http.Request) string {
		answer, err := c.Do(r)
		require.NoError(t, err)
		defer func() { require.NoError(t, answer.Body.Close()) }()
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return string(text)
	}
	for proto, client := range map[string]*http.Client{"HTTP/1.1": speaking(server, false), "HTTP/2.0": speaking(server, true)} {
		t.Run(proto, func(t *testing.T) {
			make := func() *http.Request {
				r := put(t)
				r.URL.Scheme, r.URL.Host, r.Host = "https", strings.TrimPrefix(server.URL, "https://"), ""
				r.Header.Set("User-Agent", "test")
				sdkSign(t, r, accessKey, "", time.Now())
				return r
			}
			require.Equal(t, proto+" PSTKEXAMPLE <nil>", ask(client, make()))
			r := make()
			r.Header.Set("X-Amz-Target", "Kinesis_20131202.DeleteStream")
			require.Contains(t, ask(client, r), proto+"  InvalidSignatureException")
		})
	}
}

// speaking is a client of one version of HTTP.
func speaking(server *httptest.Server, two bool) *http.Client {
	t := server.Client().Transport.(*http.Transport).Clone()
	t.ForceAttemptHTTP2, t.TLSClientConfig.NextProtos, t.Protocols = two, nil, new(http.Protocols)
	t.Protocols.SetHTTP1(!two)
	t.Protocols.SetHTTP2(two)
	return &http.Client{Transport: t}
}

// TestKeysChangeUnderWay: a new secret counts at once, whatever was derived from the old one.
func TestKeysChangeUnderWay(t *testing.T) {
	r := put(t)
	sdkSign(t, r, accessKey, "", noon)
	r = sent(t, r)
	hash := sha256.Sum256(bodyOf(t, r))
	v := verifier()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				_, err := v.Verify(r, hash)
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	v.Keys.(keys)[accessKey] = sigv4.Key{AccessKey: accessKey, Secret: core.NewSecret("another"), Active: true}
	_, err := v.Verify(r, hash)
	require.ErrorContains(t, err, "InvalidSignatureException")
	form{Secret: "another"}.sign(t, r)
	_, err = v.Verify(r, hash)
	require.NoError(t, err)
}

// benchmark checks a put; unknown keys must not cost another time than wrong signatures, nor right ones.
func benchmark(b *testing.B, f form, ok bool) {
	r := put(b)
	sdkSign(b, r, accessKey, "", noon)
	r = sent(b, r)
	f.sign(b, r)
	hash := sha256.Sum256(bodyOf(b, r))
	v := verifier()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(r, hash); (err == nil) != ok {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B)               { benchmark(b, form{}, true) }
func BenchmarkVerifyWrongSignature(b *testing.B) { benchmark(b, form{Secret: "guess"}, false) }
func BenchmarkVerifyUnknownKey(b *testing.B)     { benchmark(b, form{Access: "PSTKNOBODY1"}, false) }
