// Package wholebody is for clients of AWS's SDK for Go at a server that is near.
package wholebody

import (
	"bytes"
	"io"
	"net/http"
)

// Transport sends a copy of each request's body. The SDK closes the body once the answer begins; where the answer comes
// before the transport has looked for more of the body, as from a server on the same machine, the transport takes the
// closed body for a failure and breaks the connection.
type Transport struct{ Next http.RoundTripper }

// CloseIdleConnections closes those of the next transport.
func (t Transport) CloseIdleConnections() {
	if next, ok := t.Next.(interface{ CloseIdleConnections() }); ok {
		next.CloseIdleConnections()
	}
}

// RoundTrip sends a request.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		return t.Next.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	return t.Next.RoundTrip(r)
}
