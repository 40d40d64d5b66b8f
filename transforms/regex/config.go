package regex

import (
	"fmt"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/core"
)

// Config is `decode: {regex: '(?P<name>...)'}`, or {regex: {pattern: ...}}.
type Config struct {
	Pattern string `yaml:"pattern" json:"pattern" jsonschema:"required,description=A regular expression (RE2). Its named groups (?P<name>...) are the columns."`
}

// UnmarshalYAML takes the expression alone too.
func (c *Config) UnmarshalYAML(n *yaml.Node) error {
	switch {
	case n.Kind == yaml.ScalarNode:
		c.Pattern = n.Value
		return nil
	case n.Kind != yaml.MappingNode:
		return fmt.Errorf("want a regular expression such as '(?P<ip>\\S+) (?P<rest>.*)': %w", core.ErrInvalid)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Value != "pattern" || value.Kind != yaml.ScalarNode {
			return fmt.Errorf("unknown %q (have pattern): want {pattern: '(?P<ip>\\S+) ...'}: %w", key.Value, core.ErrInvalid)
		}
		c.Pattern = value.Value
	}
	return nil
}

// Validate returns what is wrong with c.
func (c Config) Validate() error {
	_, _, err := c.compile()
	return err
}

// compile returns the expression and the names of its groups, empty for those without.
func (c Config) compile() (*regexp.Regexp, []string, error) {
	re, err := regexp.Compile(c.Pattern)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: it is RE2, without look-around and back references: %w", err, core.ErrInvalid)
	}
	names := re.SubexpNames()
	named := 0
	for i, name := range names {
		switch {
		case name == "":
			continue
		case name == core.RescuedColumn || core.IsHidden(name):
			return nil, nil, fmt.Errorf("the group name %q is reserved: %w", name, core.ErrInvalid)
		case slices.Contains(names[:i], name):
			return nil, nil, fmt.Errorf("two groups are named %q: give one another name: %w", name, core.ErrInvalid)
		}
		named++
	}
	if named == 0 {
		return nil, nil, fmt.Errorf("the expression has no named group, and so no column: write (?P<name>...) around what is wanted: %w", core.ErrInvalid)
	}
	return re, names, nil
}
