package s3

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/sinks/internal/lake"
)

// Config is `sink: {s3: ...}`.
type Config struct {
	Endpoint     string      `yaml:"endpoint" json:"endpoint,omitempty" jsonschema:"description=URL of the server such as http://127.0.0.1:9000. Default: AWS."`
	Region       string      `yaml:"region" json:"region,omitempty" jsonschema:"description=Region of the bucket. Default: that of the environment\\, or us-east-1."`
	Bucket       string      `yaml:"bucket" json:"bucket" jsonschema:"required,description=name the bucket that objects go to; it must be there"`
	Addressing   string      `yaml:"addressing" json:"addressing,omitempty" jsonschema:"enum=auto,enum=path,enum=virtual_host,description=Where requests name the bucket. Default auto: in the host for AWS\\, else in the path."`
	AccessKey    string      `yaml:"access_key" json:"access_key,omitempty" jsonschema:"description=Default: the credentials that the AWS SDK finds."`
	SecretKey    core.Secret `yaml:"secret_key" json:"secret_key,omitempty" jsonschema:"description=Of access_key\\, as a reference such as ${S3_SECRET_KEY}."`
	SessionToken core.Secret `yaml:"session_token" json:"session_token,omitempty" jsonschema:"description=Of temporary credentials\\, as a reference."`
	Profile      string      `yaml:"profile" json:"profile,omitempty" jsonschema:"description=Profile of the shared AWS configuration."`
	lake.Layout  `yaml:",inline"`
}

// Validate returns what is wrong with c.
func (c Config) Validate() error {
	return errors.Join(c.validateBucket(), c.validateEndpoint(), c.validateCredentials(), c.Layout.Validate())
}

func (c Config) validateBucket() error {
	if c.Bucket == "" {
		return fmt.Errorf("bucket: name the bucket that objects go to: %w", core.ErrInvalid)
	}
	if err := s3utils.CheckValidBucketName(c.Bucket); err != nil {
		return fmt.Errorf("bucket: %q is not a bucket's name: %w: %w", c.Bucket, err, core.ErrInvalid)
	}
	return nil
}

func (c Config) validateEndpoint() error {
	if c.Endpoint != "" {
		u, err := url.Parse(c.Endpoint)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("endpoint: want a URL such as http://127.0.0.1:9000: %w", core.ErrInvalid)
		}
		if u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return fmt.Errorf("endpoint: a URL of scheme and host only: credentials go to access_key and secret_key, the path to bucket and prefix: %w", core.ErrInvalid)
		}
	}
	return nil
}

func (c Config) validateCredentials() error {
	switch {
	case (c.AccessKey == "") != (c.SecretKey.Reveal() == ""):
		return fmt.Errorf("access_key and secret_key: give both, or neither to use what the AWS SDK finds: %w", core.ErrInvalid)
	case c.SessionToken.Reveal() != "" && c.AccessKey == "":
		return fmt.Errorf("session_token: belongs to an access_key: %w", core.ErrInvalid)
	case c.Profile != "" && c.AccessKey != "":
		return fmt.Errorf("profile: choose one of access_key and profile: %w", core.ErrInvalid)
	}
	return nil
}
