package pipelines

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// Test is one of a pipeline's tests: records in, rows and dead letters out.
type Test struct {
	Name        string       `yaml:"name" json:"name" jsonschema:"required,description=what the pipeline does with these records"`
	Input       []TestInput  `yaml:"input" json:"input" jsonschema:"required,description=the records that come in, in order"`
	Rows        *[]Value     `yaml:"rows" json:"rows,omitempty" jsonschema:"description=The rows after the last stage\\, in order\\, each a mapping. A null field equals a missing one. Left out: not compared."`
	Match       string       `yaml:"match" json:"match,omitempty" jsonschema:"enum=exact,enum=subset,description=subset: rows may have fields that are not written here. Default exact."`
	DeadLetters []TestLetter `yaml:"dead_letters" json:"dead_letters,omitempty" jsonschema:"description=What is refused\\, in any order. Left out: nothing may be."`
	Prefixes    *[]string    `yaml:"prefixes" json:"prefixes,omitempty" jsonschema:"description=The prefixes that the rows stand under at the sink\\, in any order. Left out: not compared."`

	node *yaml.Node
}

// TestInput is a record.
type TestInput struct {
	Data    *string `yaml:"data" json:"data,omitempty" jsonschema:"description=The record's data as text."`
	JSON    *Value  `yaml:"json" json:"json,omitempty" jsonschema:"description=The record's data\\, written as YAML and given to the pipeline as JSON."`
	Base64  *string `yaml:"base64" json:"base64,omitempty" jsonschema:"description=The record's data as base64."`
	Key     string  `yaml:"key" json:"key,omitempty" jsonschema:"description=Partition key. Default: the record's number."`
	Arrival Instant `yaml:"arrival" json:"arrival,omitempty" jsonschema:"description=When the record arrived. Default 2026-01-01T00:00:00Z."`
}

// TestLetter is a dead letter; what is left out may be anything.
type TestLetter struct {
	Record int    `yaml:"record" json:"record,omitempty" jsonschema:"description=Number of the record in input\\, from 1."`
	Stage  string `yaml:"stage" json:"stage,omitempty" jsonschema:"description=decode\\, stages[2]\\, stages[2].compute or sink."`
	Code   string `yaml:"code" json:"code,omitempty" jsonschema:"description=Such as bad_json."`
	Reason string `yaml:"reason" json:"reason,omitempty" jsonschema:"description=A part of the reason."`
}

// Instant is a time such as 2026-01-01T00:00:00Z.
type Instant struct{ time.Time }

// UnmarshalText reads RFC 3339, or a day.
func (t *Instant) UnmarshalText(text []byte) (err error) {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t.Time, err = time.Parse(layout, string(text)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%q is not a time such as 2026-01-01T00:00:00Z: %w", text, core.ErrInvalid)
}

// detach takes the tests out of a file: they are no part of what runs, and environment variables have no part in them.
func detach(root *yaml.Node) *yaml.Node {
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == "tests" {
			n := root.Content[i+1]
			root.Content = slices.Delete(root.Content, i, i+2)
			return n
		}
	}
	return nil
}

// fillTests reads the tests.
func (s *Spec) fillTests(d *decoder, n *yaml.Node) {
	if n == nil || null(n) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.add(n, "tests", "want a list of tests, such as [{name: bad records are refused, input: [{data: '{'}], dead_letters: [{code: bad_json}]}]")
		return
	}
	seen := map[string]int{}
	for i, c := range n.Content {
		t := Test{node: c}
		path := index("tests", i)
		if !d.into(c, path, &t) {
			continue
		}
		if line := seen[t.Name]; line > 0 {
			d.add(at(c, "name"), join(path, "name"), "another test has this name, in line %d", line)
		}
		seen[t.Name] = c.Line
		s.checkTest(d, &t, path)
		s.Tests = append(s.Tests, t)
	}
}

func (s *Spec) checkTest(d *decoder, t *Test, path string) {
	if t.Rows == nil && t.Prefixes == nil && len(t.DeadLetters) == 0 {
		d.add(t.node, path, "compares nothing: write the rows, dead_letters or prefixes that come out")
	}
	if len(t.Input) == 0 {
		d.add(at(t.node, "input"), join(path, "input"), "has no record")
	}
	for i, in := range t.Input {
		n, path := child(t.node, "input").Content[i], index(join(path, "input"), i)
		if _, err := in.bytes(); err != nil {
			d.fail(n, path, err)
		}
	}
	if t.Rows != nil {
		for i, r := range *t.Rows {
			if n := child(t.node, "rows").Content[i]; len(r.text) == 0 || r.text[0] != '{' {
				d.add(n, index(join(path, "rows"), i), "want a mapping of columns and values, not %s", kindOf(n))
			}
		}
	}
	for i, l := range t.DeadLetters {
		n, path := child(t.node, "dead_letters").Content[i], index(join(path, "dead_letters"), i)
		if stages := s.stageNames(); l.Stage != "" && !slices.Contains(stages, l.Stage) && !s.vague(l.Stage) {
			d.add(at(n, "stage"), join(path, "stage"), "%s", unknown(l.Stage, stages))
		}
		if l.Record < 0 || l.Record > len(t.Input) {
			d.add(at(n, "record"), join(path, "record"), "there are records 1 to %d, not %d", len(t.Input), l.Record)
		}
	}
}

// stageNames are the names that a dead letter's stage can have, short forms included.
func (s *Spec) stageNames() []string {
	out := []string{"decode", "sink"}
	for _, p := range s.Stages {
		out = append(out, p.Path, strings.TrimSuffix(p.Path, "."+p.Kind))
	}
	return slices.Compact(out) // one whose kind could not be read has no short form
}

// vague reports whether a name may be that of a stage whose kind could not be read.
func (s *Spec) vague(stage string) bool {
	return slices.ContainsFunc(s.Stages, func(p Part) bool { return p.Kind == "" && strings.HasPrefix(stage, p.Path+".") })
}

// bytes is the record's data.
func (in TestInput) bytes() ([]byte, error) {
	given := 0
	for _, yes := range []bool{in.Data != nil, in.JSON != nil, in.Base64 != nil} {
		if yes {
			given++
		}
	}
	switch {
	case given != 1:
		return nil, fmt.Errorf("has %d of data, json, base64: want exactly one: %w", given, core.ErrInvalid)
	case in.Data != nil:
		return []byte(*in.Data), nil
	case in.JSON != nil:
		return in.JSON.text, nil
	}
	b, err := base64.StdEncoding.DecodeString(*in.Base64)
	if err != nil {
		return nil, fmt.Errorf("base64: %w: %w", err, core.ErrInvalid)
	}
	return b, nil
}

// batch is the test's records.
func (t *Test) batch() (core.Batch, error) {
	samples := make([]connectors.Sample, len(t.Input))
	for i, in := range t.Input {
		data, err := in.bytes()
		if err != nil {
			return core.Batch{}, err
		}
		samples[i] = connectors.Sample{Key: in.Key, Arrival: in.Arrival.Time, Data: data}
		if in.Key == "" {
			samples[i].Key = strconv.Itoa(i + 1)
		}
		if in.Arrival.IsZero() {
			samples[i].Arrival = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		}
	}
	return connectors.Samples(samples), nil
}
