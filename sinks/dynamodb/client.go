package dynamodb

import (
	"context"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/logging"

	"github.com/penstock/penstock/core/awsapi/wholebody"
)

// requestTime bounds a request.
const requestTime = 30 * time.Second

// newClient is a client of the configured server. It tries once: what is tried again, and when, is the sink's matter.
func newClient(ctx context.Context, c Config) (*dynamodb.Client, error) {
	found, err := c.Load(ctx, c.Region, c.Endpoint)
	if err != nil {
		return nil, err
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost, t.MaxIdleConns = c.MaxConcurrency, 0
	t.ForceAttemptHTTP2 = false
	return dynamodb.NewFromConfig(found, func(o *dynamodb.Options) {
		if c.Endpoint != "" {
			o.BaseEndpoint = &c.Endpoint
		}
		o.Retryer = aws.NopRetryer{}
		o.Logger = logging.Nop{} // it warns of each condition that does not hold
		o.HTTPClient = &http.Client{Timeout: requestTime, Transport: wholebody.Transport{Next: t}}
	}), nil
}
