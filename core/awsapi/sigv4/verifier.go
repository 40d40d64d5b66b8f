package sigv4

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/core"
)

// Identity is who signed a request. Only Verify makes one that is not zero, so whoever holds one knows that the whole
// check was done.
type Identity struct{ accessKey string }

// AccessKey names the credential that signed; empty for the zero Identity.
func (i Identity) AccessKey() string { return i.accessKey }

// Verifier checks the signatures of one service's requests. Set the fields before its first use; it is safe for
// concurrent use and must not be copied.
type Verifier struct {
	Region, Service string
	Keys            Keys
	Now             func() time.Time // nil: time.Now
	// UnsignedContentType is the one Content-Type that a request may have without signing it; empty for none. AWS's
	// SDKs for PHP and for JavaScript v2 do not sign theirs. A request without a signed Content-Type can then still be
	// read in one way only.
	UnsignedContentType string

	derived derived
}

// skew is how far a request's clock may be from ours, either way.
const skew = 5 * time.Minute

const isoBasic = "20060102T150405Z"

// nobody stands for credentials that are not known, so that looking for one takes as long as a wrong signature does.
var nobody = Key{Secret: core.NewSecret(rand.Text())}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 2048); return &b }}

// Verify returns who signed r, whose body has the SHA-256 bodyHash. The error is an *Error; the identity is then zero.
// The request is not changed.
func (v *Verifier) Verify(r *http.Request, bodyHash [sha256.Size]byte) (Identity, error) {
	query, text, err := credentials(r)
	if err != nil {
		return Identity{}, err
	}
	a, err := parseAuthorization(text)
	if err != nil {
		return Identity{}, err
	}
	now := v.now()
	date, err := v.scoped(r, &a, now)
	if err != nil {
		return Identity{}, err
	}
	if err := v.covered(r, &a); err != nil {
		return Identity{}, err
	}
	hash := hex.EncodeToString(bodyHash[:])
	if err := hashed(r, hash); err != nil {
		return Identity{}, err
	}
	path, ok := wirePath(r.URL)
	if !ok || normalPath(path) != path {
		return Identity{}, invalid("The path must begin with a slash and have no empty, '.' or '..' segments.")
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	*buf = canonicalRequest((*buf)[:0], r, path, query, &a, hash)
	return v.known(r, &a, date, sha256.Sum256(*buf), now)
}

func (v *Verifier) now() time.Time {
	if v.Now != nil {
		return v.Now()
	}
	return time.Now()
}

// credentials is the one Authorization header of a request that has no other place for a signature.
func credentials(r *http.Request) (url.Values, string, error) {
	var query url.Values
	if r.URL.RawQuery != "" {
		var err error
		if query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
			return nil, "", invalid("The query string is malformed.")
		}
	}
	values := r.Header["Authorization"]
	for name, of := range query {
		switch {
		case len(of) > 1:
			return nil, "", invalid("The query-string param '%s' stands more than once.", shown(name))
		case !amz(name):
		case len(values) > 0:
			return nil, "", invalid("%s", messageBoth)
		default:
			return nil, "", incomplete("%s", messageQuery)
		}
	}
	switch {
	case len(values) == 0 || len(values) == 1 && values[0] == "":
		return nil, "", &Error{CodeMissingToken, "Missing Authentication Token"}
	case len(values) > 1:
		return nil, "", incomplete("The 'Authorization' header stands more than once.")
	}
	return query, values[0], nil
}

// scoped returns the request's X-Amz-Date, which must be near now and within the scope of its credential.
func (v *Verifier) scoped(r *http.Request, a *authorization, now time.Time) (string, error) {
	values := r.Header["X-Amz-Date"]
	if len(values) == 0 {
		return "", incomplete("%s Authorization=%s", messageNoDate, algorithm)
	}
	date := values[0]
	at, err := time.Parse(isoBasic, date)
	if err != nil || len(values) > 1 || len(date) != len(isoBasic) { // Parse takes fractions that the layout does not have
		return "", incomplete("Date must be in ISO-8601 'basic format'. Got '%s'. See http://en.wikipedia.org/wiki/ISO_8601", shown(strings.Join(values, ",")))
	}
	basic := func(t time.Time) string { return t.UTC().Format(isoBasic) }
	switch ago := now.Sub(at); {
	case ago > skew:
		return "", invalid("Signature expired: %s is now earlier than %s (%s - 5 min.)", date, basic(now.Add(-skew)), basic(now))
	case ago < -skew:
		return "", invalid("Signature not yet current: %s is still later than %s (%s + 5 min.)", date, basic(now.Add(skew)), basic(now))
	case a.region != v.Region:
		return "", invalid(messageRegion, shown(a.region))
	case a.service != v.Service:
		return "", invalid(messageService, v.Service)
	case a.date != date[:8]:
		return "", invalid(messageScopeDate, shown(a.date), date[:8], date)
	}
	return date, nil
}

// hashed checks X-Amz-Content-Sha256, which may be left out but not say anything else than the body.
func hashed(r *http.Request, hash string) error {
	values := r.Header["X-Amz-Content-Sha256"]
	switch {
	case len(values) == 0:
		return nil
	case strings.HasPrefix(values[0], "UNSIGNED-") || strings.HasPrefix(values[0], "STREAMING-"):
		return invalid("The payload must be signed as a whole: '%s' is not supported here.", shown(values[0]))
	case subtle.ConstantTimeCompare([]byte(values[0]), []byte(hash)) != 1:
		return invalid("The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	return nil
}

// known compares the signature with that of the credential. All of it is done for every request, whatever is found wrong.
func (v *Verifier) known(r *http.Request, a *authorization, date string, request [sha256.Size]byte, now time.Time) (Identity, error) {
	key, ok := v.Keys.Key(a.accessKey)
	if !ok {
		key = nobody
	}
	var text [256]byte
	derived := v.derived.key(key, a)
	want := sign(derived[:], stringToSign(text[:0], date, a.scope, request))
	signed := subtle.ConstantTimeCompare(want[:], a.signature[:])

	// Hashed, as the comparison of texts of different lengths would end at once.
	have, token := sha256.Sum256([]byte(r.Header.Get("X-Amz-Security-Token"))), sha256.Sum256([]byte(key.SessionToken.Reveal()))
	tokens := subtle.ConstantTimeCompare(have[:], token[:])
	switch {
	case !ok || !key.Active || key.AccessKey != a.accessKey || tokens != 1:
		return Identity{}, &Error{CodeUnrecognized, messageToken}
	case signed != 1:
		return Identity{}, &Error{CodeInvalid, messageMismatch}
	case !key.Expires.IsZero() && !now.Before(key.Expires):
		return Identity{}, &Error{CodeExpired, messageExpired}
	}
	return Identity{key.AccessKey}, nil
}
