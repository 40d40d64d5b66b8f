package pipelines

import (
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

var variable = regexp.MustCompile(`\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}|\$`)

// substitute replaces ${VAR} and ${VAR:-default} in the scalar values below n; $$ is a literal $. Keys and the text of
// the file are never touched, so a value cannot become structure.
func substitute(f *found, n *yaml.Node, path string, env func(string) (string, bool)) {
	switch n.Kind { //nolint:exhaustive // the others are handled below
	case yaml.ScalarNode:
		if strings.Contains(n.Value, "$") {
			value, err := expand(n.Value, env)
			if err != nil {
				f.add(n, path, "%v", err)
				return
			}
			n.Value = value
			if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 {
				n.Tag = "" // what it is now decides
			}
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			substitute(f, n.Content[i+1], join(path, n.Content[i].Value), env)
		}
	case yaml.SequenceNode, yaml.DocumentNode:
		for i, c := range n.Content {
			at := path
			if n.Kind == yaml.SequenceNode {
				at = fmt.Sprintf("%s[%d]", path, i)
			}
			substitute(f, c, at, env)
		}
	}
}

func expand(s string, env func(string) (string, bool)) (string, error) {
	var err error
	out := variable.ReplaceAllStringFunc(s, func(m string) string {
		parts := variable.FindStringSubmatch(m)
		switch m {
		case "$$":
			return "$"
		case "$":
			err = fmt.Errorf("a lone $: write $$ for a dollar sign, or ${NAME} for an environment variable")
			return m
		}
		if v, ok := env(parts[1]); ok && (v != "" || parts[2] == "") {
			return v
		}
		if parts[2] == "" {
			err = fmt.Errorf("environment variable %s is not set: set it, or write ${%s:-default}", parts[1], parts[1])
		}
		return parts[3]
	})
	return out, err
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
