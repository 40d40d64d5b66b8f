package s3

import (
	"errors"
	"fmt"

	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsclient"
	"github.com/penstock/penstock/sinks/internal/lake"
)

// Config is `sink: {s3: ...}`.
type Config struct {
	Endpoint           string `yaml:"endpoint" json:"endpoint,omitempty" jsonschema:"description=URL of the server such as http://127.0.0.1:9000. Default: AWS."`
	Region             string `yaml:"region" json:"region,omitempty" jsonschema:"description=Region of the bucket. Default: that of the environment\\, or us-east-1."`
	Bucket             string `yaml:"bucket" json:"bucket" jsonschema:"required,description=name the bucket that objects go to; it must be there"`
	Addressing         string `yaml:"addressing" json:"addressing,omitempty" jsonschema:"enum=auto,enum=path,enum=virtual_host,description=Where requests name the bucket. Default auto: in the host for AWS\\, else in the path."`
	awsclient.Identity `yaml:",inline"`
	lake.Layout        `yaml:",inline"`
}

// Validate returns what is wrong with c.
func (c Config) Validate() error {
	return errors.Join(c.validateBucket(), awsclient.ValidateEndpoint(c.Endpoint, "http://127.0.0.1:9000"), c.Identity.Validate(), c.Layout.Validate())
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
