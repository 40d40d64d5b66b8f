package kinesis

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsclient"
)

// Config is `source: {kinesis: ...}`.
type Config struct {
	Stream             string `yaml:"stream" json:"stream" jsonschema:"required,description=Name or ARN of the stream."`
	Endpoint           string `yaml:"endpoint" json:"endpoint,omitempty" jsonschema:"description=URL of the server such as http://127.0.0.1:4567. Default: AWS."`
	Region             string `yaml:"region" json:"region,omitempty" jsonschema:"description=Region of the stream. Default: that of its ARN or of the environment\\, or us-east-1 with an endpoint."`
	Mode               string `yaml:"mode" json:"mode,omitempty" jsonschema:"enum=polling,enum=fan_out,description=How shards are read: polling (GetRecords) or fan_out (SubscribeToShard\\, as an enhanced fan-out consumer). Default polling."`
	Consumer           string `yaml:"consumer" json:"consumer,omitempty" jsonschema:"description=With fan_out: name of the consumer\\, which is registered if it is not there. No other reader may have it."`
	awsclient.Identity `yaml:",inline"`
}

// fanOut is the mode of enhanced fan-out; every other is polling.
const fanOut = "fan_out"

var (
	plainName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)
	streamARN = regexp.MustCompile(`^arn:aws[a-z-]*:kinesis:([a-z0-9-]+):\d{12}:stream/[a-zA-Z0-9_.-]{1,128}$`)
)

// Validate returns what is wrong with c.
func (c Config) Validate() error {
	return errors.Join(c.validateStream(), awsclient.ValidateEndpoint(c.Endpoint, "http://127.0.0.1:4567"), c.validateMode(), c.Identity.Validate())
}

func (c Config) validateStream() error {
	switch {
	case c.Stream == "":
		return fmt.Errorf("stream: name the stream to read: %w", core.ErrInvalid)
	case !plainName.MatchString(c.Stream) && !streamARN.MatchString(c.Stream):
		return fmt.Errorf("stream: %q is neither the name nor the ARN of a stream: %w", c.Stream, core.ErrInvalid)
	}
	return nil
}

func (c Config) validateMode() error {
	switch {
	case c.Mode != "" && c.Mode != "polling" && c.Mode != fanOut:
		return fmt.Errorf("mode: unknown %q (have fan_out, polling): %w", c.Mode, core.ErrInvalid)
	case c.Mode == fanOut && !plainName.MatchString(c.Consumer):
		return fmt.Errorf("consumer: with mode: fan_out, name the consumer, 1 to 128 of a-z A-Z 0-9 _ . -: %w", core.ErrInvalid)
	case c.Mode != fanOut && c.Consumer != "":
		return fmt.Errorf("consumer: only mode: fan_out has one: %w", core.ErrInvalid)
	}
	return nil
}

// region is what the configuration says of it; empty: nothing.
func (c Config) region() string {
	if m := streamARN.FindStringSubmatch(c.Stream); m != nil && c.Region == "" {
		return m[1]
	}
	return c.Region
}

// names are the stream's name and ARN as requests have them: one of them.
func (c Config) names() (name, arn *string) {
	if strings.HasPrefix(c.Stream, "arn:") {
		return nil, &c.Stream
	}
	return &c.Stream, nil
}
