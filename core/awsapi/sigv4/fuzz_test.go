package sigv4_test

import (
	"bytes"
	"crypto/sha256"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/awsapi/sigv4"
	"github.com/penstock/penstock/core/fuzztest"
)

// FuzzVerify sends whatever bytes: nothing panics, and what is accepted says what the one signed request says.
func FuzzVerify(f *testing.F) {
	r := put(f)
	sdkSign(f, r, accessKey, "", noon)
	text := wire(f, r)
	good, goodBody, err := received(text)
	require.NoError(f, err)
	f.Add(text)
	for _, by := range [][2]string{
		{"HTTP/1.1", "HTTP/1.0"},
		{"POST / ", "POST http://127.0.0.1:4567/ "},
		{"POST / ", "POST /?X-Amz-Signature=0&a=%2f "},
		{"POST / ", "POST /a/../%2e%2e//b "},
		{"AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"},
		{", SignedHeaders=", ",SignedHeaders="},
		{"content-length;", ""},
		{"X-Amz-Target: ", "X-Amz-Target: a\r\n b\r\nx-amz-target: "},
		{"X-Amz-Date", "X-Amz-Security-Token: x\r\nX-Amz-Content-Sha256: UNSIGNED-PAYLOAD\r\nDate"},
		{"Content-Length: 56", "Transfer-Encoding: chunked"},
	} {
		f.Add(bytes.Replace(text, []byte(by[0]), []byte(by[1]), 1))
	}
	v := verifier()
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, text []byte) {
		r, body, err := received(text)
		if err != nil {
			return
		}
		id, err := v.Verify(r, sha256.Sum256(body))
		if err != nil {
			var refused *sigv4.Error
			require.ErrorAs(t, err, &refused)
			require.Zero(t, id)
			return
		}
		require.Equal(t, accessKey, id.AccessKey())
		require.Equal(t, goodBody, body)
		require.Equal(t, good.Method, r.Method)
		require.Equal(t, good.Host, r.Host)
		require.Equal(t, "/", (map[bool]string{true: "/", false: r.URL.Path})[r.URL.Path == ""])
		require.Empty(t, r.URL.Query())
		for name := range r.Header {
			if _, signed := good.Header[name]; signed && name != "Authorization" {
				require.Equal(t, good.Header[name], r.Header[name])
			} else if strings.HasPrefix(name, http.CanonicalHeaderKey("x-amz-")) {
				t.Fatalf("%s is not signed", name)
			}
		}
	}))
}
