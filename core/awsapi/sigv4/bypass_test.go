package sigv4_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/awsapi/sigv4"
)

func TestForgeriesAreRefused(t *testing.T) {
	require.GreaterOrEqual(t, len(forgeries), 45)
	seen := map[string]bool{}
	for _, f := range forgeries {
		require.False(t, seen[f.name], f.name)
		seen[f.name] = true
		t.Run(f.name, func(t *testing.T) {
			r := put(t)
			sdkSign(t, r, accessKey, "", noon)
			r = sent(t, r)
			r.Header.Del("Content-Length") // so that bodies can be swapped
			form{Signed: all}.sign(t, r)
			v := verifier()
			_, err := verify(t, v, r)
			require.NoError(t, err, "before the forgery")

			f.do(r)
			if f.own != nil {
				f.own.sign(t, r)
			}
			id, err := verify(t, v, r)
			require.Zero(t, id)
			var refused *sigv4.Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, f.code, refused.Code, refused.Message)
			require.NotEmpty(t, refused.Message)
			for _, canary := range []string{secretKey, sessionToken, "canary", signature(r)} {
				if len(canary) > 4 {
					require.NotContains(t, err.Error(), canary)
				}
			}
		})
	}
}

// TestFormsThatAreAccepted are near the forgeries, so that those are refused for what they do.
func TestFormsThatAreAccepted(t *testing.T) {
	for name, f := range map[string]forgery{
		"by the book":                     {do: nothing, own: &form{}},
		"session token":                   {do: header("X-Amz-Security-Token", sessionToken), own: &form{Access: "TOKEN"}},
		"key that ends later":             {do: nothing, own: &form{Access: "ENDING"}},
		"five minutes late":               {do: header("X-Amz-Date", "20260301T115500Z"), own: &form{}},
		"five minutes early":              {do: header("X-Amz-Date", "20260301T120500Z"), own: &form{}},
		"hash in a header":                {do: func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", hashOf(r)) }, own: &form{}},
		"no blanks after the commas":      {do: func(r *http.Request) { edit(r, ", S", ",S"); edit(r, ", S", ",S") }},
		"headers that are not signed":     {do: func(r *http.Request) { r.Header["Via"] = []string{"a", "b"} }, own: &form{Signed: all}},
		"Date beside x-amz-date":          {do: header("Date", "Thu, 01 Jan 1970 00:00:00 GMT"), own: &form{}},
		"authority in HTTP/2":             {do: func(r *http.Request) { r.ProtoMajor = 2 }, own: &form{Signed: append([]string{":authority"}, without("host")...)}},
		"host beside authority in HTTP/2": {do: func(r *http.Request) { r.ProtoMajor = 2; r.Header["Host"] = []string{r.Host} }, own: &form{Signed: all}},
		"an absolute target without path": {do: func(r *http.Request) { r.URL = &url.URL{Scheme: "http", Host: r.Host} }},
		"a parameter without a value":     {do: func(r *http.Request) { r.URL.RawQuery = "a" }, own: &form{}},
		"parameters in another order":     {do: func(r *http.Request) { r.URL.RawQuery = "b=2&a=1" }, own: &form{}},
		"a dot that begins a name":        {do: func(r *http.Request) { r.URL.Path = "/.well-known/x." }, own: &form{}},
		"blanks around a value are shorn": {do: func(r *http.Request) { r.Header["X-Amz-Target"] = []string{"\t Kinesis_20131202.PutRecord  "} }},
		"an algorithm with blanks behind": {do: func(r *http.Request) { edit(r, "SHA256 ", "SHA256   ") }},
	} {
		t.Run(name, func(t *testing.T) {
			r := put(t)
			sdkSign(t, r, accessKey, "", noon)
			r = sent(t, r)
			r.Header.Del("Content-Length")
			form{Signed: all}.sign(t, r)
			f.do(r)
			if f.own != nil {
				f.own.sign(t, r)
			}
			id, err := verify(t, verifier(), r)
			require.NoError(t, err)
			require.NotEmpty(t, id.AccessKey())
		})
	}
}

func hashOf(r *http.Request) string {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	h := sha256.Sum256(body)
	return hex.EncodeToString(h[:])
}

func TestContentTypeMayGoUnsignedInOneForm(t *testing.T) {
	for value, ok := range map[string]bool{"application/x-amz-json-1.1": true, "application/x-amz-cbor-1.1": false, "": false} {
		v := verifier()
		v.UnsignedContentType = "application/x-amz-json-1.1"
		r := sent(t, put(t))
		r.Header.Set("X-Amz-Date", "20260301T120000Z")
		r.Header.Set("Content-Type", value)
		form{Signed: without("content-type")}.sign(t, r)
		_, err := verify(t, v, r)
		require.Equal(t, ok, err == nil, "%s: %v", value, err)
		r.Header.Add("Content-Type", value)
		_, err = verify(t, v, r)
		require.Error(t, err)
	}
}

func TestMessagesAreThoseOfAWS(t *testing.T) {
	r := put(t)
	sdkSign(t, r, accessKey, "", noon.Add(-301*time.Second))
	_, err := verify(t, verifier(), sent(t, r))
	require.EqualError(t, err, "InvalidSignatureException: Signature expired: 20260301T115459Z is now earlier than 20260301T115500Z (20260301T120000Z - 5 min.)")
	r = put(t)
	sdkSign(t, r, accessKey, "", noon.Add(301*time.Second))
	_, err = verify(t, verifier(), sent(t, r))
	require.EqualError(t, err, "InvalidSignatureException: Signature not yet current: 20260301T120501Z is still later than 20260301T120500Z (20260301T120000Z + 5 min.)")
	var refused *sigv4.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, sigv4.CodeInvalid, refused.Code)
}
