package kinesis

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// Bounds of a request.
const (
	requestTime = 30 * time.Second // but of a subscription, which goes on
	pingAfter   = 15 * time.Second // of silence of a connection that many subscriptions share
	idleConns   = 64
)

// NewClient is a client of the configured server. It tries once: what is tried again, and when, is the source's matter.
func NewClient(ctx context.Context, c Config) (*kinesis.Client, error) {
	load := []func(*config.LoadOptions) error{config.WithRegion(c.region()), config.WithSharedConfigProfile(c.Profile)}
	if c.AccessKey != "" {
		fixed := credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretKey.Reveal(), c.SessionToken.Reveal())
		load = append(load, config.WithCredentialsProvider(fixed))
	}
	found, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("find AWS credentials: %w", err)
	}
	if found.Region == "" && c.Endpoint != "" {
		found.Region = "us-east-1"
	}
	return kinesis.NewFromConfig(found, func(o *kinesis.Options) {
		if c.Endpoint != "" {
			o.BaseEndpoint = &c.Endpoint
		}
		o.Retryer = aws.NopRetryer{}
		o.HTTPClient = &http.Client{Transport: calm{transport()}}
	}), nil
}

func transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost, t.MaxIdleConns = idleConns, 0
	t.ResponseHeaderTimeout = requestTime
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter}
	return t
}

// calm sends a copy of each request's body. The SDK closes the body once the answer begins; where the answer comes before
// the transport has looked for more of the body, as from a server on the same machine, the transport takes the closed
// body for a failure and breaks the connection.
type calm struct{ next http.RoundTripper }

// CloseIdleConnections closes those of the transport.
func (c calm) CloseIdleConnections() {
	if t, ok := c.next.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

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
