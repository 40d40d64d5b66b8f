package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/pipelines"
)

// badTimes are rows whose times no RFC 3339 knows.
var badTimes = strings.Repeat(`{"n":1,"at":"17/May/2015:10:05:03 +0000"}`+"\n", 5)

func TestARunSaysThatEveryRowIsRefused(t *testing.T) {
	const warning = "every row so far was refused"
	pipeline := func(t *testing.T, lines, buffer string) (file, data string) {
		dir := t.TempDir()
		in := filepath.Join(dir, "in.ndjson")
		require.NoError(t, os.WriteFile(in, []byte(lines), 0o600))
		return pipelineFile(t, dir, fmt.Sprintf(`version: 1
name: times
source: {file: {paths: [%q]}, decode: {json: {}}}
buffer: {%s}
sink: {file: {path: %q, prefix: 'dt=!{timestamp:yyyy-MM-dd}/', partition_by: at}}
`, in, buffer, filepath.Join(dir, "lake"))), filepath.Join(dir, "data")
	}
	said := func(t *testing.T, lines, buffer string) string {
		file, data := pipeline(t, lines, buffer)
		code, _, errOut := command(t, "run", file, "--data", data)
		require.Equal(t, exitOK, code, errOut)
		return errOut
	}
	t.Run("with the first flush", func(t *testing.T) {
		errOut := said(t, badTimes, "max_records: 2")
		require.Equal(t, 1, strings.Count(errOut, warning), errOut)
		for _, part := range []string{"level=WARN", "pipeline=times", "stage=sink", "code=bad_partition", "partition_by", "17/May/2015:10:05:03 +0000", "column at", "parse_timestamp"} {
			require.Contains(t, errOut, part)
		}
	})
	t.Run("where some row went on it is not said", func(t *testing.T) {
		require.NotContains(t, said(t, badTimes+`{"n":2,"at":"2015-05-17T10:05:03Z"}`, "max_records: 100"), warning)
	})
	t.Run("where the reasons differ it is not said", func(t *testing.T) {
		require.NotContains(t, said(t, "{\n{\"n\":1,\"at\":\"soon\"}\n", "max_records: 100"), warning)
	})
}

func TestAMisspeltColumnIsSaidBeforeAndWhenItRuns(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in.ndjson")
	require.NoError(t, os.WriteFile(in, []byte(`{"event_type":"click","bytes":3,"at":"2026-01-01T00:00:00Z"}`+"\n"), 0o600))
	file := pipelineFile(t, dir, fmt.Sprintf(`version: 1
name: misspelt
source: {file: {paths: [%q]}, decode: {json: {}}}
stages: [{filter: 'evnt_type != "x"'}, {compute: {twice: 'bytes * 2'}}, {filter: 'later == null'}]
sink: {file: {path: %q, prefix: 'dt=!{timestamp:yyyy}/', partition_by: att}}
tests:
  - {name: one, input: [{json: {event_type: click, bytes: 1, at: soon}}], rows: []}
  - {name: other, input: [{json: {event_type: click, at: soon}}], rows: []}
`, in, filepath.Join(dir, "lake")))
	const want = "evnt_type (did you mean event_type?), later, att (did you mean at?)"
	all := []connectors.Absent{{Column: "evnt_type", Meant: "event_type"}, {Column: "later"}, {Column: "att", Meant: "at"}}

	_, out, _ := command(t, "test", file)
	require.Contains(t, out, "warn  "+file)
	require.Contains(t, out, want)
	require.NotContains(t, out, "bytes,", "one of the tests has it")
	require.Contains(t, ok(t, "dry-run", file), want)
	require.Equal(t, all, result[pipelines.DryRun](t, "dry-run", file).Absent)
	for range 2 { // when the schema is inferred, and when it is known already
		code, _, errOut := command(t, "run", file, "--data", filepath.Join(dir, "data"))
		require.Equal(t, exitOK, code, errOut)
		require.Contains(t, errOut, want)
	}
}

func TestAFirstRowThatLooksLikeAHeaderIsSaid(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in.csv")
	file := pipelineFile(t, dir, fmt.Sprintf("version: 1\nname: table\nsource: {file: {paths: [%q]}, decode: {csv: {}}}\nsink: {file: {path: %q}}\n", in, filepath.Join(dir, "lake")))
	const advice = "set header: true in source.decode.csv"
	require.NoError(t, os.WriteFile(in, []byte("id,name\n1,a\n2,b\n"), 0o600))
	require.Contains(t, ok(t, "dry-run", file), advice)
	require.Contains(t, result[pipelines.DryRun](t, "dry-run", file).Advice, advice)
	code, _, errOut := command(t, "run", file, "--data", filepath.Join(dir, "data"))
	require.Equal(t, exitOK, code, errOut)
	require.Equal(t, 1, strings.Count(errOut, advice), errOut)
	require.NoError(t, os.WriteFile(in, []byte("1,name\n1,a\n2,b\n"), 0o600))
	require.NotContains(t, ok(t, "dry-run", file), advice)
}
