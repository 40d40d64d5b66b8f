package kms

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/sealing"
)

const (
	// attempts are those of one call, and timeout what each may take: a service that is away is said to be so within
	// the time that a request of a client lasts.
	attempts = 3
	timeout  = 3 * time.Second
)

// contextKey names the stream in the encryption context. Policies of keys and their audit logs can use it.
const contextKey = "penstock:stream"

// Masters are the master keys of a service. They are asked with the credentials and the region that AWS's SDKs find in
// the environment.
type Masters struct{ client *kms.Client }

var _ sealing.Masters = (*Masters)(nil)

// New returns the master keys of the service at an endpoint. Nothing is asked yet, so the service need not be there.
// region is used where the environment names none.
func New(ctx context.Context, endpoint, region string) (*Masters, error) {
	if err := check(endpoint); err != nil {
		return nil, err
	}
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithDefaultRegion(region),
		config.WithRetryMaxAttempts(attempts),
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(timeout)),
	)
	if err != nil {
		return nil, fmt.Errorf("settings of AWS: %w", err)
	}
	return &Masters{kms.NewFromConfig(cfg, func(o *kms.Options) { o.BaseEndpoint = &endpoint })}, nil
}

// check refuses what is no endpoint, and one that data keys would be sent to for others to read.
func check(endpoint string) error {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("an endpoint is a URL such as https://kms.us-east-1.amazonaws.com: %w", core.ErrInvalid)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return fmt.Errorf("http shows data keys to whoever is on the way to %s: use https: %w", u.Host, core.ErrInvalid)
	}
	return nil
}

func loopback(host string) bool { return host == "localhost" || net.ParseIP(host).IsLoopback() }

func of(stream string) map[string]string { return map[string]string{contextKey: stream} }

// Generate returns a new data key.
func (m *Masters) Generate(ctx context.Context, master, stream string) ([]byte, sealing.Wrapped, error) {
	out, err := m.client.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &master, KeySpec: types.DataKeySpecAes256, EncryptionContext: of(stream)})
	if err != nil {
		return nil, sealing.Wrapped{}, explain(master, err)
	}
	return out.Plaintext, sealing.Wrapped{Master: named(out.KeyId, master), Key: out.CiphertextBlob}, nil
}

// Wrap encrypts a data key.
func (m *Masters) Wrap(ctx context.Context, master, stream string, key []byte) (sealing.Wrapped, error) {
	out, err := m.client.Encrypt(ctx, &kms.EncryptInput{KeyId: &master, Plaintext: key, EncryptionContext: of(stream)})
	if err != nil {
		return sealing.Wrapped{}, explain(master, err)
	}
	return sealing.Wrapped{Master: named(out.KeyId, master), Key: out.CiphertextBlob}, nil
}

// Unwrap decrypts a data key.
func (m *Masters) Unwrap(ctx context.Context, stream string, w sealing.Wrapped) ([]byte, error) {
	out, err := m.client.Decrypt(ctx, &kms.DecryptInput{KeyId: &w.Master, CiphertextBlob: w.Key, EncryptionContext: of(stream)})
	if err != nil {
		return nil, explain(w.Master, err)
	}
	return out.Plaintext, nil
}

// named is the key that the service says it used.
func named(arn *string, asked string) string {
	if s := aws.ToString(arn); s != "" {
		return s
	}
	return asked
}
