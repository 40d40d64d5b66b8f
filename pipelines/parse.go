package pipelines

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Bounds of a file.
const (
	maxFile  = 1 << 20
	maxDepth = 64
	maxNodes = 10_000
)

// parse is the one mapping that a file must hold: a tree of its own, without aliases, anchors and comments. It is nil where
// there is none; what else is wrong in it is marked.
func parse(f *found, text []byte) *yaml.Node {
	if !readable(f, text) {
		return nil
	}
	doc := document(f, text)
	if doc == nil {
		return nil
	}
	t := &tree{found: f, left: maxNodes}
	root := t.copy(doc, "", 0)
	if len(f.list) == 0 && root.Kind != yaml.MappingNode {
		f.add(root, "", "a pipeline is a mapping that begins with version: 1")
	}
	if t.over || root.Kind != yaml.MappingNode {
		return nil
	}
	return root
}

// readable refuses what no text editor would have written: the YAML library names no place for that.
func readable(f *found, text []byte) bool {
	if len(text) > maxFile {
		f.add(nil, "", "the file has %d bytes, more than %d: a pipeline file holds settings, not data", len(text), maxFile)
		return false
	}
	line, column := 1, 0 // counted along: counting anew for each character takes minutes where a line is long
	for i := 0; i < len(text); {
		c, size := utf8.DecodeRune(text[i:])
		column++
		at := &yaml.Node{Line: line, Column: column}
		switch {
		case c == utf8.RuneError && size <= 1:
			f.add(at, "", "byte 0x%02x is not UTF-8: save the file as UTF-8", text[i])
			return false
		case c == '\n':
			line, column = line+1, 0
		case c < ' ' && c != '\t' && c != '\r', c >= 0x7f && c < 0xa0 && c != 0x85, c == 0xfffe, c == 0xffff:
			f.add(at, "", "control character U+%04X: remove it, or write it as an escape in double quotes", c)
			return false
		}
		i += size
	}
	return true
}

// document is the root of the one document of a file.
func document(f *found, text []byte) (root *yaml.Node) {
	defer func() {
		if p := recover(); p != nil {
			f.add(nil, "", "this is no YAML: %v", p)
			root = nil
		}
	}()
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	var doc, more yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && (len(doc.Content) == 0 || doc.Content[0].Tag == "!!null") {
		f.add(nil, "", "the file is empty: a pipeline has version, name, source and sink")
		return nil
	}
	if err != nil {
		f.yaml(err, text)
		return nil
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		f.add(&more, "", "a second document: one file is one pipeline, so write it to a file of its own")
		return nil
	case !errors.Is(err, io.EOF):
		f.yaml(err, text)
		return nil
	}
	return doc.Content[0]
}

var (
	yamlLine   = regexp.MustCompile(`^line (\d+): (?s:(.*))$`)
	yamlAnchor = regexp.MustCompile(`^unknown anchor '(?s:(.*))' referenced$`)
)

// yaml adds an error of the YAML library, whose text may name the line.
func (f *found) yaml(err error, text []byte) {
	what := strings.TrimPrefix(err.Error(), "yaml: ")
	at := &yaml.Node{Line: 1, Column: 1}
	if m := yamlLine.FindStringSubmatch(what); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			at.Line = min(n, 1+strings.Count(strings.TrimRight(string(text), "\n"), "\n"))
		}
		what = m[2]
	}
	if m := yamlAnchor.FindStringSubmatch(what); m != nil {
		if before, _, ok := strings.Cut(string(text), "*"+m[1]); ok {
			at.Line += strings.Count(before, "\n")
			at.Column = 1 + utf8.RuneCountInString(before[strings.LastIndex(before, "\n")+1:])
		}
		what = "alias of an anchor that is not there: put a value that begins with * in quotes" // its name may be a secret
	}
	if strings.Contains(what, "cannot start any token") {
		what += ": indent with spaces, and put values that begin with @, ` or % in quotes"
	}
	f.add(at, "", "this is no YAML: %s", what)
}

// tree copies a parsed file, and refuses what would grow: a small text can make a large tree of aliases.
type tree struct {
	*found
	left int // nodes that may come
	over bool
}

// tags are those that a value may have; others, such as !!binary, would change what it is.
var tags = []string{"", "!", "!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq", "!!timestamp"}

func (t *tree) copy(n *yaml.Node, path string, depth int) *yaml.Node {
	if t.left--; t.left < 0 || depth > maxDepth {
		if !t.over {
			t.add(n, cut(path, maxQuote), "the file nests deeper than %d, or has more than %d values once its aliases are in place", maxDepth, maxNodes)
		}
		t.over = true
	}
	if t.over {
		return n
	}
	if n.Kind == yaml.AliasNode {
		c := t.copy(n.Alias, path, depth+1)
		c.Line, c.Column = n.Line, n.Column
		return c
	}
	out := &yaml.Node{Kind: n.Kind, Tag: n.Tag, Value: n.Value, Style: n.Style &^ yaml.FlowStyle, Line: n.Line, Column: n.Column}
	switch {
	case n.Kind == yaml.MappingNode && n.Tag == "!!seq", n.Kind == yaml.SequenceNode && n.Tag == "!!map", !slices.Contains(tags, n.Tag):
		t.add(out, path, "a tag (the word after !) that means nothing here: remove it, or put the value in quotes")
	case n.Kind == yaml.MappingNode:
		t.mapping(out, n, path, depth)
	case n.Kind == yaml.SequenceNode:
		for i, c := range n.Content {
			if t.over {
				break
			}
			out.Content = append(out.Content, t.copy(c, index(path, i), depth+1))
		}
	}
	return out
}

func (t *tree) mapping(out, n *yaml.Node, path string, depth int) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content) && !t.over; i += 2 {
		key := n.Content[i]
		at, before := join(path, key.Value), len(t.list)
		switch first := seen[key.Value]; {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!null" && key.Value != "null": // a setting may be called null
			t.add(key, path, "a key must be a word")
		case key.Tag == "!!merge":
			t.add(key, at, "merge keys are not supported: write the keys out")
		case !slices.Contains(tags, key.Tag):
			t.add(key, path, "a key must be a word without a tag")
		case first > 0:
			t.add(key, at, "key stands twice, first in line %d: remove one", first)
			continue
		}
		if len(t.list) > before {
			t.mark(out) // what it would hold is not known
			continue
		}
		seen[key.Value] = max(key.Line, 1)
		out.Content = append(out.Content, t.copy(key, at, depth+1), t.copy(n.Content[i+1], at, depth+1))
	}
}

// child is the value of a key, or nil.
func child(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// at is the value of a key, or the mapping where there is none.
func at(n *yaml.Node, key string) *yaml.Node {
	if c := child(n, key); c != nil {
		return c
	}
	return n
}

// null reports whether a value is left out, as in "parquet:".
func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// kindOf is what a node is, in a message.
func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case null(n):
		return "nothing"
	}
	what, ok := map[string]string{"!!int": "number", "!!float": "number", "!!bool": "bool"}[n.ShortTag()]
	if !ok {
		what = "text"
	}
	return fmt.Sprintf("the %s %s", what, quote(n.Value))
}
