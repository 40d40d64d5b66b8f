package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/pipelines"
)

// TestInitWritesWhatLintsCleanAndPasses also holds what it writes, and every example, against the schema.
func TestInitWritesWhatLintsCleanAndPasses(t *testing.T) {
	dir := t.TempDir()
	files, err := filepath.Glob("../../examples/*.yaml")
	require.NoError(t, err)
	for _, source := range []string{"stream", "file", "generate"} {
		for _, sink := range []string{"file", "s3"} {
			file := filepath.Join(dir, "My "+source+" "+sink+".yaml")
			require.Contains(t, ok(t, "init", file, "--source", source, "--sink", sink), "wrote "+file)
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			first, _, _ := strings.Cut(string(text), "\n")
			require.Equal(t, "# yaml-language-server: $schema="+schemaFile, first)
			require.Contains(t, ok(t, "lint", file), "pipeline my-"+source+"-"+sink+" is right")
			require.Contains(t, ok(t, "test", file), "1 passed, 0 failed")
			files = append(files, file)
		}
	}
	c := jsonschema.NewCompiler()
	schema, err := c.Compile(filepath.Join(dir, schemaFile))
	require.NoError(t, err)
	for _, file := range files {
		require.NoError(t, schema.Validate(readYAML(t, file)), file)
	}
}

func readYAML(t *testing.T, file string) any {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var n yaml.Node
	require.NoError(t, yaml.Unmarshal(text, &n))
	var v pipelines.Value
	require.NoError(t, v.UnmarshalYAML(n.Content[0]))
	b, err := json.Marshal(v)
	require.NoError(t, err)
	out, err := jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
	require.NoError(t, err)
	return out
}

func TestInitOverwritesNothing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "p.yaml")
	require.NoError(t, os.WriteFile(file, []byte("mine"), 0o600))
	code, _, errOut := command(t, "init", file)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "is there already")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "mine", string(text))

	require.NoError(t, os.WriteFile(filepath.Join(dir, schemaFile), []byte("{}"), 0o600))
	code, _, errOut = command(t, "init", filepath.Join(dir, "q.yaml"))
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "is no schema of pipelines")
}

func TestTheSchemaCanBeWrittenToAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.json")
	ok(t, "schema", "-o", file)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(text), ok(t, "schema"))
	require.Equal(t, pipelines.SchemaID, result[map[string]any](t, "schema")["$id"])
}

// pipelineFile writes a pipeline file into dir.
func pipelineFile(t *testing.T, dir, text string) string {
	t.Helper()
	file := filepath.Join(dir, "p.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func TestTestPrintsALineATestAndAFailuresDifference(t *testing.T) {
	file := pipelineFile(t, t.TempDir(), `version: 1
name: p
source: {stream: s, decode: {json: {}}}
stages: [{filter: 'n > 1'}]
sink: {file: {path: /nowhere}}
tests:
  - {name: small ones go, input: [{json: {n: 1}}, {json: {n: 2}}], rows: [{n: 2}]}
  - {name: wrong, input: [{json: {n: 1}}, {json: {n: 2}}], rows: [{n: 3}]}
`)
	code, out, errOut := command(t, "test", file)
	require.Equal(t, exitProblem, code)
	require.Equal(t, "penstock: 1 of 2 tests failed\n", errOut)
	require.Equal(t, "pass  "+file+": small ones go\nFAIL  "+file+":8: wrong\n"+
		"      rows: row 1 differs\n        - {\"n\":3}\n        + {\"n\":2}\n          n: want 3, have 2\n1 passed, 1 failed\n", out)

	code, out, _ = command(t, "--json", "test", file)
	require.Equal(t, exitProblem, code)
	var e struct {
		OK     bool
		Result []pipelines.TestResult
		Error  failure
	}
	require.NoError(t, json.Unmarshal([]byte(out), &e))
	require.False(t, e.OK)
	require.Equal(t, []bool{true, false}, []bool{e.Result[0].Passed, e.Result[1].Passed})
	require.Equal(t, exitProblem, e.Error.ExitCode)

	code, out, errOut = command(t, "test", pipelineFile(t, t.TempDir(), "version: 1\nname: q\nsource: {stream: s, decode: {json: {}}}\nsink: {file: {path: x}}\n"))
	require.Equal(t, exitProblem, code)
	require.Contains(t, out, "has no tests")
	require.Contains(t, errOut, "there is no test to run")
}

func TestMistakesOfFilesStandInTheEnvelope(t *testing.T) {
	a := pipelineFile(t, t.TempDir(), "version: 1\nname: p\nsource: {strem: s, decode: {json: {}}}\nsink: {fil: {path: x}}\n")
	b := pipelineFile(t, t.TempDir(), "version: 2\n")
	c := pipelineFile(t, t.TempDir(), "version: 1\nname: c\nsource: {stream: s, decode: {json: {}}}\nstages: [{filter: 'a >'}]\nsink: {file: {path: x}}\n")
	code, out, _ := command(t, "lint", a, b, c, "--json")
	require.Equal(t, exitUsage, code)
	var e envelope
	require.NoError(t, json.Unmarshal([]byte(out), &e))
	require.Equal(t, "lint", e.Command)
	require.False(t, e.OK)
	require.Equal(t, pipelines.Error{File: a, Line: 3, Column: 10, Path: "source.strem", What: `unknown "strem" (have deaggregate, decode, end, file, generate, kinesis, schema, start, stream); did you mean stream?`}, e.Error.Mistakes[0])
	last := e.Error.Mistakes[len(e.Error.Mistakes)-1]
	require.Equal(t, []any{c, 4, "stages[0].filter"}, []any{last.File, last.Line, last.Path}, "what only opening shows is said beside the others")
	require.Contains(t, out, `"file":"`+b+`"`)
}

func TestLintSaysHowManyTestsThereAre(t *testing.T) {
	dir := t.TempDir()
	ok(t, "init", filepath.Join(dir, "p.yaml"))
	require.Equal(t, []linted{{filepath.Join(dir, "p.yaml"), "p", 1}}, result[[]linted](t, "lint", filepath.Join(dir, "p.yaml")))
}
