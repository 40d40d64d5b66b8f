package integration

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/sinktest"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsclient"
	"github.com/penstock/penstock/integration/laketest"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/sinks/s3"
)

// bucket makes a bucket of a random name.
func bucket(t *testing.T, s *servers.S3) string {
	t.Helper()
	name := "b-" + strings.ToLower(rand.Text())
	require.NoError(t, s.Bucket(t.Context(), name))
	return name
}

func s3Config(s *servers.S3, bucket string) s3.Config {
	return s3.Config{Endpoint: s.Endpoint, Bucket: bucket, Identity: awsclient.Identity{AccessKey: s.AccessKey, SecretKey: core.NewSecret(s.SecretKey)}}
}

// objects is every object of a bucket, by its name.
func objects(ctx context.Context, s *servers.S3, bucket string) (map[string][]byte, error) {
	out := map[string][]byte{}
	for o := range s.Client.ListObjectsIter(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			return nil, o.Err
		}
		body, err := s.Client.GetObject(ctx, bucket, o.Key, minio.GetObjectOptions{})
		if err != nil {
			return nil, err
		}
		if out[o.Key], err = io.ReadAll(body); err != nil {
			return nil, errors.Join(err, body.Close())
		}
		if err := body.Close(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func TestTheS3SinkKeepsItsContract(t *testing.T) {
	for _, name := range servers.S3Names() {
		t.Run(name, func(t *testing.T) {
			server := servers.S3For(t, name)
			sinktest.Run(t, func(t *testing.T) sinktest.Target {
				cfg := s3Config(server, bucket(t, server))
				cfg.Prefix = "lake/!{timestamp:yyyy-MM-dd}/"
				return sinktest.Target{
					Open: func(t *testing.T) connectors.Sink {
						s, err := s3.Open(t.Context(), cfg)
						require.NoError(t, err)
						require.NoError(t, s.Probe(t.Context()))
						return s
					},
					Rows: func(t *testing.T) []string {
						found, err := objects(t.Context(), server, cfg.Bucket)
						require.NoError(t, err)
						return laketest.Rows(t, found)
					},
				}
			})
		})
	}
}
