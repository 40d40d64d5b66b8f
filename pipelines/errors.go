package pipelines

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/core"
)

// Bounds of what is said about a file.
const (
	maxErrors  = 100 // that are shown
	maxMessage = 600 // characters of one
	maxQuote   = 60  // characters of a value or key in one
)

// Error is one mistake in a pipeline file: where, what and the cure.
type Error struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Path   string `json:"path"` // stages[2].filter
	What   string `json:"what"`
}

func (e Error) Error() string {
	path := e.Path
	if path != "" {
		path += ": "
	}
	return fmt.Sprintf("%s:%d:%d: %s%s", e.File, e.Line, e.Column, path, e.What)
}

// Errors are all mistakes of a file, in order of their lines.
type Errors []Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes every such error core.ErrInvalid.
func (e Errors) Unwrap() error { return core.ErrInvalid }

// found gathers mistakes. What a mistake was said of is not looked at again: a file is read to its end whatever is wrong in
// it, and each mistake is said once.
type found struct {
	file  string
	list  Errors
	more  int // mistakes beyond maxErrors
	refs  *references
	wrong map[*yaml.Node]bool // of which a mistake was said
}

// mark says that the value of a node is not known.
func (f *found) mark(n *yaml.Node) {
	if n == nil {
		return
	}
	if f.wrong == nil {
		f.wrong = map[*yaml.Node]bool{}
	}
	f.wrong[n] = true
}

// right reports whether nothing is wrong with n nor within it.
func (f *found) right(n *yaml.Node) bool {
	return n == nil || !f.wrong[n] && !slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return !f.right(c) })
}

// said reports whether a mistake of the setting at path, or within it, was said.
func (f *found) said(path string) bool {
	return slices.ContainsFunc(f.list, func(e Error) bool {
		rest, below := strings.CutPrefix(e.Path, path)
		return below && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

func (f *found) add(n *yaml.Node, path, format string, args ...any) {
	f.put(n, path, f.hide(n, fmt.Sprintf(format, args...)))
}

// put adds a mistake that shows nothing that it must not.
func (f *found) put(n *yaml.Node, path, what string) {
	f.mark(n)
	if len(f.list) == maxErrors {
		f.more++
		return
	}
	line, col := 1, 1
	if n != nil && n.Line > 0 {
		line, col = n.Line, n.Column
	}
	f.list = append(f.list, Error{f.file, line, col, cut(path, maxMessage), oneLine(what)})
}

// hide is what is said of n, without the values of references.
func (f *found) hide(n *yaml.Node, what string) string {
	if hide := f.refs.within(n); hide != nil {
		return hide(what)
	}
	return f.refs.hide(what)
}

// fail adds what a part of the pipeline says of its configuration n; what it joins are mistakes of their own. Where one
// begins with the name of a setting, the mistake is that setting's.
func (f *found) fail(n *yaml.Node, path string, err error) {
	if all := parts(err); len(all) > 1 {
		for _, one := range all {
			f.fail(n, path, one)
		}
		return
	}
	what := f.hide(n, strings.TrimSuffix(err.Error(), ": "+core.ErrInvalid.Error()))
	name, _, _ := strings.Cut(what, " ")
	key, named := strings.CutSuffix(name, ":")
	if n != nil && n.Kind == yaml.MappingNode && plain(key) {
		if value := child(n, key); value != nil {
			n, path = value, join(path, key)
		} else if named {
			path = join(path, key)
		}
		if named {
			what = strings.TrimPrefix(what, name+" ")
		}
	}
	f.put(n, path, what)
}

// parts are the errors that err joins, or err alone.
func parts(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok && err.Error() == errors.Join(j.Unwrap()...).Error() {
		return j.Unwrap()
	}
	return []error{err}
}

// oneLine is s without line breaks or anything that a terminal would act on, cut where it is too long.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || unicode.IsSpace(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
	return cut(strings.Join(strings.Fields(s), " "), maxMessage)
}

// cut is s, or its beginning.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "..."
}

// quote is a value as a message shows it.
func quote(s string) string { return fmt.Sprintf("%q", cut(s, maxQuote)) }

// join is the path of a key below path.
func join(path, key string) string {
	if !plain(key) {
		key = quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// plain reports whether a key needs no quotes in a path.
func plain(key string) bool {
	return key != "" && len(key) <= maxQuote && strings.IndexFunc(key, func(r rune) bool {
		return r != '_' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) < 0
}

// err is what was found, or nil.
func (f *found) err() error {
	if len(f.list) == 0 {
		return nil
	}
	slices.SortStableFunc(f.list, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path))
	})
	if f.more > 0 {
		last := f.list[len(f.list)-1]
		f.list = append(f.list, Error{f.file, last.Line, last.Column, "", fmt.Sprintf("and %d mistakes more, which are not shown", f.more)})
		f.more = 0
	}
	return f.list
}

// unknown says that a name is none of those that there are, and which one may be meant.
func unknown(name string, have []string) string {
	slices.Sort(have)
	out := fmt.Sprintf("unknown %s (have %s)", quote(name), strings.Join(have, ", "))
	if best := core.Meant(name, have); best != "" {
		out += "; did you mean " + best + "?"
	}
	return out
}
