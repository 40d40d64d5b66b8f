package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	host      = "host"
	authority = ":authority" // what JavaScript's HTTP/2 client signs in the place of host
)

// canonicalRequest appends the text whose hash is signed. Path is in normal form and as it stood on the wire; a header
// that stands more than once is joined by commas.
func canonicalRequest(dst []byte, r *http.Request, path string, query url.Values, a *authorization, bodyHash string) []byte {
	dst = append(dst, r.Method...)
	dst = append(dst, '\n')
	dst = appendEscaped(dst, path, true)
	dst = append(dst, '\n')
	dst = appendQuery(dst, query)
	dst = append(dst, '\n')
	for _, name := range a.signed {
		dst = append(dst, name...)
		dst = append(dst, ':')
		if name == host || name == authority {
			dst = appendValue(dst, r.Host)
		} else {
			for i, value := range r.Header[http.CanonicalHeaderKey(name)] {
				if i > 0 {
					dst = append(dst, ',')
				}
				dst = appendValue(dst, value)
			}
		}
		dst = append(dst, '\n')
	}
	dst = append(dst, '\n')
	dst = append(dst, a.signedText...)
	dst = append(dst, '\n')
	return append(dst, bodyHash...)
}

// stringToSign appends the text that the signature is the HMAC of.
func stringToSign(dst []byte, date, scope string, request [sha256.Size]byte) []byte {
	dst = append(dst, algorithm+"\n"...)
	dst = append(dst, date...)
	dst = append(dst, '\n')
	dst = append(dst, scope...)
	dst = append(dst, '\n')
	return hex.AppendEncode(dst, request[:])
}

// appendValue appends a header's value without blanks around it and with one space for several.
func appendValue(dst []byte, value string) []byte {
	value = strings.Trim(value, " \t")
	for i := range len(value) {
		if c := value[i]; c != ' ' || value[i-1] != ' ' {
			dst = append(dst, c)
		}
	}
	return dst
}

// appendEscaped appends s with all but AWS's unreserved characters as %XX. Services other than S3 have paths escaped once
// more than they are on the wire, which is what this makes of a path that is escaped already.
func appendEscaped(dst []byte, s string, path bool) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~', c == '/' && path:
			dst = append(dst, c)
		default:
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}

// appendQuery appends the parameters in the order of their escaped names, then of their escaped values.
func appendQuery(dst []byte, query url.Values) []byte {
	if len(query) == 0 {
		return dst
	}
	type pair struct{ name, value string }
	pairs := make([]pair, 0, len(query))
	for name, values := range query {
		name = string(appendEscaped(nil, name, false))
		for _, value := range values {
			pairs = append(pairs, pair{name, string(appendEscaped(nil, value, false))})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if a.name != b.name {
			return strings.Compare(a.name, b.name)
		}
		return strings.Compare(a.value, b.value)
	})
	for i, p := range pairs {
		if i > 0 {
			dst = append(dst, '&')
		}
		dst = append(dst, p.name...)
		dst = append(dst, '=')
		dst = append(dst, p.value...)
	}
	return dst
}

// wirePath is the path as it was sent. Where the URL holds an escaped form beside the path, the two must say the same:
// the handler reads the path, the client signed the escaped form.
func wirePath(u *url.URL) (string, bool) {
	switch {
	case u.Opaque != "":
		return "", false
	case u.Path == "" && u.RawPath == "":
		return "/", true
	case u.RawPath == "":
		return u.EscapedPath(), u.Path[0] == '/'
	}
	path, err := url.PathUnescape(u.RawPath)
	return u.RawPath, err == nil && path == u.Path && u.RawPath[0] == '/'
}

// normalPath is a path without empty segments, "." and "..", as AWS's services other than S3 sign it.
func normalPath(path string) string {
	if !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return path
	}
	var out []string
	segments := strings.Split(path, "/")
	for _, s := range segments {
		switch s {
		case "", ".":
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
		default:
			out = append(out, s)
		}
	}
	normal := "/" + strings.Join(out, "/")
	if last := segments[len(segments)-1]; len(out) > 0 && last == "" {
		normal += "/"
	}
	return normal
}
