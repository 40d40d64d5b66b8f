// Package kinesistest has a client of the Kinesis API for tests of servers.
package kinesistest

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// Client is AWS's SDK for Go at an endpoint, without retries: what goes wrong is seen. What change does is done to its
// transport.
func Client(endpoint, accessKey, secret string, change ...func(*http.Transport)) *kinesis.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	for _, f := range change {
		f(transport)
	}
	return kinesis.New(kinesis.Options{
		BaseEndpoint: &endpoint, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider(accessKey, secret, ""),
		RetryMaxAttempts: 1, HTTPClient: &http.Client{Transport: calm{transport}},
	})
}

// Trust is a change to Client by which it speaks TLS as c says.
func Trust(c *tls.Config) func(*http.Transport) {
	return func(t *http.Transport) { t.TLSClientConfig = c.Clone() } // which a transport changes
}

// calm sends a copy of each request's body. The SDK closes the body once the answer begins; where the answer comes before
// the transport has looked for more of the body, as from a server on the same machine, the transport takes the closed
// body for a failure and breaks the connection.
type calm struct{ next http.RoundTripper }

func (c calm) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		return c.next.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	return c.next.RoundTrip(r)
}
