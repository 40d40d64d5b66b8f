package logline

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/core"
)

// Config is `decode: {logline: combined}`, or {logline: {format: combined}}.
type Config struct {
	Format string `yaml:"format" json:"format,omitempty" jsonschema:"enum=combined,enum=common,description=Which access log it is. Default combined."`
}

// The formats.
const (
	combined = "combined"
	common   = "common"
)

// UnmarshalYAML takes the name of the format alone too.
func (c *Config) UnmarshalYAML(n *yaml.Node) error {
	switch {
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		return nil
	case n.Kind == yaml.ScalarNode:
		c.Format = n.Value
		return nil
	case n.Kind != yaml.MappingNode:
		return fmt.Errorf("want combined or common: %w", core.ErrInvalid)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Value != "format" || value.Kind != yaml.ScalarNode {
			return fmt.Errorf("unknown %q (have format): want {format: combined} or {format: common}: %w", key.Value, core.ErrInvalid)
		}
		c.Format = value.Value
	}
	return nil
}

// Validate returns what is wrong with c.
func (c Config) Validate() error {
	switch c.Format {
	case "", combined, common:
		return nil
	}
	return fmt.Errorf("unknown format %q (have combined, common): for another write a regular expression, decode: {regex: '(?P<ip>\\S+) ...'}: %w",
		strings.ToValidUTF8(c.Format, "?"), core.ErrInvalid)
}
