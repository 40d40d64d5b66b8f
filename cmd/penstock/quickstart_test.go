package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQuickstartArchivesAndVerifies(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "q")
	code, out, errOut := command(t, "quickstart", "--dir", dir, "--events", "50000")
	require.Equal(t, exitOK, code, errOut)
	require.Contains(t, out, "verify clicks-archive: clean")
	file := filepath.Join(dir, "clicks-archive.yaml")

	// A second run finds nothing new and adds nothing.
	before, _, _ := verifyLine(t, file)
	code, _, errOut = command(t, "run", file, "--data", filepath.Join(dir, "data"), "--until-caught-up")
	require.Equal(t, exitOK, code, errOut)
	require.Contains(t, errOut, "nothing new since the last run")
	after, _, _ := verifyLine(t, file)
	require.Equal(t, before, after)

	// A missing file is found, and the exit code says so.
	files, err := filepath.Glob(filepath.Join(dir, "lake", "dt=*", "*.parquet"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	require.NoError(t, os.Remove(files[0]))
	line, code, _ := verifyLine(t, file)
	require.Equal(t, exitProblem, code)
	require.Contains(t, line, "NOT CLEAN")

	code, _, errOut = command(t, "quickstart", "--dir", dir)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "is there already")
}

// verifyLine is the verdict of penstock verify.
func verifyLine(t *testing.T, file string) (line string, code int, errOut string) {
	t.Helper()
	code, out, errOut := command(t, "verify", file)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1], code, errOut
}

// TestEveryRowOfAFileArrivesOnceAndBadOnesAreDeadLetters runs a pipeline from a file to NDJSON and compares the rows.
func TestEveryRowOfAFileArrivesOnceAndBadOnesAreDeadLetters(t *testing.T) {
	dir := t.TempDir()
	input := "{\"n\":1,\"day\":\"2026-01-01T10:00:00Z\"}\n{\"n\":2,\"day\":\"2026-01-02T10:00:00Z\"}\nnot json\n{\"n\":3,\"day\":\"2026-01-01T23:59:59Z\",\"new\":true}\n{\"n\":4,\"day\":\"soon\"}\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "in.ndjson"), []byte(input), 0o600))
	file := filepath.Join(dir, "p.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`version: 1
name: rows
source: {file: {paths: ['`+dir+`/*.ndjson']}, decode: {json: {}}}
stages:
  - compute: {twice: 'n * 2'}
sink: {file: {path: '`+dir+`/lake', prefix: 'dt=!{timestamp:yyyy-MM-dd}/', partition_by: day, format: {ndjson: {}}}}
`), 0o600))
	data := filepath.Join(dir, "data")
	code, _, errOut := command(t, "run", file, "--data", data)
	require.Equal(t, exitOK, code, errOut)
	rows := func(day string) string {
		files, err := filepath.Glob(filepath.Join(dir, "lake", "dt="+day, "*"))
		require.NoError(t, err)
		var all bytes.Buffer
		for _, f := range files {
			b, err := os.ReadFile(f)
			require.NoError(t, err)
			all.Write(b)
		}
		return all.String()
	}
	require.Equal(t, `{"n":1,"day":"2026-01-01T10:00:00Z","twice":2}`+"\n"+`{"n":3,"day":"2026-01-01T23:59:59Z","new":true,"twice":6}`+"\n", rows("2026-01-01"))
	require.Equal(t, `{"n":2,"day":"2026-01-02T10:00:00Z","twice":4}`+"\n", rows("2026-01-02"))
	code, out, errOut := command(t, "dlq", "list", "rows.dead", "--data", data)
	require.Equal(t, exitOK, code, errOut)
	require.Regexp(t, `in.ndjson:\d+ +0 +decode +bad_json`, out)
	require.Regexp(t, `in.ndjson:\d+ +0 +sink +bad_partition`, out)
	require.Equal(t, 3, strings.Count(out, "\n"))

	// Only what is new is read again.
	f, err := os.OpenFile(filepath.Join(dir, "in.ndjson"), os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = f.WriteString("{\"n\":5,\"day\":\"2026-01-02T11:00:00Z\"}\n")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	code, _, errOut = command(t, "run", file, "--data", data)
	require.Equal(t, exitOK, code, errOut)
	require.Equal(t, `{"n":2,"day":"2026-01-02T10:00:00Z","twice":4}`+"\n"+`{"n":5,"day":"2026-01-02T11:00:00Z","twice":10}`+"\n", rows("2026-01-02"))
	line, code, _ := verifyLine(t, file)
	require.Equal(t, exitOK, code)
	require.Contains(t, line, "clean: plans=2")
}

func TestMistakesInAFileAreAllSaidWithTheirPlace(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ text, want string }{
		"empty":               {"", "p.yaml:1:1: the file is empty"},
		"misspelt":            {"version: 1\nname: p\nsource: {strem: s, decode: {json: {}}}\nsink: {fil: {path: x}}\n", "p.yaml:3:10: source.strem: unknown \"strem\" (have deaggregate, decode, end, file, generate, kinesis, schema, start, stream); did you mean stream?"},
		"files have no order": {"version: 1\nname: p\nsource: {file: {paths: [a.ndjson]}, decode: {json: {}}}\nsink: {dynamodb: {table: orders, key: {partition: id}}}\n", "p.yaml:4:18: sink.dynamodb: rows of several files have no order among each other: name the column"},
		"and the other":       {"version: 1\nname: p\nsource: {strem: s, decode: {json: {}}}\nsink: {fil: {path: x}}\n", "p.yaml:4:8: sink: unknown \"fil\" (have dynamodb, file, postgres, s3); did you mean file?"},
		"twice":               {"version: 1\nversion: 1\n", "version: key stands twice"},
		"a variable":          {"version: 1\nname: ${NO_SUCH_VARIABLE}\n", "p.yaml:2:7: name: environment variable NO_SUCH_VARIABLE is not set"},
		"cyclic":              {"a: &a [*a, *a]\n", "p.yaml:1:"},
		"no yaml":             {"a: [\n", "p.yaml:"},
		"expression":          {"version: 1\nname: p\nsource: {stream: s, decode: {json: {}}}\nstages:\n  - filter: 'a >'\nsink: {file: {path: x}}\n", "p.yaml:5:13: stages[0].filter:"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, "p.yaml")
			require.NoError(t, os.WriteFile(file, []byte(c.text), 0o600))
			code, _, errOut := command(t, "lint", file)
			require.Equal(t, exitUsage, code)
			require.Contains(t, errOut, c.want)
		})
	}
}

// TestColumnsThatComeLateAreNullBefore runs a pipeline whose first records have nothing that it names.
func TestColumnsThatComeLateAreNullBefore(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "in.ndjson"), []byte("{\n{\"a\":1}\n{\"kind\":\"x\",\"n\":2}\n{\"kind\":\"heartbeat\",\"n\":3}\n"), 0o600))
	file := filepath.Join(dir, "p.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`version: 1
name: late
source: {file: {paths: ['`+dir+`/*.ndjson']}, decode: {json: {}}}
stages:
  - filter: 'kind != "heartbeat"'
  - compute: {twice: 'n * 2', of: 'other.field'}
buffer: {max_records: 1}
sink: {file: {path: '`+dir+`/lake', format: {ndjson: {}}}}
`), 0o600))
	code, _, errOut := command(t, "run", file, "--data", filepath.Join(dir, "data"))
	require.Equal(t, exitOK, code, errOut)
	require.Contains(t, errOut, "columns that no record has had yet")
	require.Contains(t, errOut, "other")
	files, err := filepath.Glob(filepath.Join(dir, "lake", "*.ndjson"))
	require.NoError(t, err)
	var got bytes.Buffer
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		got.Write(b)
	}
	require.Equal(t, `{"a":1}`+"\n"+`{"kind":"x","n":2,"twice":4}`+"\n", got.String())
}

// TestVerifyHoldsTheManifestsAgainstTheCheckpoints takes manifests away behind the node's back.
func TestVerifyHoldsTheManifestsAgainstTheCheckpoints(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "q")
	code, _, errOut := command(t, "quickstart", "--dir", dir, "--events", "20000")
	require.Equal(t, exitOK, code, errOut)
	file, data := filepath.Join(dir, "clicks-archive.yaml"), filepath.Join(dir, "data")
	code, out, errOut := command(t, "verify", file, "--data", data)
	require.Equal(t, exitOK, code, errOut)
	require.Contains(t, out, "0s behind")
	manifests, err := filepath.Glob(filepath.Join(dir, "lake", "_penstock", "*", "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, manifests)
	require.NoError(t, os.Remove(manifests[len(manifests)-1]))
	code, _, errOut = command(t, "verify", file)
	require.Equal(t, exitOK, code, errOut, "what is gone from the end shows in the data directory alone")
	code, out, _ = command(t, "verify", file, "--data", data)
	require.Equal(t, exitProblem, code)
	require.Contains(t, out, "NOT CLEAN")
}

// TestAFieldThatAStageCannotTakeIsRescued sends a record whose field has the name that a rename gives.
func TestAFieldThatAStageCannotTakeIsRescued(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.ndjson"), []byte("{\"ip\":\"1\"}\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b.ndjson"), []byte("{\"client_ip\":\"2\"}\n{\"ip\":\"3\",\"z\":1}\n"), 0o600))
	file := filepath.Join(dir, "p.yaml")
	run := func(input string) string {
		require.NoError(t, os.WriteFile(file, []byte(`version: 1
name: p
source: {file: {paths: ['`+dir+`/`+input+`']}, decode: {json: {}}}
stages: [rename: {ip: client_ip}]
sink: {file: {path: '`+dir+`/lake', format: {ndjson: {}}}}
`), 0o600))
		code, _, errOut := command(t, "run", file, "--data", filepath.Join(dir, "data"))
		require.Equal(t, exitOK, code, errOut)
		return errOut
	}
	run("a.ndjson")
	require.Contains(t, run("b.ndjson"), "go to _rescued")
	files, err := filepath.Glob(filepath.Join(dir, "lake", "*.ndjson"))
	require.NoError(t, err)
	var got bytes.Buffer
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		got.Write(b)
	}
	require.Equal(t, `{"client_ip":"1"}`+"\n"+`{"_rescued":"{\"client_ip\":\"2\"}"}`+"\n"+`{"client_ip":"3","_rescued":"{\"z\":1}"}`+"\n", got.String())
}

// TestVerifyDeepSeesEveryFlippedByte damages the pages of a Parquet file, one byte at a time.
func TestVerifyDeepSeesEveryFlippedByte(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "q")
	code, _, errOut := command(t, "quickstart", "--dir", dir, "--events", "3000")
	require.Equal(t, exitOK, code, errOut)
	file := filepath.Join(dir, "clicks-archive.yaml")
	code, out, errOut := command(t, "verify", file, "--deep")
	require.Equal(t, exitOK, code, out+errOut)
	files, err := filepath.Glob(filepath.Join(dir, "lake", "dt=*", "*.parquet"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	whole, err := os.ReadFile(files[0])
	require.NoError(t, err)
	for at := 4; at < len(whole)*3/4; at += len(whole) / 25 {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 0x10
		require.NoError(t, os.WriteFile(files[0], damaged, 0o600))
		code, out, _ := command(t, "verify", file, "--deep")
		require.Equal(t, exitProblem, code, "byte %d of %d: %s", at, len(whole), out)
		require.Contains(t, out, "is damaged")
	}
}
