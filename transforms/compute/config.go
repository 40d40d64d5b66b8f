package compute

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/core"
)

// Column is a name and the expression that computes it.
type Column struct{ Name, Expr string }

// Config is the columns, written as a mapping whose order counts: {hour: 'timestamp_trunc(event_time, "hour")'}.
type Config []Column

// UnmarshalYAML reads the mapping.
func (c *Config) UnmarshalYAML(n *yaml.Node) error {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: compute wants columns and expressions, such as {hour: 'timestamp_trunc(event_time, \"hour\")'}: %w", n.Line, core.ErrInvalid)
	}
	out := make(Config, 0, len(n.Content)/2)
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, src := n.Content[i], n.Content[i+1]
		if src.Kind == yaml.AliasNode {
			src = src.Alias
		}
		switch {
		case name.Kind != yaml.ScalarNode || src.Kind != yaml.ScalarNode:
			return fmt.Errorf("line %d: the expression of %s must be a text: %w", src.Line, name.Value, core.ErrInvalid)
		case seen[name.Value]:
			return fmt.Errorf("line %d: column %s stands twice: %w", name.Line, name.Value, core.ErrInvalid)
		}
		seen[name.Value] = true
		out = append(out, Column{name.Value, src.Value})
	}
	*c = out
	return nil
}

// JSONSchemaAlias says in which form the mapping is written.
func (Config) JSONSchemaAlias() any { return map[string]string{} }

// MarshalYAML writes the mapping.
func (c Config) MarshalYAML() (any, error) {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, col := range c {
		n.Content = append(n.Content,
			&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: col.Name}, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: col.Expr})
	}
	return n, nil
}
