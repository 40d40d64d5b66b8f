package kinesis

import (
	"context"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/penstock/penstock/core/awsapi/wholebody"
)

// Bounds of a request.
const (
	requestTime = 30 * time.Second // but of a subscription, which goes on
	pingAfter   = 15 * time.Second // of silence of a connection that many subscriptions share
	idleConns   = 64
)

// NewClient is a client of the configured server. It tries once: what is tried again, and when, is the source's matter.
func NewClient(ctx context.Context, c Config) (*kinesis.Client, error) {
	found, err := c.Load(ctx, c.region(), c.Endpoint)
	if err != nil {
		return nil, err
	}
	return kinesis.NewFromConfig(found, func(o *kinesis.Options) {
		if c.Endpoint != "" {
			o.BaseEndpoint = &c.Endpoint
		}
		o.Retryer = aws.NopRetryer{}
		o.HTTPClient = &http.Client{Transport: wholebody.Transport{Next: transport()}}
	}), nil
}

func transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost, t.MaxIdleConns = idleConns, 0
	t.ResponseHeaderTimeout = requestTime
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter}
	return t
}
