package s3

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Bounds of a request.
const (
	dialTime    = 10 * time.Second
	requestTime = 2 * time.Minute // of a part, 70 kB/s
	tries       = 3               // the client's own; the worker retries what still fails
)

// newClient is a client of the configured server.
func newClient(ctx context.Context, c Config) (*minio.Core, error) {
	u := &url.URL{Scheme: "https", Host: "s3.amazonaws.com"}
	if c.Endpoint != "" {
		var err error
		if u, err = url.Parse(c.Endpoint); err != nil {
			return nil, err
		}
	}
	creds, region, err := credentialsOf(ctx, c)
	if err != nil {
		return nil, err
	}
	if region == "" && c.Endpoint != "" {
		region = "us-east-1"
	}
	transport, err := minio.DefaultTransport(u.Scheme == "https")
	if err != nil {
		return nil, err
	}
	transport.ResponseHeaderTimeout = requestTime
	transport.MaxIdleConnsPerHost = 4 * uploadsInFlight
	return minio.NewCore(u.Host, &minio.Options{
		Creds: creds, Secure: u.Scheme == "https", Region: region, BucketLookup: lookup(c), MaxRetries: tries,
		Transport: http.RoundTripper(transport),
	})
}

func lookup(c Config) minio.BucketLookupType {
	switch c.Addressing {
	case "path":
		return minio.BucketLookupPath
	case "virtual_host":
		return minio.BucketLookupDNS
	}
	if c.Endpoint != "" {
		return minio.BucketLookupAuto
	}
	return minio.BucketLookupDNS
}

// credentialsOf are those of the configuration.
func credentialsOf(ctx context.Context, c Config) (*credentials.Credentials, string, error) {
	if c.AccessKey != "" && c.AssumeRole == "" {
		return credentials.NewStaticV4(c.AccessKey, c.SecretKey.Reveal(), c.SessionToken.Reveal()), c.Region, nil
	}
	found, err := c.Load(ctx, c.Region, c.Endpoint)
	return credentials.New(&chain{from: found.Credentials}), found.Region, err
}

// chain gives the client the credentials of the AWS SDK, and asks for new ones before they expire.
type chain struct {
	credentials.Expiry
	from  aws.CredentialsProvider
	asked bool
	keep  bool // they do not expire
}

// refreshBefore is how long before their end credentials are replaced.
const refreshBefore = 2 * time.Minute

// RetrieveWithCredContext returns the credentials that the SDK has now.
func (c *chain) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTime)
	defer cancel()
	v, err := c.from.Retrieve(ctx)
	if err != nil {
		return credentials.Value{}, fmt.Errorf("no credentials: set access_key and secret_key, or give the AWS SDK some (environment, profile, role): %w", err)
	}
	c.asked, c.keep = true, !v.CanExpire
	if v.CanExpire {
		c.SetExpiration(v.Expires, refreshBefore)
	}
	return credentials.Value{
		AccessKeyID: v.AccessKeyID, SecretAccessKey: v.SecretAccessKey, SessionToken: v.SessionToken,
		Expiration: v.Expires, SignerType: credentials.SignatureV4,
	}, nil
}

// Retrieve is RetrieveWithCredContext without one.
func (c *chain) Retrieve() (credentials.Value, error) { return c.RetrieveWithCredContext(nil) }

// IsExpired reports whether new credentials are needed.
func (c *chain) IsExpired() bool {
	return !c.asked || !c.keep && c.Expiry.IsExpired()
}
