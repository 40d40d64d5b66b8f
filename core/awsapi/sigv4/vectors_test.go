package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
)

type vector struct {
	Name                                       string
	Normalize                                  bool
	Token, Signed, Canonical, Signature, Query string
	StringToSign                               string `json:"string_to_sign"`
}

func vectors(t *testing.T) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/aws-c-auth/vectors.json")
	require.NoError(t, err)
	var out []vector
	require.NoError(t, json.Unmarshal(text, &out))
	require.Len(t, out, 38)
	return out
}

const (
	exampleSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" //nolint:gosec // AWS's published example
	exampleDate   = "20150830T123600Z"
)

// parse reads a request as the vectors write it, which is not always legal HTTP: with raw spaces in its path.
func parse(t *testing.T, text string) (*http.Request, [sha256.Size]byte) {
	t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	method, target, _ := strings.Cut(lines[0], " ")
	u, err := url.ParseRequestURI(strings.TrimSuffix(target, " HTTP/1.1"))
	require.NoError(t, err)
	r := &http.Request{Method: method, URL: u, Header: http.Header{}, ProtoMajor: 1, ProtoMinor: 1}
	name := ""
	for _, line := range lines[1:] {
		if line[0] == ' ' { // net/http joins folded lines so
			values := r.Header[name]
			values[len(values)-1] += " " + strings.TrimSpace(line)
			continue
		}
		key, value, _ := strings.Cut(line, ":")
		name = http.CanonicalHeaderKey(key)
		r.Header[name] = append(r.Header[name], strings.TrimSpace(value))
	}
	r.Host = r.Header.Get("Host")
	r.Header.Del("Host")
	return r, sha256.Sum256([]byte(strings.TrimSuffix(body, "\n")))
}

func (c vector) verifier() *Verifier {
	at, _ := time.Parse(isoBasic, exampleDate)
	key := Key{AccessKey: "AKIDEXAMPLE", Secret: core.NewSecret(exampleSecret), SessionToken: core.NewSecret(c.Token), Active: true}
	return &Verifier{Region: "us-east-1", Service: "service", Keys: one(key), Now: func() time.Time { return at }}
}

type one Key

func (k one) Key(accessKey string) (Key, bool) { return Key(k), accessKey == k.AccessKey }

func TestVectorsOfAWSAreCanonicalised(t *testing.T) {
	for _, c := range vectors(t) {
		t.Run(c.Name, func(t *testing.T) {
			r, hash := parse(t, c.Signed)
			query, text, err := credentials(r)
			require.NoError(t, err)
			a, err := parseAuthorization(text)
			require.NoError(t, err)
			path, ok := wirePath(r.URL)
			require.True(t, ok)
			if c.Normalize {
				path = normalPath(path)
			}
			canonical := canonicalRequest(nil, r, path, query, &a, hex.EncodeToString(hash[:]))
			require.Equal(t, c.Canonical, string(canonical))
			toSign := stringToSign(nil, exampleDate, a.scope, sha256.Sum256(canonical))
			require.Equal(t, c.StringToSign, string(toSign))
			key := derive(exampleSecret, a.date, a.region, a.service)
			signature := sign(key[:], toSign)
			require.Equal(t, c.Signature, hex.EncodeToString(signature[:]))
		})
	}
}

// TestVectorsOfAWSAreAccepted but for those that say one thing in two ways, or leave something unsigned.
func TestVectorsOfAWSAreAccepted(t *testing.T) {
	refused := map[string]string{
		"get-header-key-duplicate":             "stands more than once",
		"get-header-value-order":               "stands more than once",
		"get-relative-normalized":              "segments",
		"get-relative-unnormalized":            "segments",
		"get-relative-relative-normalized":     "segments",
		"get-relative-relative-unnormalized":   "segments",
		"get-slash-dot-slash-normalized":       "segments",
		"get-slash-dot-slash-unnormalized":     "segments",
		"get-slash-normalized":                 "segments",
		"get-slash-unnormalized":               "segments",
		"get-slash-pointless-dot-normalized":   "segments",
		"get-slash-pointless-dot-unnormalized": "segments",
		"get-slashes-normalized":               "segments",
		"get-slashes-unnormalized":             "segments",
		"post-sts-header-after":                "not signed: 'x-amz-security-token'",
	}
	for _, c := range vectors(t) {
		t.Run(c.Name, func(t *testing.T) {
			r, hash := parse(t, c.Signed)
			id, err := c.verifier().Verify(r, hash)
			if why, ok := refused[c.Name]; ok {
				require.ErrorContains(t, err, why)
				require.Zero(t, id)
				return
			}
			require.NoError(t, err)
			require.Equal(t, "AKIDEXAMPLE", id.AccessKey())
		})
	}
}

func TestQueryVectorsOfAWSAreRefused(t *testing.T) {
	for _, c := range vectors(t) {
		t.Run(c.Name, func(t *testing.T) {
			r, hash := parse(t, c.Query)
			id, err := c.verifier().Verify(r, hash)
			require.ErrorContains(t, err, CodeIncomplete+": "+messageQuery)
			require.Zero(t, id)
		})
	}
}
