package pipelines

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/rowjson"
	"github.com/penstock/penstock/core"
)

// TestResult is what a test found.
type TestResult struct {
	Name     string   `json:"name"`
	Passed   bool     `json:"passed"`
	File     string   `json:"file"`
	Line     int      `json:"line"`
	Failures []string `json:"failures,omitempty"`

	Absent []connectors.Absent `json:"absent,omitempty"` // columns that the pipeline names, and none of the test's records has
}

// AbsentInAll are the columns that the pipeline names, and that no record of any of its tests has.
func AbsentInAll(tests []TestResult) []connectors.Absent {
	var out []connectors.Absent
	seen := map[string]int{}
	for _, t := range tests {
		for _, c := range t.Absent {
			if seen[c.Column]++; seen[c.Column] == len(tests) {
				out = append(out, c)
			}
		}
	}
	return out
}

// Test runs the tests of a pipeline through its decoder and stages; the sink is asked where rows would go, and gets none.
func (r *Registry) Test(ctx context.Context, s *Spec) (out []TestResult, err error) {
	p, err := r.Program(ctx, s)
	if err != nil {
		return nil, err
	}
	for i := range s.Tests {
		t := &s.Tests[i]
		failures, absent, err := t.run(ctx, s.Name, p)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil { // as it would stop the pipeline
			what := "the pipeline stops: " + s.Conceal(err).Error()
			if errors.Is(err, core.ErrInvalid) && len(s.Declared) == 0 {
				what += " (columns are inferred from this test's input: declare their types in source.schema, or give records that have them)"
			}
			failures = append(failures, what)
		}
		out = append(out, TestResult{t.Name, len(failures) == 0, s.File, t.node.Line, failures, absent})
	}
	return out, p.Sink.Close(ctx)
}

// testOutcome is what came out of a test's records.
type testOutcome struct {
	rows     []string // JSON
	prefixes []string
	letters  []connectors.DeadLetter
}

func (t *Test) run(ctx context.Context, pipeline string, p *connectors.Program) (failures []string, absent []connectors.Absent, err error) {
	raw, err := t.batch()
	if err != nil {
		return nil, nil, err
	}
	defer raw.Release()
	if _, ok := p.Sink.(connectors.Previewer); !ok && t.Prefixes != nil {
		return nil, nil, fmt.Errorf("prefixes: this kind of sink has none: %w", core.ErrInvalid)
	}
	trial := connectors.NewTrial(pipeline, p)
	if err := trial.Learn(ctx, raw); err != nil {
		return nil, nil, err
	}
	var o testOutcome
	var rowsErr error
	o.letters, err = trial.Run(ctx, raw, func(s connectors.TrialStep) {
		if s.Stage == "sink" {
			o.rows, rowsErr = jsonRows(s.Rows)
			o.prefixes = slices.Sorted(maps.Keys(s.Outputs))
		}
	})
	if err == nil {
		err = rowsErr
	}
	if err != nil {
		return nil, nil, err
	}
	failures, err = t.compare(o)
	return failures, trial.Absent(), err
}

// jsonRows are the rows of a batch as JSON objects.
func jsonRows(b core.Batch) ([]string, error) {
	enc, err := rowjson.New(b.Rows)
	if err != nil {
		return nil, err
	}
	out := make([]string, b.NumRows())
	for i := range out {
		out[i] = string(enc.Append(nil, i))
	}
	return out, nil
}

// compare says what came out that was not wanted, and what did not come that was.
func (t *Test) compare(o testOutcome) ([]string, error) {
	var out []string
	if t.Rows != nil {
		diff, err := compareRows(*t.Rows, o.rows, t.Match == "subset")
		if err != nil {
			return nil, err
		}
		out = append(out, diff...)
	}
	if t.Prefixes != nil {
		want := slices.Clone(*t.Prefixes)
		slices.Sort(want)
		for _, p := range slices.Compact(want) {
			if !slices.Contains(o.prefixes, p) {
				out = append(out, fmt.Sprintf("prefixes: no row stands under %q", p))
			}
		}
		for _, p := range o.prefixes {
			if !slices.Contains(want, p) {
				out = append(out, fmt.Sprintf("prefixes: rows stand under %q, which is not wanted", p))
			}
		}
	}
	return append(out, t.compareLetters(o.letters)...), nil
}

func (t *Test) compareLetters(letters []connectors.DeadLetter) []string {
	var out []string
	left := slices.Clone(letters)
	for _, want := range t.DeadLetters {
		i := slices.IndexFunc(left, want.matches)
		if i < 0 {
			out = append(out, "dead_letters: none is "+want.String())
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	for _, l := range left {
		out = append(out, fmt.Sprintf("dead_letters: record %s was refused by %s: %s: %s", l.Seq, l.Stage, l.Code, l.Reason))
	}
	return out
}

func (w TestLetter) matches(l connectors.DeadLetter) bool {
	return (w.Record == 0 || string(l.Seq) == fmt.Sprint(w.Record)) &&
		(w.Stage == "" || w.Stage == l.Stage || strings.HasPrefix(l.Stage, w.Stage+".")) &&
		(w.Code == "" || w.Code == l.Code) && strings.Contains(l.Reason, w.Reason)
}

func (w TestLetter) String() string {
	var parts []string
	for _, p := range [][2]string{{"stage", w.Stage}, {"code", w.Code}, {"reason", w.Reason}} {
		if p[1] != "" {
			parts = append(parts, p[0]+": "+p[1])
		}
	}
	if w.Record > 0 {
		parts = append([]string{fmt.Sprintf("record: %d", w.Record)}, parts...)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
