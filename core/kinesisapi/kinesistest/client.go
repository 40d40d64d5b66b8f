// Package kinesistest has a client of the Kinesis API for tests of servers.
package kinesistest

import (
	"bytes"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// Client is AWS's SDK for Go at an endpoint, without retries: what goes wrong is seen.
func Client(endpoint, accessKey, secret string) *kinesis.Client {
	return kinesis.New(kinesis.Options{
		BaseEndpoint: &endpoint, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider(accessKey, secret, ""),
		RetryMaxAttempts: 1, HTTPClient: &http.Client{Transport: calm{http.DefaultTransport.(*http.Transport).Clone()}},
	})
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
