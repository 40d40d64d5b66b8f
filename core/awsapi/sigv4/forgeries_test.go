package sigv4_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/penstock/penstock/core/awsapi/sigv4"
)

// forgery is one way around the check: what an attacker does to a good request that was signed. Where own is set the
// request is signed again after that, by someone who has a key but does not keep to the form.
type forgery struct {
	name string
	code string
	do   func(r *http.Request)
	own  *form
}

func edit(r *http.Request, from, to string) {
	auth := r.Header.Get("Authorization")
	if !strings.Contains(auth, from) {
		panic("the header has no " + from)
	}
	r.Header.Set("Authorization", strings.Replace(auth, from, to, 1))
}

func setBody(r *http.Request, text string) { r.Body = io.NopCloser(strings.NewReader(text)) }

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func nothing(*http.Request) {}

func signature(r *http.Request) string {
	_, sig, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	return sig
}

var all = []string{"content-type", "host", "x-amz-date", "x-amz-target"}

func without(names ...string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(names, s) })
}

func with(names ...string) []string {
	out := append(slices.Clone(all), names...)
	slices.Sort(out)
	return out
}

const (
	none       = sigv4.CodeMissingToken
	incomplete = sigv4.CodeIncomplete
	invalid    = sigv4.CodeInvalid
	unknown    = sigv4.CodeUnrecognized
)

var forgeries = []forgery{
	// No signature, or not this one.
	{"no authorization", none, func(r *http.Request) { r.Header.Del("Authorization") }, nil},
	{"empty authorization", none, header("Authorization", ""), nil},
	{"basic", incomplete, header("Authorization", "Basic cGVuOnN0b2Nr"), nil},
	{"bearer", incomplete, header("Authorization", "Bearer canary-wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLE"), nil},
	{"version 2", incomplete, header("Authorization", "AWS PSTKEXAMPLE:qgk2+6Sv9/oM7G3qLEjTH1a1l1g="), nil},
	{"version 3", incomplete, header("Authorization", "AWS3-HTTPS AWSAccessKeyId=PSTKEXAMPLE,Algorithm=HmacSHA256,Signature=x"), nil},
	{"version 4A", incomplete, func(r *http.Request) { edit(r, "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256") }, nil},
	{"another hash", incomplete, nothing, &form{Algorithm: "AWS4-HMAC-SHA512"}},
	{"algorithm in lower case", incomplete, func(r *http.Request) { edit(r, "AWS4-HMAC-SHA256", "aws4-hmac-sha256") }, nil},
	{"algorithm alone", incomplete, header("Authorization", "AWS4-HMAC-SHA256"), nil},
	{"two authorizations", incomplete, func(r *http.Request) { r.Header.Add("Authorization", "AWS4-HMAC-SHA256 x") }, nil},
	{"the same authorization twice", incomplete, func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, nil},
	{"two authorizations in one", incomplete, func(r *http.Request) {
		r.Header.Set("Authorization", r.Header.Get("Authorization")+", "+r.Header.Get("Authorization"))
	}, nil},
	{"authorization in another spelling", invalid, func(r *http.Request) { r.Header["authorization"] = []string{"AWS4-HMAC-SHA256 x"} }, nil},
	{"presigned", incomplete, func(r *http.Request) {
		r.Header.Del("Authorization")
		r.URL.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=PSTKEXAMPLE%2F20260301%2Fus-east-1%2Fkinesis%2Faws4_request&X-Amz-Date=20260301T120000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00"
	}, nil},
	{"presigned as well", invalid, func(r *http.Request) { r.URL.RawQuery = "X-Amz-Signature=00" }, nil},
	{"presigned in lower case", invalid, func(r *http.Request) { r.URL.RawQuery = "x-amz-algorithm=AWS4-HMAC-SHA256" }, &form{}},
	{"presigned credential, escaped name", invalid, func(r *http.Request) { r.URL.RawQuery = "X%2DAmz-Credential=PSTKEXAMPLE" }, &form{}},
	{"token in the query", invalid, func(r *http.Request) { r.URL.RawQuery = "X-Amz-Security-Token=canary-session-token" }, &form{Access: "TOKEN"}},
	{"version 2 in the query", none, func(r *http.Request) {
		r.Header.Del("Authorization")
		r.URL.RawQuery = "AWSAccessKeyId=PSTKEXAMPLE&SignatureVersion=2&Signature=x"
	}, nil},

	// The header's syntax.
	{"no credential", incomplete, func(r *http.Request) { edit(r, "Credential=", "Cred=") }, nil},
	{"empty access key", incomplete, func(r *http.Request) { edit(r, "Credential=PSTKEXAMPLE", "Credential=") }, nil},
	{"credential too short", incomplete, func(r *http.Request) { edit(r, "/aws4_request", "") }, nil},
	{"credential too long", incomplete, func(r *http.Request) { edit(r, "/aws4_request", "/aws4_request/") }, nil},
	{"slash in the access key", incomplete, func(r *http.Request) { edit(r, "PSTKEXAMPLE", "PSTK/EXAMPLE") }, nil},
	{"another terminator", invalid, nothing, &form{Terminator: "aws5_request"}},
	{"no signed headers", incomplete, func(r *http.Request) { edit(r, "SignedHeaders=", "Headers=") }, nil},
	{"empty signed headers", incomplete, func(r *http.Request) { edit(r, strings.Join(all, ";"), "") }, nil},
	{"signed headers in upper case", incomplete, nothing, &form{Signed: []string{"Content-Type", "Host", "X-Amz-Date", "X-Amz-Target"}}},
	{"signed headers out of order", incomplete, nothing, &form{Signed: []string{"host", "content-type", "x-amz-date", "x-amz-target"}}},
	{"a signed header twice", incomplete, nothing, &form{Signed: []string{"content-type", "host", "host", "x-amz-date", "x-amz-target"}}},
	{"an empty name in the signed headers", incomplete, func(r *http.Request) { edit(r, "host;", "host;;") }, nil},
	{"signed headers between commas", incomplete, func(r *http.Request) { edit(r, "host;x-amz-date", "host,x-amz-date") }, nil},
	{"too many signed headers", incomplete, func(r *http.Request) { edit(r, "content-type;", strings.Repeat("a;", 200)) }, nil},
	{"no signature", incomplete, func(r *http.Request) { edit(r, ", Signature=", ", Sig=") }, nil},
	{"empty signature", incomplete, func(r *http.Request) { edit(r, signature(r), "") }, nil},
	{"half a signature", incomplete, func(r *http.Request) { edit(r, signature(r), signature(r)[:32]) }, nil},
	{"more than a signature", incomplete, func(r *http.Request) { edit(r, signature(r), signature(r)+"00") }, nil},
	{"signature in upper case", incomplete, func(r *http.Request) { edit(r, signature(r), strings.ToUpper("abcdef"+signature(r)[6:])) }, nil},
	{"signature that is no hex", incomplete, func(r *http.Request) { edit(r, signature(r), strings.Repeat("g", 64)) }, nil},
	{"two signatures", incomplete, func(r *http.Request) { edit(r, "Signature=", "Signature="+strings.Repeat("0", 64)+", Signature=") }, nil},
	{"two credentials", incomplete, func(r *http.Request) {
		edit(r, "Credential=", "Credential=A/20260301/us-east-1/kinesis/aws4_request, Credential=")
	}, nil},
	{"parameters in another order", incomplete, func(r *http.Request) {
		params := strings.SplitN(strings.TrimPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 "), ", ", 3)
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 "+params[2]+", "+params[1]+", "+params[0])
	}, nil},
	{"something after the signature", incomplete, func(r *http.Request) { edit(r, signature(r), signature(r)+", x=y") }, nil},
	{"quoted parameters", incomplete, func(r *http.Request) { edit(r, "Signature="+signature(r), `Signature="`+signature(r)+`"`) }, nil},

	// Whose key, and for what.
	{"wrong secret", invalid, nothing, &form{Secret: "guess"}},
	{"empty secret", invalid, nothing, &form{Access: "PSTKEXAMPLE", Secret: " "}},
	{"unknown key", unknown, nothing, &form{Access: "PSTKNOBODY"}},
	{"key in another case", unknown, nothing, &form{Access: "pstkexample"}},
	{"key that is switched off", unknown, nothing, &form{Access: "ASLEEP"}},
	{"key that has ended", sigv4.CodeExpired, nothing, &form{Access: "ENDED"}},
	{"all zero signature", invalid, func(r *http.Request) { edit(r, signature(r), strings.Repeat("0", 64)) }, nil},
	{"another region", invalid, nothing, &form{Region: "eu-west-1"}},
	{"no region", invalid, nothing, &form{Region: " "}},
	{"another service", invalid, nothing, &form{Service: "firehose"}},
	{"region swapped into the header", invalid, func(r *http.Request) { edit(r, "us-east-1", "us-east-2") }, nil},
	{"no session token", unknown, nothing, &form{Access: "TOKEN"}},
	{"another session token", unknown, header("X-Amz-Security-Token", "guess"), &form{Access: "TOKEN"}},
	{"a longer session token", unknown, header("X-Amz-Security-Token", sessionToken+"x"), &form{Access: "TOKEN"}},
	{"session token for a key without", unknown, header("X-Amz-Security-Token", sessionToken), &form{}},
	{"session token not signed", invalid, header("X-Amz-Security-Token", sessionToken), &form{Access: "TOKEN", Signed: all}},
	{"session token twice", invalid, func(r *http.Request) { r.Header["X-Amz-Security-Token"] = []string{sessionToken, sessionToken} }, &form{Access: "TOKEN"}},

	// When.
	{"no date", incomplete, func(r *http.Request) { r.Header.Del("X-Amz-Date") }, nil},
	{"only Date", incomplete, func(r *http.Request) {
		r.Header.Del("X-Amz-Date")
		r.Header.Set("Date", noon.Format(http.TimeFormat))
	}, &form{}},
	{"Date beside an old x-amz-date", invalid, func(r *http.Request) {
		r.Header.Set("X-Amz-Date", "20260228T120000Z")
		r.Header.Set("Date", noon.Format(http.TimeFormat))
	}, &form{}},
	{"two dates", incomplete, func(r *http.Request) { r.Header.Add("X-Amz-Date", "20260301T120000Z") }, nil},
	{"replayed after five minutes", invalid, header("X-Amz-Date", "20260301T115459Z"), &form{}},
	{"from the future", invalid, header("X-Amz-Date", "20260301T120501Z"), &form{}},
	{"yesterday's scope", invalid, nothing, &form{Date: "20260228"}},
	{"tomorrow's scope", invalid, nothing, &form{Date: "20260302"}},
	{"no day in the scope", invalid, nothing, &form{Date: " "}},
	{"date moved after signing", invalid, header("X-Amz-Date", "20260301T120001Z"), nil},
	{"date with a fraction", incomplete, header("X-Amz-Date", "20260301T120000.5Z"), &form{}},
	{"date with an offset", incomplete, header("X-Amz-Date", "20260301T120000+00"), &form{}},
	{"date in extended form", incomplete, header("X-Amz-Date", "2026-03-01T12:00:00Z"), &form{}},
	{"date that is none", incomplete, header("X-Amz-Date", "20260230T120000Z"), &form{}},

	// What is not covered.
	{"host not signed", invalid, nothing, &form{Signed: without("host")}},
	{"date not signed", invalid, nothing, &form{Signed: without("x-amz-date")}},
	{"target not signed", invalid, nothing, &form{Signed: without("x-amz-target")}},
	{"content type not signed", invalid, nothing, &form{Signed: without("content-type")}},
	{"content encoding not signed", invalid, header("Content-Encoding", "gzip"), &form{Signed: all}},
	{"protocol not signed", invalid, header("Smithy-Protocol", "rpc-v2-cbor"), &form{Signed: all}},
	{"any x-amz header not signed", invalid, header("X-Amz-Anything", "x"), &form{Signed: all}},
	{"a signed header that is not there", invalid, nothing, &form{Signed: with("x-amz-user-agent")}},
	{"authority in HTTP/1", invalid, nothing, &form{Signed: append([]string{":authority"}, without("host")...)}},
	{"host and authority", invalid, func(r *http.Request) { r.ProtoMajor = 2 }, &form{Signed: append([]string{":authority"}, all...)}},
	{"target swapped", invalid, header("X-Amz-Target", "Kinesis_20131202.DeleteStream"), nil},
	{"target added", invalid, func(r *http.Request) { r.Header.Add("X-Amz-Target", "Kinesis_20131202.DeleteStream") }, nil},
	{"target twice, signed joined", invalid, func(r *http.Request) { r.Header.Add("X-Amz-Target", "Kinesis_20131202.DeleteStream") }, &form{}},
	{"target in another spelling", invalid, func(r *http.Request) { r.Header["x-amz-target"] = []string{"Kinesis_20131202.DeleteStream"} }, nil},
	{"target with a blank in its name", invalid, func(r *http.Request) { r.Header["X-Amz-Target "] = []string{"Kinesis_20131202.DeleteStream"} }, nil},
	{"target with a letter like another", invalid, func(r *http.Request) { r.Header["X-Amz-\u212aey"] = []string{"x"} }, &form{Signed: with("x-amz-key")}},
	{"target after a line break", invalid, func(r *http.Request) {
		r.Header["X-Amz-Target"] = []string{"Kinesis_20131202.PutRecord\nx-amz-x:y"}
	}, &form{}},
	{"content type swapped", invalid, header("Content-Type", "application/x-amz-cbor-1.1"), nil},
	{"content type twice", invalid, func(r *http.Request) { r.Header.Add("Content-Type", "application/cbor") }, &form{}},
	{"another signed header twice", invalid, func(r *http.Request) { r.Header["X-Trace"] = []string{"a", "b"} }, &form{}},
	{"method", invalid, func(r *http.Request) { r.Method = http.MethodDelete }, nil},
	{"method in lower case", invalid, func(r *http.Request) { r.Method = "post" }, nil},
	{"another host", invalid, func(r *http.Request) { r.Host = "evil:4567" }, nil},
	{"no host", invalid, func(r *http.Request) { r.Host = "" }, &form{}},
	{"host twice", invalid, func(r *http.Request) { r.Header["Host"] = []string{"evil"} }, nil},
	{"host with a line break", invalid, func(r *http.Request) { r.Host = "a\nx:y" }, &form{}},
	{"another path", invalid, func(r *http.Request) { r.URL.Path = "/service/Kinesis_20131202/operation/DeleteStream" }, nil},
	{"a path that climbs", invalid, func(r *http.Request) { r.URL.Path = "/x/.." }, nil},
	{"a path with empty segments", invalid, func(r *http.Request) { r.URL.Path = "//" }, nil},
	{"a path without slash", invalid, func(r *http.Request) { r.URL.Path = "*" }, &form{}},
	{"an opaque target", invalid, func(r *http.Request) { r.URL = &url.URL{Scheme: "x", Opaque: "y"} }, nil},
	{"a path escaped in another way", invalid, func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/DeleteStream", "/" }, nil},
	{"a query added", invalid, func(r *http.Request) { r.URL.RawQuery = "Action=DeleteStream" }, nil},
	{"a parameter twice", invalid, func(r *http.Request) { r.URL.RawQuery = "a=1&a=2" }, &form{}},
	{"a malformed query", invalid, func(r *http.Request) { r.URL.RawQuery = "a=%zz" }, nil},
	{"a query with semicolons", invalid, func(r *http.Request) { r.URL.RawQuery = "a=1;X-Amz-Signature=x" }, nil},

	// The body.
	{"another body", invalid, func(r *http.Request) { setBody(r, `{"StreamName":"others"}`) }, nil},
	{"no body", invalid, func(r *http.Request) { setBody(r, "") }, nil},
	{"body with something behind", invalid, func(r *http.Request) { r.Body = io.NopCloser(io.MultiReader(r.Body, strings.NewReader(" "))) }, nil},
	{"unsigned payload", invalid, header("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), &form{Payload: "UNSIGNED-PAYLOAD"}},
	{"unsigned payload, header said nothing of", invalid, nothing, &form{Payload: "UNSIGNED-PAYLOAD"}},
	{"unsigned payload with a trailer", invalid, header("X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), &form{Payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}},
	{"signed in chunks", invalid, header("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), &form{Payload: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}},
	{"hash of another body", invalid, func(r *http.Request) {
		h := sha256.Sum256(nil)
		r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(h[:]))
	}, &form{Payload: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}},
	{"hash in upper case", invalid, func(r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		h := sha256.Sum256(body)
		r.Header.Set("X-Amz-Content-Sha256", strings.ToUpper(hex.EncodeToString(h[:])))
	}, &form{}},
	{"empty hash", invalid, header("X-Amz-Content-Sha256", ""), &form{}},
}
