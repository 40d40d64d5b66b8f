package iam

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Error is one mistake: a thing that is wrong in a credentials file or a policy, and where. It never quotes a secret.
type Error struct {
	File         string // empty for a policy alone
	Line, Column int
	Path         string // such as [0].policy.Statement[1].Effect
	What         string
}

func (m Error) Error() string {
	out := fmt.Sprintf("%d:%d: ", m.Line, m.Column)
	if m.File != "" {
		out = m.File + ":" + out
	}
	if m.Path != "" {
		out += m.Path + ": "
	}
	return out + m.What
}

// Errors are all the mistakes of one text, in the order of the text.
type Errors []Error

func (m Errors) Error() string {
	lines := make([]string, len(m))
	for i, one := range m {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// maxMistakes bounds what a hostile text can make us say.
const maxMistakes = 50

// found gathers the mistakes of one text.
type found struct {
	file string
	list Errors
}

func (f *found) add(n *yaml.Node, path, format string, args ...any) {
	if len(f.list) < maxMistakes {
		f.list = append(f.list, Error{f.file, max(n.Line, 1), max(n.Column, 1), strings.TrimPrefix(path, "."), fmt.Sprintf(format, args...)})
	}
}

func (f *found) err() error {
	if len(f.list) == 0 {
		return nil
	}
	slices.SortStableFunc(f.list, func(a, b Error) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return f.list
}

// fields are the values of a mapping by key. It tells of keys that are not known and that stand twice.
func (f *found) fields(n *yaml.Node, path string, known ...string) map[string]*yaml.Node {
	out := map[string]*yaml.Node{}
	f.each(n, path, func(key, value *yaml.Node) {
		if !slices.Contains(known, key.Value) {
			f.add(key, path, "unknown %s (have %s)", quote(key.Value), strings.Join(known, ", "))
			return
		}
		out[key.Value] = value
	})
	return out
}

// each calls do for every key of a mapping, once.
func (f *found) each(n *yaml.Node, path string, do func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		f.add(n, path, "want a mapping, not %s", kindOf(n))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode:
			f.add(key, path, "a key must be a word")
		case seen[key.Value]:
			f.add(key, path, "%s stands twice", quote(key.Value))
		default:
			seen[key.Value] = true
			do(key, n.Content[i+1])
		}
	}
}

// items are the nodes of a list, or the one node that stands in the place of a list of one.
func items(n *yaml.Node) []*yaml.Node {
	if n.Kind == yaml.SequenceNode {
		return n.Content
	}
	return []*yaml.Node{n}
}

// texts calls do with each text of a value that is one or a list of them.
func (f *found) texts(n *yaml.Node, path string, do func(n *yaml.Node, text string)) {
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		f.add(n, path, "the list is empty")
	}
	for _, item := range items(n) {
		if text, ok := f.text(item, path); ok {
			do(item, text)
		}
	}
}

// text is a scalar as it is written, so that 000000000000 and true are themselves.
func (f *found) text(n *yaml.Node, path string) (string, bool) {
	if n.Kind != yaml.ScalarNode || !slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!timestamp"}, n.ShortTag()) {
		f.add(n, path, "want text, not %s", kindOf(n))
		return "", false
	}
	return n.Value, true
}

func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "an alias (quote a value that begins with *, and write values out)"
	case n.ShortTag() == "!!null":
		return "nothing"
	}
	return "a value of this kind"
}

// quote shows text of the user's, cut short.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return fmt.Sprintf("%q", s)
}
