package pipelines

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/core"
)

// Error is one mistake in a pipeline file: where, what and the cure.
type Error struct {
	File         string
	Line, Column int
	Path         string // stages[2].filter
	What         string
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

// found gathers mistakes.
type found struct {
	file string
	list Errors
}

func (f *found) add(n *yaml.Node, path, format string, args ...any) {
	line, col := 1, 1
	if n != nil && n.Line > 0 {
		line, col = n.Line, n.Column
	}
	f.list = append(f.list, Error{f.file, line, col, path, oneLine(fmt.Sprintf(format, args...))})
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// err is what was found, or nil.
func (f *found) err() error {
	if len(f.list) == 0 {
		return nil
	}
	slices.SortStableFunc(f.list, func(a, b Error) int { return a.Line*10_000 + a.Column - b.Line*10_000 - b.Column })
	return f.list
}

// unknown says that a name is none of those that there are, and which one may be meant.
func unknown(name string, have []string) string {
	slices.Sort(have)
	best, least := "", 3
	for _, h := range have {
		if d := levenshtein.ComputeDistance(strings.ToLower(name), h); d < least && d < max(len(h), 2) {
			best, least = h, d
		}
	}
	out := fmt.Sprintf("unknown %q (have %s)", name, strings.Join(have, ", "))
	if best != "" {
		out += "; did you mean " + best + "?"
	}
	return out
}
