package pipelines

import (
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

var variable = regexp.MustCompile(`\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}|\$`)

// newDecoder is a decoder that takes the values of references from env, and shows the reference where an error would
// show its value.
func newDecoder(f *found, env func(string) (string, bool)) *decoder {
	if env == nil {
		env = func(string) (string, bool) { return "", false }
	}
	f.refs = newReferences()
	return &decoder{found: f, env: func(name string) (string, bool) {
		v, ok := env(name)
		if v != "" {
			f.refs.values[name] = v
		}
		return v, ok
	}}
}

// substitute replaces ${VAR} and ${VAR:-default} in the scalar values below n; $$ is a literal $. Keys and the text of
// the file are never touched, so a value cannot become structure.
func (d *decoder) substitute(n *yaml.Node, path string) {
	switch n.Kind { //nolint:exhaustive // a tree has no others
	case yaml.ScalarNode:
		if !strings.Contains(n.Value, "$") {
			return
		}
		value, problems := expand(n.Value, d.env)
		for _, p := range problems {
			d.add(n, path, "%s", p)
		}
		// A reference needs quotes inside {}, so quotes cannot mean that a number is a text.
		d.refs.texts[n] = n.Value
		n.Value, n.Tag, n.Style = value, "", 0
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			d.substitute(n.Content[i+1], join(path, n.Content[i].Value))
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			d.substitute(c, index(path, i))
		}
	}
}

// expand is s with its references replaced, and what is wrong with them.
func expand(s string, env func(string) (string, bool)) (out string, problems []string) {
	left := maxFile
	out = variable.ReplaceAllStringFunc(s, func(m string) string {
		parts := variable.FindStringSubmatch(m)
		switch m {
		case "$$":
			return "$"
		case "$":
			problems = append(problems, "a lone $: write $$ for a dollar sign, or ${NAME} for an environment variable")
			return m
		}
		v, ok := env(parts[1])
		if !ok && parts[2] == "" {
			problems = append(problems, fmt.Sprintf("environment variable %s is not set: set it, or write ${%s:-default}", cut(parts[1], maxQuote), cut(parts[1], maxQuote)))
		}
		if v == "" {
			v = parts[3]
		}
		if left -= len(v); left < 0 {
			problems = append(problems, fmt.Sprintf("more than %d bytes once its variables are in place", maxFile))
			v = ""
		}
		return v
	})
	if len(problems) > maxErrors {
		problems = problems[:maxErrors]
	}
	return out, problems
}
