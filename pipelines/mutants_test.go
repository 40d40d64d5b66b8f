package pipelines_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// mutant is a pipeline file with one mistake, or what may be one.
type mutant struct {
	what string // of which setting, and what became of it
	path string // of the setting; empty where the mistake is no setting's
	text string
	bad  bool // it can be right under no circumstances
}

// wrongs are values that few settings take.
var wrongs = []string{
	"null", "''", "true", "7", "-1", "0", "1.5", "99999999999999999999999", "-9223372036854775809", "1e309", ".nan", ".inf", "0x7fffffffffffffff",
	"wrong", "'7'", "'  '", "\"\\0\"", "\"\\e[31m\"", "'${UNSET}'", "'$'", "'${'", "'${EMPTY}'", "'${SET}'", "2026-01-01", "-5MiB", "9999999TiB", "-1h", "9999999d",
	"[]", "{}", "[1, 2]", "{a: b}", "[[[]]]", "[{}]", "!!binary aGk=", "!!set {a: }", "!mine x", "'../../etc/passwd'", "'!{timestamp:'", "'!{x:y}'", "💧", "'a\n\n  b'",
}

// mutants are the files that come of breaking every setting of a file in every way.
func mutants(t testing.TB, text string) []mutant {
	t.Helper()
	var doc yaml.Node
	require.NoError(t, yaml.Unmarshal([]byte(text), &doc))
	var out []mutant
	add := func(what, path string, bad bool) {
		b, err := yaml.Marshal(&doc)
		require.NoError(t, err)
		out = append(out, mutant{what + " " + path, path, string(b), bad})
	}
	walk(doc.Content[0], "", func(parent *yaml.Node, i int, path string) {
		value := parent.Content[i]
		for _, w := range wrongs {
			parent.Content[i] = scalar(t, w)
			add(w+" for", path, strings.HasPrefix(w, "!") || !strings.HasPrefix(path, "tests") && (strings.Contains(w, "UNSET") || w == "'$'" || w == "'${'"))
		}
		parent.Content[i] = &yaml.Node{Kind: yaml.ScalarNode, Style: yaml.DoubleQuotedStyle, Value: strings.Repeat("long ", 2_000)}
		add("10,000 characters for", path, false)
		parent.Content[i] = &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{value, value}}
		add("a list of it for", path, false)
		parent.Content[i] = value
		if parent.Kind != yaml.MappingNode {
			return
		}
		key, all := parent.Content[i-1], parent.Content
		parent.Content = append(append([]*yaml.Node{}, all[:i-1]...), all[i+1:]...)
		add("without", path, false)
		parent.Content = append(append([]*yaml.Node{}, all...), key, value)
		add("twice", path, true)
		parent.Content = all
		free := freely(path)
		for what, name := range map[string]string{
			"a letter less in": key.Value[1:], "a letter more in": key.Value + "s", "capitals in": strings.ToUpper(key.Value), "spaces in": " " + key.Value, "a long name for": strings.Repeat("k", 10_000),
			"another script in": "з" + key.Value, "no name for": "", "a number for the name of": "7", "control characters in": "\x01" + key.Value,
		} {
			parent.Content[i-1] = &yaml.Node{Kind: yaml.ScalarNode, Value: name, Style: yaml.DoubleQuotedStyle}
			add(what, path, !free)
		}
		parent.Content[i-1] = &yaml.Node{Kind: yaml.SequenceNode}
		add("a list for the name of", path, true)
		parent.Content[i-1] = key
	})
	return out
}

// freely reports whether the user names the keys beside a setting: columns, say.
func freely(path string) bool {
	parent := path[:max(strings.LastIndex(path, "."), 0)]
	for _, end := range []string{"schema", "schema.g", "compute", "rename", "cast", "partition_keys", "tables", "json"} {
		if strings.HasSuffix(parent, end) {
			return true
		}
	}
	return strings.Contains(path, ".rows[") || strings.Contains(path, ".json.") // of tests
}

// walk calls f for each value of a tree, as the i-th part of its parent.
func walk(n *yaml.Node, path string, f func(parent *yaml.Node, i int, path string)) {
	for i := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		if n.Kind == yaml.MappingNode {
			if i%2 == 0 {
				continue
			}
			at = strings.TrimPrefix(path+"."+n.Content[i-1].Value, ".")
		}
		child := n.Content[i]
		f(n, i, at)
		walk(child, at, f)
	}
}

func scalar(t testing.TB, text string) *yaml.Node {
	t.Helper()
	var n yaml.Node
	require.NoError(t, yaml.Unmarshal([]byte(text), &n), text)
	return n.Content[0]
}

// texts are files that are wrong as texts, or may be.
func texts(good string) []mutant {
	lines := strings.Split(good, "\n")
	indent := strings.Replace(good, "\n  ", "\n\t", 1)
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 12 {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	out := []mutant{
		{"empty", "", "", true},
		{"nothing but space", "", "\n\n   \n", true},
		{"nothing but a comment", "", "# pipeline\n", true},
		{"null", "", "null\n", true},
		{"a number", "", "5\n", true},
		{"a text", "", "pipeline\n", true},
		{"a list", "", "- version: 1\n", true},
		{"10 MB of settings", "", good + strings.Repeat("# a comment that is long enough to fill a file of 10 MB soon\n", 170_000), true},
		{"10 MB in one line", "", "version: " + strings.Repeat("1", 10_000_000), true},
		{"a comment of 900 KB in one line", "", good + "# " + strings.Repeat("é", 450_000), false},
		{"10 MB of zeros", "", strings.Repeat("\x00", 10_000_000), true},
		{"100,000 keys", "", strings.Repeat("k: 1\n", 100_000), true},
		{"lists 10,000 deep", "", "version: " + strings.Repeat("[", 10_000), true},
		{"lists 10,000 deep that end", "", "version: " + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), true},
		{"mappings 10,000 deep", "", "version: " + strings.Repeat("{a: ", 10_000) + strings.Repeat("}", 10_000), true},
		{"lists 1,000 lines deep", "", strings.Repeat("- ", 1000) + "x\n", true},
		{"a bomb of anchors", "", good + bomb, true},
		{"a bomb of anchors in a list", "", good + strings.ReplaceAll(bomb, "\na", "\n  a"), true},
		{"an anchor within itself", "", "version: &a [*a]\n", true},
		{"an anchor in its own mapping", "", "source: &a {b: *a}\nversion: 1\n", true},
		{"anchors around each other", "", "a: &a {b: *b}\nb: &b {a: *a}\n", true},
		{"an alias of nothing", "", "version: *none\n", true},
		{"a merge key", "", good + "<<: {version: 1}\n", true},
		{"a second document", "", good + "---\n" + good, true},
		{"a directive", "", "%YAML 9.9\n---\n" + good, true},
		{"a Windows file", "", strings.Join(lines, "\r\n"), false},
		{"an old Mac's file", "", strings.Join(lines, "\r"), false},
		{"a byte order mark", "", "\ufeff" + good, false},
		{"UTF-16", "", "\xff\xfev\x00e\x00r\x00s\x00i\x00o\x00n\x00:\x00 \x001\x00\n\x00", true},
		{"tabs for spaces", "", indent, true},
		{"a program", "", "\x7fELF\x02\x01\x01\x00\x00\x00", true},
		{"JSON that is cut", "", `{"version": 1, "name": "p", "source": {`, true},
		{"XML", "", `<?xml version="1.0"?><pipeline version="1"/>`, true},
		{"bytes that are not UTF-8", "", good + "# \xff\xfe\n", true},
		{"terminal escapes", "", good + "\x1b[2Jhidden: 1\n", true},
	}
	for i := 1; i < len(good); i += 40 {
		out = append(out, mutant{fmt.Sprintf("cut after %d bytes", i), "", good[:i], false})
	}
	rng := rand.New(rand.NewPCG(uint64(len(good)), 1)) //nolint:gosec // repeatable
	for i := range 200 {
		b := []byte(good)
		for range 1 + i%3 {
			b[rng.IntN(len(b))] = byte(rng.IntN(256)) //nolint:gosec // one byte
		}
		out = append(out, mutant{fmt.Sprintf("noise %d", i), "", string(b), false})
	}
	return out
}
