package iam

import (
	"bytes"
	"encoding/json"
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

// maxDepth is far more than a policy needs.
const maxDepth = 16

// yamlTree is the one document of a YAML text; nil when there is none.
func (f *found) yamlTree(text []byte) (root *yaml.Node) {
	start := &yaml.Node{Line: 1, Column: 1}
	defer func() {
		if p := recover(); p != nil {
			f.add(start, "", "this is no YAML")
			root = nil
		}
	}()
	if !utf8.Valid(text) {
		f.add(start, "", "this is not UTF-8")
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF), err == nil && len(doc.Content) == 0:
		f.add(start, "", "the file is empty")
		return nil
	case err != nil:
		f.syntax(err)
		return nil
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		f.add(&more, "", "a second document")
		return nil
	case !errors.Is(err, io.EOF):
		f.syntax(err)
		return nil
	}
	return doc.Content[0]
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): (?s:(.*))$`)

// syntax adds an error of the YAML library. It may quote the name of an anchor, which is a secret that begins with *.
func (f *found) syntax(err error) {
	at, what := &yaml.Node{Line: 1, Column: 1}, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		at.Line, _ = strconv.Atoi(m[1])
		what = m[2]
	}
	if strings.Contains(what, "anchor") || strings.Contains(what, "alphabetic or numeric") {
		what = "put a value that begins with * or & in quotes"
	}
	f.add(at, "", "this is no YAML: %s", what)
}

// jsonTree reads JSON into the tree that YAML makes. The place of offset 0 is where the text begins in its file.
func (f *found) jsonTree(text []byte, path string, place func(offset int) *yaml.Node) *yaml.Node {
	if !utf8.Valid(text) {
		f.add(place(0), path, "this is not UTF-8")
		return nil
	}
	var valid json.RawMessage
	if err := json.Unmarshal(text, &valid); err != nil {
		at := 0
		if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
			at = max(0, int(syntax.Offset)-1)
		}
		f.add(place(at), path, "this is no JSON: %v", err)
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	t := jsonReader{dec, text, place}
	n, err := t.value(0)
	if err != nil {
		f.add(place(int(dec.InputOffset())), path, "%v", err)
		return nil
	}
	return n
}

type jsonReader struct {
	*json.Decoder
	text  []byte
	place func(int) *yaml.Node
}

// value reads the next value of a text that is known to be valid.
func (t jsonReader) value(depth int) (*yaml.Node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("this nests deeper than %d", maxDepth)
	}
	at := int(t.InputOffset())
	for at < len(t.text) && strings.IndexByte(" \t\r\n,:", t.text[at]) >= 0 {
		at++
	}
	n := t.place(at)
	token, err := t.Token()
	if err != nil {
		return nil, err
	}
	n.Kind = yaml.ScalarNode
	switch token := token.(type) {
	case string:
		n.Tag, n.Value = "!!str", token
	case json.Number:
		n.Tag, n.Value = "!!float", token.String()
	case bool:
		n.Tag, n.Value = "!!bool", strconv.FormatBool(token)
	case nil:
		n.Tag = "!!null"
	case json.Delim:
		n.Kind = yaml.SequenceNode
		if token == '{' {
			n.Kind = yaml.MappingNode
		}
		for t.More() {
			child, err := t.value(depth + 1)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, child)
		}
		_, err = t.Token()
	}
	return n, err
}

// placeIn is the place of an offset within text.
func placeIn(text []byte) func(int) *yaml.Node {
	starts := []int{0} // of the lines
	for i, c := range text {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return func(offset int) *yaml.Node {
		line, begins := slices.BinarySearch(starts, offset)
		if !begins {
			line--
		}
		return &yaml.Node{Line: line + 1, Column: offset - starts[line] + 1}
	}
}

// placeWithin is the place, in a file, of an offset within the text of one of its scalars: exact in a literal block (|),
// else where the scalar begins.
func placeWithin(n *yaml.Node, file []byte) func(int) *yaml.Node {
	if n.Style&yaml.LiteralStyle == 0 {
		return func(int) *yaml.Node { return &yaml.Node{Line: n.Line, Column: n.Column} }
	}
	blanks := func(lines []string) int {
		for _, line := range lines {
			if text := strings.TrimLeft(line, " "); strings.TrimSpace(text) != "" {
				return len(line) - len(text)
			}
		}
		return 0
	}
	lines := strings.Split(string(file), "\n")
	indent := blanks(lines[min(n.Line, len(lines)):]) - blanks(strings.Split(n.Value, "\n"))
	inner := placeIn([]byte(n.Value))
	return func(offset int) *yaml.Node {
		at := inner(offset)
		return &yaml.Node{Line: n.Line + at.Line, Column: max(1, indent+at.Column)}
	}
}
