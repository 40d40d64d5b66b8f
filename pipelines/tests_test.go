package pipelines_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/pipelines"
	"github.com/penstock/penstock/sinks/file"
	"github.com/penstock/penstock/transforms/compute"
	"github.com/penstock/penstock/transforms/csv"
	"github.com/penstock/penstock/transforms/filter"
	"github.com/penstock/penstock/transforms/json"
	"github.com/penstock/penstock/transforms/logline"
	"github.com/penstock/penstock/transforms/regex"
)

// someRegistry knows a few of everything.
func someRegistry() *pipelines.Registry {
	r := pipelines.NewRegistry()
	pipelines.AddDecoder(r, "csv", csv.New)
	pipelines.AddDecoder(r, "json", json.New)
	pipelines.AddDecoder(r, "logline", logline.New)
	pipelines.AddDecoder(r, "regex", regex.New)
	pipelines.AddTransform(r, "filter", func(c filter.Config) (*filter.Transform, error) { return filter.New(c) })
	pipelines.AddTransform(r, "compute", func(c compute.Config) (*compute.Transform, error) { return compute.New(c) })
	pipelines.AddSink(r, "file", file.Open)
	return r
}

const testedPipeline = `version: 1
name: p
source: {stream: s, decode: {json: {}}, schema: {kind: string, a: int64, b: int64, at: string}}
stages:
  - filter: 'kind != "heartbeat"'
  - compute: {ratio: 'a / b'}
sink: {file: {path: /nowhere/at/all, prefix: 'dt=!{timestamp:yyyy-MM-dd}/', partition_by: at}}
tests: `

// failures are those of the one test of a pipeline.
func failures(t *testing.T, test string) []string {
	t.Helper()
	r := someRegistry()
	s, err := r.Load("p.yaml", []byte(testedPipeline+test), nil)
	require.NoError(t, err)
	results, err := r.Test(t.Context(), s)
	require.NoError(t, err)
	require.Len(t, results, 1)
	return results[0].Failures
}

func TestAPassingTestFindsNothing(t *testing.T) {
	for name, test := range map[string]string{
		"rows, exactly":                `[{name: n, input: [{json: {kind: x, a: 4, b: 2}}], rows: [{kind: x, a: 4, b: 2, ratio: 2}]}]`,
		"a null equals nothing":        `[{name: n, input: [{json: {kind: x, a: 4, b: null}}], rows: [{kind: x, a: 4, ratio: null}]}]`,
		"a subset":                     `[{name: n, match: subset, input: [{json: {kind: x, a: 4, b: 2}}], rows: [{ratio: 2}]}]`,
		"numbers by value":             `[{name: n, match: subset, input: [{json: {kind: x, c: 1.50, d: 1e0}}], rows: [{c: 15e-1, d: 1}]}]`,
		"a filtered row":               `[{name: n, input: [{data: '{"kind":"heartbeat"}'}], rows: []}]`,
		"refused by decode":            `[{name: n, input: [{json: {kind: x, a: 1, b: 1}}, {data: '{'}], dead_letters: [{record: 2, stage: decode, code: bad_json}]}]`,
		"refused by a stage":           `[{name: n, input: [{json: {kind: x, a: 1, b: 0}}], dead_letters: [{stage: 'stages[1]', code: division_by_zero}], rows: []}]`,
		"refused by the sink":          `[{name: n, input: [{json: {kind: x, at: soon}}], dead_letters: [{stage: sink, code: bad_partition, reason: RFC 3339}]}]`,
		"prefixes":                     `[{name: n, input: [{json: {kind: x, at: 2026-01-02T03:04:05Z}}, {json: {kind: x}}], prefixes: [dt=2026-01-02/, dt=__HIVE_DEFAULT_PARTITION__/]}]`,
		"a rescued field as mapping":   `[{name: n, input: [{json: {kind: x, a: 1, b: 1}}, {json: {kind: x, a: no}}, {json: {kind: x, a: 2, b: 2}}], match: subset, rows: [{a: 1}, {_rescued: {a: no}}, {a: 2}]}]`,
		"base64":                       `[{name: n, input: [{base64: eyJraW5kIjoieCJ9}], rows: [{kind: x}]}]`,
		"a dollar sign is no variable": `[{name: n, input: [{json: {kind: '${HOME} $'}}], rows: [{kind: '${HOME} $'}]}]`,
	} {
		t.Run(name, func(t *testing.T) { require.Empty(t, failures(t, test)) })
	}
}

func TestAFailingTestSaysWhatDiffers(t *testing.T) {
	for name, c := range map[string]struct{ test, want string }{
		"a value":                  {`[{name: n, input: [{json: {kind: x, a: 4, b: 2}}], rows: [{kind: x, a: 4, b: 2, ratio: 3}]}]`, "    ratio: want 3, have 2"},
		"an unwanted field":        {`[{name: n, input: [{json: {kind: x, c: 1}}], rows: [{kind: x}]}]`, "    c: want nothing, have 1"},
		"a missing field":          {`[{name: n, match: subset, input: [{json: {kind: x}}], rows: [{d: 1}]}]`, "    d: want 1, have nothing"},
		"a large number":           {`[{name: n, match: subset, input: [{json: {kind: x, c: 9007199254740993}}], rows: [{c: 9007199254740992}]}]`, "    c: want 9007199254740992, have 9007199254740993"},
		"a row that came":          {`[{name: n, input: [{json: {kind: x}}], rows: []}]`, `  + {"kind":"x"}`},
		"a row that did not come":  {`[{name: n, input: [{json: {kind: heartbeat}}], rows: [{kind: heartbeat}]}]`, `  - {"kind":"heartbeat"}`},
		"a letter nobody expected": {`[{name: n, input: [{data: '{'}], rows: []}]`, "dead_letters: record 1 was refused by decode: bad_json"},
		"a letter that is missing": {`[{name: n, input: [{json: {kind: x}}], dead_letters: [{record: 1, code: bad_json}]}]`, "dead_letters: none is {record: 1, code: bad_json}"},
		"a missing prefix":         {`[{name: n, input: [{json: {kind: x}}], prefixes: [dt=2026-01-01/]}]`, `prefixes: no row stands under "dt=2026-01-01/"`},
		"an unwanted prefix":       {`[{name: n, input: [{json: {kind: x, at: 2026-01-02T00:00:00Z}}], prefixes: []}]`, `prefixes: rows stand under "dt=2026-01-02/", which is not wanted`},
	} {
		t.Run(name, func(t *testing.T) {
			got := failures(t, c.test)
			require.Contains(t, strings.Join(got, "\n"), c.want)
		})
	}
}

func TestAStageThatCannotRunFailsTheTest(t *testing.T) {
	r := someRegistry()
	text := strings.Replace(testedPipeline, ", schema: {kind: string, a: int64, b: int64, at: string}", "", 1)
	s, err := r.Load("p.yaml", []byte(text+`[{name: n, input: [{json: {kind: x, a: text, b: 2}}], rows: [{kind: x}]}]`), nil)
	require.NoError(t, err)
	results, err := r.Test(t.Context(), s)
	require.NoError(t, err)
	require.Contains(t, results[0].Failures[0], `the pipeline stops: stages[1].compute: ratio: expression "a / b": column 3: found no matching overload`)
	require.Contains(t, results[0].Failures[0], "declare their types in source.schema")
}

func TestAFailureShowsNoValueOfTheEnvironment(t *testing.T) {
	r := someRegistry()
	text := strings.Replace(testedPipeline, `kind != "heartbeat"`, `kind > 1 && kind != "${TOKEN}"`, 1)
	text = strings.Replace(text, ", schema: {kind: string, a: int64, b: int64, at: string}", "", 1)
	s, err := r.Load("p.yaml", []byte(text+`[{name: n, input: [{json: {kind: x}}], rows: []}]`), func(string) (string, bool) { return "open sesame", true })
	require.NoError(t, err)
	results, err := r.Test(t.Context(), s)
	require.NoError(t, err)
	require.Contains(t, results[0].Failures[0], "${TOKEN}")
	require.NotContains(t, results[0].Failures[0], "sesame")
	in := filepath.Join(t.TempDir(), "in.ndjson")
	require.NoError(t, os.WriteFile(in, []byte(`{"kind":"x"}`), 0o600))
	lines, err := r.FileSource(t.Context(), s, in)
	require.NoError(t, err)
	_, err = r.DryRun(t.Context(), s, lines, 5)
	require.ErrorIs(t, err, core.ErrInvalid)
	require.Contains(t, err.Error(), "${TOKEN}")
	require.NotContains(t, err.Error(), "sesame")
	require.NoError(t, lines.Close())
}

func TestMistakesInTestsHaveTheirPlace(t *testing.T) {
	for name, c := range map[string]struct{ test, want string }{
		"no list":             {`{}`, "p.yaml:8:8: tests: want a list of tests"},
		"a misspelt key":      {`[{nam: n, input: [{data: x}], rows: []}]`, `p.yaml:8:10: tests[0].nam: unknown "nam" (have dead_letters, input, match, name, prefixes, rows); did you mean name?`},
		"no input":            {`[{name: n, rows: []}]`, "tests[0].input: missing: the records that come in"},
		"two kinds of data":   {`[{name: n, input: [{data: x, json: {}}], rows: []}]`, "p.yaml:8:27: tests[0].input[0]: has 2 of data, json, base64"},
		"nothing to compare":  {`[{name: n, input: [{data: x}]}]`, "tests[0]: compares nothing"},
		"a stage that is not": {`[{name: n, input: [{data: x}], dead_letters: [{stage: 'stages[7]'}]}]`, `p.yaml:8:62: tests[0].dead_letters[0].stage: unknown "stages[7]"`},
		"a row of text":       {`[{name: n, input: [{data: x}], rows: [x]}]`, "tests[0].rows[0]: want a mapping of columns and values"},
		"a time":              {`[{name: n, input: [{data: x, arrival: soon}], rows: []}]`, `tests[0].input[0].arrival: "soon" is not a time`},
		"the same name twice": {"\n  - {name: n, input: [{data: x}], rows: []}\n  - {name: n, input: [{data: x}], rows: []}", "p.yaml:10:12: tests[1].name: another test has this name, in line 9"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := someRegistry().Load("p.yaml", []byte(testedPipeline+c.test), nil)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestTestsAreNoPartOfWhatRuns(t *testing.T) {
	r := someRegistry()
	with, err := r.Load("p.yaml", []byte(testedPipeline+`[{name: n, input: [{data: x}], rows: []}]`), nil)
	require.NoError(t, err)
	without, err := r.Load("p.yaml", []byte(testedPipeline), nil)
	require.NoError(t, err)
	require.Equal(t, without.Hash, with.Hash)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.Test(ctx, with)
	require.ErrorIs(t, err, context.Canceled)
}
