package servers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// S3 is a server that speaks the S3 API, with a folder of its own.
type S3 struct {
	Name      string // minio or versitygw
	Endpoint  string // http://127.0.0.1:port
	AccessKey string
	SecretKey string
	Client    *minio.Client

	proc *process
}

// S3Names are the servers that StartS3 knows.
func S3Names() []string { return []string{"minio", "versitygw"} }

// StartS3 starts a server of that name, which keeps its objects below dir.
func StartS3(ctx context.Context, name, dir string) (*S3, error) {
	addr, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	s := &S3{Name: name, Endpoint: "http://" + addr, AccessKey: "penstock", SecretKey: rand.Text()}
	objects := filepath.Join(dir, "objects")
	if err := os.MkdirAll(objects, 0o755); err != nil { //nolint:gosec // a test's folder
		return nil, err
	}
	switch name {
	case "minio":
		s.proc = &process{
			args: []string{"server", "--quiet", "--address", addr, "--console-address", "127.0.0.1:0", objects},
			env:  []string{"MINIO_ROOT_USER=" + s.AccessKey, "MINIO_ROOT_PASSWORD=" + s.SecretKey, "MINIO_UPDATE=off", "MINIO_CI_CD=1"},
		}
		s.proc.program, err = install(ctx, minioPackage)
	case "versitygw":
		s.proc = &process{
			args: []string{"--port", addr, "--quiet", "posix", objects},
			env:  []string{"ROOT_ACCESS_KEY=" + s.AccessKey, "ROOT_SECRET_KEY=" + s.SecretKey},
		}
		s.proc.program, err = install(ctx, versityPackage)
	default:
		return nil, fmt.Errorf("no S3 server is called %s: have %v", name, S3Names())
	}
	if err != nil {
		return nil, err
	}
	s.Client, err = minio.New(addr, &minio.Options{Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Region: "us-east-1", MaxRetries: 1})
	if err != nil {
		return nil, err
	}
	s.proc.ready = s.ready
	return s, s.proc.start(ctx)
}

// ready asks for the buckets.
func (s *S3) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_, err = s.Client.ListBuckets(ctx)
	return errors.Join(err, res.Body.Close())
}

// Bucket makes a bucket.
func (s *S3) Bucket(ctx context.Context, name string) error {
	return s.Client.MakeBucket(ctx, name, minio.MakeBucketOptions{})
}

// Kill ends the server as a power cut would.
func (s *S3) Kill() { s.proc.kill() }

// Restart starts it again, with what it kept.
func (s *S3) Restart(ctx context.Context) error { return s.proc.start(ctx) }
