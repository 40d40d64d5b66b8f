package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/pipelines"
)

// rowsOf are all rows of a data directory's control store.
func rowsOf(t *testing.T, data string) (rows []control.Row) {
	t.Helper()
	err := makeNode(t.Context(), data, func(n *pipelines.Node) (err error) {
		rows, err = n.Control.List(t.Context(), "")
		return err
	})
	require.NoError(t, err)
	return rows
}

const dryPipeline = `version: 1
name: dry
source: {SOURCE, decode: {json: {}}}
stages:
  - filter: 'n > 1'
  - compute: {inverse: '10 / (n - 3)'}
sink: {file: {path: 'LAKE', prefix: 'dt=!{timestamp:yyyy-MM-dd}/', partition_by: at}}
`

const dryRecords = `{"n":1,"at":"2026-01-01T00:00:00Z"}
{"n":2,"at":"2026-01-02T00:00:00Z"}
{"n":3,"at":"2026-01-02T00:00:00Z"}
{
{"n":null}
{"n":5,"at":"soon","more":true}
`

// dryRunIsRight checks what becomes of dryRecords.
func dryRunIsRight(t *testing.T, d pipelines.DryRun) {
	t.Helper()
	require.EqualValues(t, 6, d.Records)
	require.Equal(t, []pipelines.DryColumn{{Name: "n", Type: "int64"}, {Name: "at", Type: "utf8"}, {Name: "more", Type: "bool"}}, d.Schema)
	counts := map[string][4]int64{}
	for _, s := range d.Steps {
		counts[s.Stage] = [4]int64{s.Kept, s.Filtered, s.Null, s.Refused}
	}
	require.Equal(t, map[string][4]int64{
		"decode": {5, 0, 0, 1}, "stages[0].filter": {3, 1, 1, 0}, "stages[1].compute": {2, 0, 0, 1}, "sink": {1, 0, 0, 1},
	}, counts)
	require.JSONEq(t, `{"n":2,"at":"2026-01-02T00:00:00Z","inverse":-10}`, string(d.Steps[2].Rows[0]))
	require.Equal(t, map[string]int64{"dt=2026-01-02/": 1}, d.Prefixes)
	var letters []string
	for _, l := range d.DeadLetters {
		letters = append(letters, l.Stage+" "+l.Code)
	}
	require.Equal(t, []string{"decode bad_json", "stages[1].compute division_by_zero", "sink bad_partition"}, letters)
}

func TestADryRunWritesNothing(t *testing.T) {
	dir := t.TempDir()
	data, lake := filepath.Join(dir, "data"), filepath.Join(dir, "lake")
	in := filepath.Join(dir, "in.ndjson")
	require.NoError(t, os.WriteFile(in, []byte(dryRecords), 0o600))
	write := func(source string) string {
		return pipelineFile(t, dir, strings.NewReplacer("SOURCE", source, "LAKE", lake).Replace(dryPipeline))
	}
	ok(t, "streams", "create", "s", "--data", data)
	code, _, errOut := commandIn(t, dryRecords, "put", "s", "--data", data)
	require.Equal(t, exitOK, code, errOut)
	before := rowsOf(t, data)

	t.Run("of a stream", func(t *testing.T) {
		dryRunIsRight(t, result[pipelines.DryRun](t, "dry-run", write("stream: s"), "--data", data))
	})
	t.Run("of files", func(t *testing.T) {
		dryRunIsRight(t, result[pipelines.DryRun](t, "dry-run", write("file: {paths: ['"+in+"'], follow: true}"), "--data", data))
	})
	t.Run("of a file instead of the stream", func(t *testing.T) {
		dryRunIsRight(t, result[pipelines.DryRun](t, "dry-run", write("stream: no-such"), "--from", in))
	})
	t.Run("of standard input", func(t *testing.T) {
		code, out, errOut := commandIn(t, dryRecords, "dry-run", write("stream: no-such"), "--from", "-", "-n", "2")
		require.Equal(t, exitOK, code, errOut)
		require.Contains(t, out, "2 records of pipeline dry; nothing is written")
		require.Contains(t, out, "\nstages[0].filter kept=1 filtered=1 null=0 refused=0\n{\"n\":2,")
	})
	t.Run("of standard input as the source, with a header", func(t *testing.T) {
		file := pipelineFile(t, dir, "version: 1\nname: c\nsource: {file: {paths: ['-']}, decode: {csv: {header: true}}}\nsink: {file: {path: "+lake+"}}\n")
		code, out, errOut := commandIn(t, "a,b\n1,x\n2,\"y\nz\"\n", "dry-run", file)
		require.Equal(t, exitOK, code, errOut)
		require.Contains(t, out, "2 records of pipeline c")
		require.Contains(t, out, "{\"a\":2,\"b\":\"y\\nz\"}")
	})
	t.Run("of an endless generator", func(t *testing.T) {
		file := pipelineFile(t, dir, "version: 1\nname: g\nsource: {generate: {}, decode: {json: {}}}\nsink: {file: {path: "+lake+"}}\n")
		d := result[pipelines.DryRun](t, "dry-run", file, "-n", "25")
		require.EqualValues(t, 25, d.Records)
		require.Len(t, d.Steps[0].Rows, 25)
	})
	require.Equal(t, before, rowsOf(t, data), "the control store is as it was")
	require.NoDirExists(t, lake)
}

func TestADryRunMakesNoDataDirectory(t *testing.T) {
	dir := t.TempDir()
	file := pipelineFile(t, dir, strings.NewReplacer("SOURCE", "stream: s", "LAKE", dir).Replace(dryPipeline))
	code, _, errOut := command(t, "dry-run", file, "--data", filepath.Join(dir, "data"))
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "is not there, so stream s is not either")
	require.NoDirExists(t, filepath.Join(dir, "data"))
	code, _, errOut = command(t, "dry-run", file, "--from", filepath.Join(dir, "p.yaml"), "-n", "0")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "want 1 to 10000, not 0")
}

func TestADryRunSharesItsRecordsBetweenShards(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	ok(t, "streams", "create", "s", "--shards", "4", "--data", data)
	file := pipelineFile(t, dir, "version: 1\nname: g\nsource: {stream: s, decode: {json: {}}}\nsink: {file: {path: x}}\n")
	require.Zero(t, result[pipelines.DryRun](t, "dry-run", file, "--data", data).Records, "an empty stream is not waited for")
	code, _, errOut := commandIn(t, strings.Repeat("{\"a\":1}\n", 400), "put", "s", "--data", data)
	require.Equal(t, exitOK, code, errOut)
	require.EqualValues(t, 12, result[pipelines.DryRun](t, "dry-run", file, "--data", data, "-n", "12").Records)
}
