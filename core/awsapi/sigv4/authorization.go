package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	maxSigned  = 100 // headers; SDKs sign about ten
)

// authorization is a well-formed Authorization header.
type authorization struct {
	accessKey, date, region, service string
	scope                            string   // date/region/service/aws4_request
	signed                           []string // lower-case names, in strictly rising order
	signedText                       string
	signature                        [sha256.Size]byte
}

// parseAuthorization reads the one accepted syntax:
//
//	AWS4-HMAC-SHA256 Credential=AK/date/region/service/aws4_request, SignedHeaders=a;b, Signature=64 hex digits
//
// where a comma may be followed by any number of spaces.
func parseAuthorization(text string) (authorization, error) {
	var a authorization
	name, rest, _ := strings.Cut(text, " ")
	switch {
	case strings.HasPrefix(name, "AWS") && name != algorithm:
		return a, incomplete("Unsupported AWS 'algorithm': '%s' (only %s for now). ", shown(name), algorithm)
	case name != algorithm: // it may be another service's secret, and is not shown
		return a, incomplete("Authorization header requires the algorithm %s.", algorithm)
	}
	var values [3]string
	for i, param := range [3]string{"Credential", "SignedHeaders", "Signature"} {
		value, ok := strings.CutPrefix(strings.TrimLeft(rest, " "), param+"=")
		if !ok {
			return a, lacking(text, param)
		}
		values[i], rest, ok = strings.Cut(value, ",")
		if last := i == len(values)-1; last && ok {
			return a, incomplete(messageParams, algorithm)
		}
	}
	if err := a.credential(values[0]); err != nil {
		return a, err
	}
	if err := a.headers(values[1]); err != nil {
		return a, err
	}
	sig := values[2]
	if len(sig) != hex.EncodedLen(sha256.Size) || strings.ToLower(sig) != sig {
		return a, incomplete("Authorization header's 'Signature' must be 64 lower-case hex digits. Authorization=%s", algorithm)
	}
	if _, err := hex.Decode(a.signature[:], []byte(sig)); err != nil {
		return a, incomplete("Authorization header's 'Signature' must be 64 lower-case hex digits. Authorization=%s", algorithm)
	}
	return a, nil
}

func lacking(text, param string) error {
	if strings.Contains(text, param+"=") {
		return incomplete(messageParams, algorithm)
	}
	return incomplete("Authorization header requires '%s' parameter. Authorization=%s", param, algorithm)
}

func (a *authorization) credential(text string) error {
	var ok bool
	if a.accessKey, a.scope, ok = strings.Cut(text, "/"); !ok || a.accessKey == "" {
		return incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term")
	}
	parts := strings.SplitN(a.scope, "/", 5)
	if len(parts) != 4 {
		return incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term")
	}
	a.date, a.region, a.service = parts[0], parts[1], parts[2]
	if parts[3] != terminator {
		return invalid("%s", messageTerminator)
	}
	return nil
}

func (a *authorization) headers(text string) error {
	a.signedText, a.signed = text, strings.SplitN(text, ";", maxSigned+1)
	if len(a.signed) > maxSigned {
		return incomplete("Authorization header's 'SignedHeaders' names more than %d headers.", maxSigned)
	}
	for i, name := range a.signed {
		if !headerName(name) {
			return incomplete("Authorization header's 'SignedHeaders' must be lower-case header names between semicolons, not '%s'.", shown(name))
		}
		if i > 0 && a.signed[i-1] >= name {
			return incomplete("Authorization header's 'SignedHeaders' must be in alphabetical order, each once: '%s'.", shown(name))
		}
	}
	return nil
}

// headerName reports whether s is a header's name in lower case, or HTTP/2's ":authority".
func headerName(s string) bool {
	if s == authority {
		return true
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}
