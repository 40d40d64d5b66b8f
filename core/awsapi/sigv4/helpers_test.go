package sigv4_test

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsapi/sigv4"
)

const (
	region, service = "us-east-1", "kinesis"
	accessKey       = "PSTKEXAMPLE"
	secretKey       = "canary-wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLE" //nolint:gosec // a made-up key of the tests
	sessionToken    = "canary-session-token"
)

// noon is when the tests' requests are signed and checked.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type keys map[string]sigv4.Key

func (k keys) Key(accessKey string) (sigv4.Key, bool) { key, ok := k[accessKey]; return key, ok }

func verifier() *sigv4.Verifier {
	return &sigv4.Verifier{
		Region: region, Service: service, Now: func() time.Time { return noon },
		Keys: keys{
			accessKey: {AccessKey: accessKey, Secret: core.NewSecret(secretKey), Active: true},
			"TOKEN":   {AccessKey: "TOKEN", Secret: core.NewSecret(secretKey), SessionToken: core.NewSecret(sessionToken), Active: true},
			"ASLEEP":  {AccessKey: "ASLEEP", Secret: core.NewSecret(secretKey)},
			"ENDED":   {AccessKey: "ENDED", Secret: core.NewSecret(secretKey), Active: true, Expires: noon},
			"ENDING":  {AccessKey: "ENDING", Secret: core.NewSecret(secretKey), Active: true, Expires: noon.Add(time.Second)},
		},
	}
}

// put is a request such as SDKs make, not yet signed.
func put(t testing.TB) *http.Request {
	t.Helper()
	body := `{"StreamName":"clicks","Data":"eA==","PartitionKey":"k"}`
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:4567/", strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "Kinesis_20131202.PutRecord")
	r.Header.Set("User-Agent", "")
	return r
}

// sdkSign signs r as AWS's SDK does.
func sdkSign(t testing.TB, r *http.Request, access, token string, at time.Time) {
	t.Helper()
	cred := aws.Credentials{AccessKeyID: access, SecretAccessKey: secretKey, SessionToken: token}
	hash := sha256.Sum256(bodyOf(t, r))
	require.NoError(t, v4.NewSigner().SignHTTP(t.Context(), cred, r, hex.EncodeToString(hash[:]), service, region, at))
}

// bodyOf reads the body and puts it back.
func bodyOf(t testing.TB, r *http.Request) []byte {
	t.Helper()
	if r.Body == nil {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body
}

// wire is r as it is sent.
func wire(t testing.TB, r *http.Request) []byte {
	t.Helper()
	var text bytes.Buffer
	require.NoError(t, r.Write(&text))
	return text.Bytes()
}

// received is what the server makes of what was sent, and the hash of the body.
func received(text []byte) (*http.Request, []byte, error) {
	in := bytes.NewReader(text)
	buffered := bufio.NewReader(in)
	r, err := http.ReadRequest(buffered)
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(r.Body)
	if err == nil && buffered.Buffered()+in.Len() > 0 {
		err = errors.New("more than one request")
	}
	return r, body, err
}

// sent is r as the server gets it.
func sent(t testing.TB, r *http.Request) *http.Request {
	t.Helper()
	got, body, err := received(wire(t, r))
	require.NoError(t, err)
	got.Body = io.NopCloser(bytes.NewReader(body))
	return got
}

// form is a signature by the book with every part of it open to a forger.
type form struct {
	Access, Secret, Date, Region, Service, Terminator, Algorithm string
	Signed                                                       []string
	Payload                                                      string // in the place of the body's hash
}

// sign signs r, which is as the server gets it, in the given form.
func (f form) sign(t testing.TB, r *http.Request) {
	t.Helper()
	hash := sha256.Sum256(bodyOf(t, r))
	f.Access, f.Secret = orElse(f.Access, accessKey), orElse(f.Secret, secretKey)
	f.Region, f.Service = orElse(f.Region, region), orElse(f.Service, service)
	f.Terminator, f.Algorithm = orElse(f.Terminator, "aws4_request"), orElse(f.Algorithm, "AWS4-HMAC-SHA256")
	f.Payload = orElse(f.Payload, hex.EncodeToString(hash[:]))
	if f.Signed == nil {
		f.Signed = []string{"host"}
		for name := range r.Header {
			f.Signed = append(f.Signed, strings.ToLower(name))
		}
		f.Signed = slices.DeleteFunc(f.Signed, func(s string) bool { return s == "authorization" })
		slices.Sort(f.Signed)
	}
	date := r.Header.Get("X-Amz-Date")
	f.Date = orElse(f.Date, (date + "20260301")[:8])
	lines := []string{r.Method, (&url.URL{Path: r.URL.EscapedPath()}).EscapedPath(), r.URL.Query().Encode()}
	for _, name := range f.Signed {
		value := strings.Join(r.Header.Values(name), ",")
		if lower := strings.ToLower(name); lower == "host" || lower == ":authority" {
			value = r.Host
		}
		lines = append(lines, name+":"+value)
	}
	lines = append(lines, "", strings.Join(f.Signed, ";"), f.Payload)
	canonical := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	scope := strings.Join([]string{f.Date, f.Region, f.Service, f.Terminator}, "/")
	text := strings.Join([]string{f.Algorithm, date, scope, hex.EncodeToString(canonical[:])}, "\n")
	key := []byte("AWS4" + f.Secret)
	for _, part := range []string{f.Date, f.Region, f.Service, f.Terminator, text} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	r.Header.Set("Authorization", f.Algorithm+" Credential="+f.Access+"/"+scope+", SignedHeaders="+strings.Join(f.Signed, ";")+", Signature="+hex.EncodeToString(key))
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func verify(t testing.TB, v *sigv4.Verifier, r *http.Request) (sigv4.Identity, error) {
	t.Helper()
	return v.Verify(r, sha256.Sum256(bodyOf(t, r)))
}
