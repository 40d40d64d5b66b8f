// Package kinesistest has a client of the Kinesis API for tests of servers.
package kinesistest

import (
	"crypto/tls"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/penstock/penstock/core/awsapi/wholebody"
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
		RetryMaxAttempts: 1, HTTPClient: &http.Client{Transport: wholebody.Transport{Next: transport}},
	})
}

// Trust is a change to Client by which it speaks TLS as c says.
func Trust(c *tls.Config) func(*http.Transport) {
	return func(t *http.Transport) { t.TLSClientConfig = c.Clone() } // which a transport changes
}
