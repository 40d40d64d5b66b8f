// Package awsclient is how sources and sinks say where a service of AWS is, and as whom they ask it. It makes no clients:
// each service has its own.
package awsclient

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/penstock/penstock/core"
)

// Identity is the part of a configuration that says as whom a service is asked.
type Identity struct {
	AccessKey    string      `yaml:"access_key" json:"access_key,omitempty" jsonschema:"description=Default: the credentials that the AWS SDK finds."`
	SecretKey    core.Secret `yaml:"secret_key" json:"secret_key,omitempty" jsonschema:"description=Of access_key\\, as a reference such as ${AWS_SECRET_ACCESS_KEY}."`
	SessionToken core.Secret `yaml:"session_token" json:"session_token,omitempty" jsonschema:"description=Of temporary credentials\\, as a reference."`
	Profile      string      `yaml:"profile" json:"profile,omitempty" jsonschema:"description=Profile of the shared AWS configuration."`
	AssumeRole   string      `yaml:"assume_role" json:"assume_role,omitempty" jsonschema:"description=ARN of a role that is assumed with these credentials."`
	ExternalID   string      `yaml:"external_id" json:"external_id,omitempty" jsonschema:"description=With assume_role: what the role's trust policy asks for."`
}

var roleARN = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$`)

// Validate returns what is wrong with i.
func (i Identity) Validate() error {
	switch {
	case (i.AccessKey == "") != (i.SecretKey.Reveal() == ""):
		return fmt.Errorf("access_key and secret_key: give both, or neither to use what the AWS SDK finds: %w", core.ErrInvalid)
	case i.SessionToken.Reveal() != "" && i.AccessKey == "":
		return fmt.Errorf("session_token: belongs to an access_key: %w", core.ErrInvalid)
	case i.Profile != "" && i.AccessKey != "":
		return fmt.Errorf("profile: choose one of access_key and profile: %w", core.ErrInvalid)
	case i.AssumeRole != "" && !roleARN.MatchString(i.AssumeRole):
		return fmt.Errorf("assume_role: want the ARN of a role, such as arn:aws:iam::123456789012:role/name: %w", core.ErrInvalid)
	case i.ExternalID != "" && i.AssumeRole == "":
		return fmt.Errorf("external_id: belongs to an assume_role: %w", core.ErrInvalid)
	}
	return nil
}

// Load returns the settings of a client: the credentials of i, or else what the AWS SDK finds (environment, shared files, web
// identity, container, instance), and a region, us-east-1 where an endpoint is given and nothing says another. It asks no
// server.
func (i Identity) Load(ctx context.Context, region, endpoint string) (aws.Config, error) {
	load := []func(*config.LoadOptions) error{config.WithRegion(region), config.WithSharedConfigProfile(i.Profile)}
	if i.AccessKey != "" {
		fixed := credentials.NewStaticCredentialsProvider(i.AccessKey, i.SecretKey.Reveal(), i.SessionToken.Reveal())
		load = append(load, config.WithCredentialsProvider(fixed))
	}
	found, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return found, fmt.Errorf("find AWS credentials: %w", err)
	}
	if found.Region == "" && endpoint != "" {
		found.Region = "us-east-1"
	}
	if i.AssumeRole != "" {
		role := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(found), i.AssumeRole, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = "penstock"
			if i.ExternalID != "" {
				o.ExternalID = &i.ExternalID
			}
		})
		found.Credentials = aws.NewCredentialsCache(role)
	}
	return found, nil
}

// ValidateEndpoint returns what is wrong with the URL of a server, which may be left out; example is a right one.
func ValidateEndpoint(endpoint, example string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("endpoint: want a URL such as %s: %w", example, core.ErrInvalid)
	}
	if u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return fmt.Errorf("endpoint: a URL of scheme and host only: credentials go to access_key and secret_key: %w", core.ErrInvalid)
	}
	return nil
}
