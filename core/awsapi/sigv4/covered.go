package sigv4

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// meaning names the headers, beside x-amz-*, that say how a request is to be read.
var meaning = []string{"Content-Type", "Content-Encoding", "Smithy-Protocol"}

// covered checks that a request's headers can be read in one way only, and that those which give it its meaning are signed.
func (v *Verifier) covered(r *http.Request, a *authorization) error {
	if err := hosted(r, a); err != nil {
		return err
	}
	found := 0
	for name, values := range r.Header {
		if name != http.CanonicalHeaderKey(name) || !httpguts.ValidHeaderFieldName(name) {
			return invalid("The header '%s' is malformed.", shown(name))
		}
		signed := slices.ContainsFunc(a.signed, func(s string) bool { return strings.EqualFold(s, name) })
		if !signed && !amz(name) && !slices.Contains(meaning, name) {
			continue
		}
		switch {
		case name == "Host": // counted by hosted
		case !signed && !v.excused(name, values):
			return invalid("There were headers present in the request which were not signed: '%s'.", shown(strings.ToLower(name)))
		case len(values) != 1:
			return invalid("The header '%s' stands more than once.", shown(strings.ToLower(name)))
		case strings.ContainsFunc(values[0], control):
			return invalid("The header '%s' has control characters.", shown(strings.ToLower(name)))
		case signed:
			found++
		}
	}
	if found != len(a.signed)-1 { // the one is the host
		return invalid("'SignedHeaders' in the AWS Authorization names a header that is not in the request, or none of the 'Host' and ':authority'.")
	}
	return nil
}

// hosted checks that the one host of a request is signed, as host or as HTTP/2's :authority.
func hosted(r *http.Request, a *authorization) error {
	asHost, asAuthority := slices.Contains(a.signed, host), slices.Contains(a.signed, authority)
	if asHost == asAuthority || asAuthority && r.ProtoMajor != 2 {
		return invalid("%s", messageHost)
	}
	if r.Host == "" || strings.ContainsFunc(r.Host, control) {
		return invalid("The 'Host' header is missing or malformed.")
	}
	for _, h := range r.Header["Host"] { // an HTTP/2 client may send it beside :authority
		if h != r.Host {
			return invalid("The 'Host' header stands more than once.")
		}
	}
	return nil
}

// excused reports whether a header may go unsigned. See Verifier.UnsignedContentType.
func (v *Verifier) excused(name string, values []string) bool {
	return name == "Content-Type" && v.UnsignedContentType != "" && len(values) == 1 && values[0] == v.UnsignedContentType
}

// amz reports whether name begins with x-amz-, in whatever case.
func amz(name string) bool {
	const prefix = "x-amz-"
	return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
}

func control(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
