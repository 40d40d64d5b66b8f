//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
)

// TestAnAbandonedPlanIsReadAgain kills a run between the commit of its plan and its first output, gives the plan up, and
// finds every row there once.
func TestAnAbandonedPlanIsReadAgain(t *testing.T) {
	data := lineStream(t, 1, "{\"n\":1,\"event_type\":\"a\",\"event_time\":\"2026-01-01T00:00:00Z\"}\n{\"n\":2,\"event_type\":\"a\",\"event_time\":\"2026-01-01T01:00:00Z\"}\n")
	dir := t.TempDir()
	file := pipelineFile(t, dir, "version: 1\nname: p\nsource: {stream: s, decode: {json: {}}}\nsink: {file: {path: "+dir+"/lake, prefix: '!{timestamp:HH}/', partition_by: event_time, format: {ndjson: {}}}}\n")
	require.True(t, killed(t, file, data, "plan-committed:1", time.Minute))

	code, out, errOut := command(t, "pipelines", "abandon-plan", "p", "--data", data)
	require.Equal(t, exitUsage, code)
	require.Contains(t, out, "may double: 00/p-")
	require.Contains(t, out, "may double: 01/p-")
	require.Contains(t, errOut, "pass --yes")
	code, out, _ = command(t, "--json", "pipelines", "abandon-plan", "p", "--data", data)
	require.Equal(t, exitUsage, code)
	var e struct{ Result []connectors.Plan }
	require.NoError(t, json.Unmarshal([]byte(out), &e))
	require.Len(t, e.Result, 1, "what was not asked for is not done")

	require.Contains(t, ok(t, "pipelines", "abandon-plan", "p", "--data", data, "--yes"), "gave up 1 plans")
	require.Contains(t, ok(t, "pipelines", "abandon-plan", "p", "--data", data), "has no open plan")
	require.Empty(t, files(t, dir))
	ok(t, "run", file, "--data", data, "--until-caught-up", "--quiet")
	require.Len(t, files(t, dir), 2)
	require.Contains(t, ok(t, "verify", file), "verify p: clean: plans=1 files=2 rows=2")
}

// files are those of a lake below dir.
func files(t *testing.T, dir string) []string {
	t.Helper()
	out, err := filepath.Glob(filepath.Join(dir, "lake", "??", "*.ndjson"))
	require.NoError(t, err)
	slices.Sort(out)
	return out
}

// TestWhatAnAbandonedPlanWroteDoublesUntilItIsRemoved follows the advice that abandon-plan gives.
func TestWhatAnAbandonedPlanWroteDoublesUntilItIsRemoved(t *testing.T) {
	data := lineStream(t, 1, "{\"n\":1,\"event_time\":\"2026-01-01T00:00:00Z\"}\n")
	dir := t.TempDir()
	file := pipelineFile(t, dir, "version: 1\nname: p\nsource: {stream: s, decode: {json: {}}}\nsink: {file: {path: "+dir+"/lake, prefix: '!{timestamp:HH}/', partition_by: event_time, format: {ndjson: {}}}}\n")
	require.True(t, killed(t, file, data, "manifest-written:1", time.Minute))
	plans := result[[]connectors.Plan](t, "pipelines", "abandon-plan", "p", "--data", data, "--yes")
	require.Len(t, plans, 1)
	require.Len(t, files(t, dir), 1)
	ok(t, "run", file, "--data", data, "--until-caught-up", "--quiet")
	require.Len(t, files(t, dir), 2)
	line, code, _ := verifyLine(t, file)
	require.Equal(t, exitProblem, code)
	require.Contains(t, line, "NOT CLEAN")

	for _, o := range plans[0].Outputs {
		require.NoError(t, os.Remove(filepath.Join(dir, "lake", o.Name)))
	}
	manifests, err := filepath.Glob(filepath.Join(dir, "lake", "_penstock", "p-*", fmt.Sprintf("*%d.json", plans[0].Number)))
	require.NoError(t, err)
	require.Len(t, manifests, 1)
	require.NoError(t, os.Remove(manifests[0]))
	line, code, _ = verifyLine(t, file)
	require.Equal(t, exitOK, code, line)
	require.Contains(t, line, "clean: plans=1 files=1 rows=1")
}
