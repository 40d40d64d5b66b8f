package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/pipelines"
)

// envelope is what every command that does not stream writes under --json.
type envelope struct {
	Command string   `json:"command"`
	OK      bool     `json:"ok"`
	Result  any      `json:"result"`
	Error   *failure `json:"error"`
}

// failure is an error, for programs.
type failure struct {
	Message  string            `json:"message"`
	ExitCode int               `json:"exit_code"`
	Mistakes []pipelines.Error `json:"mistakes,omitempty"` // of pipeline files
}

func (a *app) writeEnvelope(cmd *cobra.Command, err error) error {
	e := envelope{Command: strings.TrimSpace(strings.TrimPrefix(cmd.CommandPath(), "penstock")), OK: err == nil, Result: a.result}
	if err != nil {
		e.Error = &failure{err.Error(), exitCode(err), mistakes(err)}
	}
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// mistakes are those of every pipeline file that err tells of.
func mistakes(err error) []pipelines.Error {
	switch e := err.(type) { //nolint:errorlint // every branch of the tree is walked
	case pipelines.Errors:
		return e
	case interface{ Unwrap() []error }:
		var out []pipelines.Error
		for _, one := range e.Unwrap() {
			out = append(out, mistakes(one)...)
		}
		return out
	case interface{ Unwrap() error }:
		return mistakes(e.Unwrap())
	}
	return nil
}

// answer is v under --json; else text, which may be nil, prints it.
func (a *app) answer(v any, text func()) error {
	a.result = v
	if !a.json && text != nil {
		text()
	}
	return nil
}

// show is v under --json, else a line.
func (a *app) show(v any, format string, args ...any) error {
	return a.answer(v, func() { a.printf(format, args...) })
}

// printf writes to standard output, except under --json. An error to write there shows in nothing else that is done.
// table prints rows under headings, in columns.
type table struct{ w *tabwriter.Writer }

func (a *app) table(headings ...any) table {
	out := io.Discard
	if !a.json {
		out = a.out
	}
	t := table{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	t.row(headings...)
	return t
}

func (t table) row(cells ...any) {
	for i, c := range cells {
		text := fmt.Sprint(c)
		if text == "" {
			text = "-"
		}
		if i > 0 {
			text = "\t" + text
		}
		_, _ = io.WriteString(t.w, text)
	}
	_, _ = io.WriteString(t.w, "\n")
}

func (t table) flush() { _ = t.w.Flush() }

func (a *app) printf(format string, args ...any) {
	if !a.json {
		_, _ = fmt.Fprintf(a.out, format, args...)
	}
}
