package sigv4_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/awsapi/sigv4"
)

// rounds is how many random requests are tried: 10,000, or PENSTOCK_SIGV4_ROUNDS.
func rounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("PENSTOCK_SIGV4_ROUNDS")
	if text == "" {
		return 10_000
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// randomText has what must be escaped, letters of several bytes, and blanks.
func randomText(rng *rand.Rand, letters []rune, most int) string {
	out := make([]rune, rng.IntN(most))
	for i := range out {
		out[i] = letters[rng.IntN(len(letters))]
	}
	return string(out)
}

var (
	anything = []rune("abcXYZ0189-._~ /%+&=?#;:@!$'()*,[]\"<>\\^`{|}é漢😀")
	inValues = []rune("abcXYZ0189-._~  /%+&=?#;:@!$'()*,[]\"<>\\^`{|}")
	inNames  = []rune("abcxyz0189-_.")
)

// randomRequest is one that a client could send: any method, path, parameters, headers and body.
func randomRequest(t *testing.T, rng *rand.Rand) *http.Request {
	t.Helper()
	u := url.URL{Scheme: "http", Host: fmt.Sprintf("h%d.example:4567", rng.IntN(100)), Path: "/"}
	for i := range rng.IntN(4) {
		segment := randomText(rng, anything, 8)
		if i > 0 {
			u.Path += "/"
		}
		u.Path += "s" + string(bytes.ReplaceAll([]byte(segment), []byte("/"), nil))
	}
	if rng.IntN(4) == 0 {
		u.RawPath, u.Path = u.EscapedPath()+"%2Fx", u.Path+"/x"
	}
	query := url.Values{}
	for range rng.IntN(4) {
		query.Set(randomText(rng, anything, 6), randomText(rng, anything, 10))
	}
	u.RawQuery = query.Encode()
	body := []byte(randomText(rng, anything, 200))
	methods := []string{http.MethodPost, http.MethodGet, http.MethodPut, http.MethodDelete}
	r, err := http.NewRequestWithContext(t.Context(), methods[rng.IntN(len(methods))], u.String(), bytes.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("User-Agent", "")
	r.Header.Set("X-Amz-Target", "Kinesis_20131202."+randomText(rng, inNames, 12))
	for range rng.IntN(5) {
		prefix := []string{"X-Amz-", "X-", "Amz-Sdk-"}[rng.IntN(3)]
		r.Header.Set(prefix+"n"+randomText(rng, inNames, 8), randomText(rng, inValues, 30))
	}
	if rng.IntN(2) == 0 {
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	}
	return r
}

// same reports whether two requests say the same to a handler.
func same(a, b *http.Request) bool {
	return a.Method == b.Method && a.Host == b.Host && a.URL.Path == b.URL.Path && a.URL.EscapedPath() == b.URL.EscapedPath() &&
		reflect.DeepEqual(a.URL.Query(), b.URL.Query()) && reflect.DeepEqual(a.Header, b.Header)
}

// TestRandomRequestsOfAWSSDK signs random requests with AWS's own signer and sends them: each is accepted, and refused
// with any one bit of what was sent flipped, unless that says the same (a header's name in another case, say).
func TestRandomRequestsOfAWSSDK(t *testing.T) {
	v, n := verifier(), rounds(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a repeatable test
	refused, unreadable, alike := 0, 0, 0
	for range n {
		r := randomRequest(t, rng)
		access, token := accessKey, ""
		if rng.IntN(4) == 0 {
			access, token = "TOKEN", sessionToken
		}
		sdkSign(t, r, access, token, noon)
		text := wire(t, r)
		got, body, err := received(text)
		require.NoError(t, err, "%s", text)
		id, err := v.Verify(got, sha256.Sum256(body))
		require.NoError(t, err, "%s", text)
		require.Equal(t, access, id.AccessKey())

		bit := rng.IntN(len(text) * 8)
		text[bit/8] ^= 1 << (bit % 8)
		bad, badBody, err := received(text)
		if err != nil {
			unreadable++
			continue
		}
		id, err = v.Verify(bad, sha256.Sum256(badBody))
		if same(got, bad) && bytes.Equal(body, badBody) {
			alike++
			require.NoError(t, err, "%s", text)
			continue
		}
		refused++
		require.Error(t, err, "%s", text)
		require.Equal(t, sigv4.Identity{}, id)
	}
	t.Logf("%d requests accepted; of the flipped ones %d refused, %d no HTTP any more, %d the same request", n, refused, unreadable, alike)
	require.Greater(t, refused, n*2/3)
}
