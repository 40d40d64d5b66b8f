//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/pipelines"
)

// examined is what doctor found, by check, and its exit code.
func examined(t *testing.T, args ...string) (map[string]finding, int) {
	t.Helper()
	code, out, errOut := command(t, append([]string{"--json", "doctor"}, args...)...)
	var e struct{ Result []finding }
	require.NoError(t, json.Unmarshal([]byte(out), &e), "%s%s", out, errOut)
	require.NotEmpty(t, e.Result)
	found := map[string]finding{}
	for _, f := range e.Result {
		if f.State != foundOK {
			require.NotEmpty(t, f.Cure, f.What)
		}
		if was, ok := found[f.Check]; !ok || was.State == foundOK {
			found[f.Check] = f
		}
	}
	return found, code
}

func TestDoctorFindsNothingWhereNothingIsWrong(t *testing.T) {
	data := lineStream(t, 2, "{\"n\":1}\n{\"n\":2}\n")
	require.NoError(t, os.Chmod(data, 0o700))
	dir := t.TempDir()
	file := pipelineFile(t, dir, "version: 1\nname: p\nsource: {stream: s, decode: {json: {}}}\nsink: {file: {path: "+dir+"/lake}}\n")
	ok(t, "run", file, "--data", data, "--until-caught-up", "--quiet")
	found, _ := examined(t, "--data", data)
	for _, check := range []string{"owner", "permissions", "reserve", "sink of p", "source of p", "plans of p", "lag of p", "dead letters of p"} {
		require.Equal(t, foundOK, found[check].State, "%s: %+v", check, found)
	}
	for _, check := range []string{"open files", "memory", "space", "file system", "sync"} { // which are of this machine
		require.NotEmpty(t, found[check].State, check)
	}
	text := func() string {
		_, out, _ := command(t, "doctor", "--data", data)
		return out
	}()
	require.Contains(t, text, "ok       source of p: 2 shards or files can be read")
	found, code := examined(t, "--data", filepath.Join(dir, "none"))
	require.Contains(t, found["data directory"].What, "there is none")
	require.Contains(t, []int{exitOK, exitProblem}, code)
}

// TestDoctorNamesTheCause makes what commonly goes wrong go wrong.
func TestDoctorNamesTheCause(t *testing.T) {
	data := lineStream(t, 1, "{\"n\":1}\nnone\n")
	dir := t.TempDir()
	file := pipelineFile(t, dir, "version: 1\nname: p\nsource: {stream: s, decode: {json: {}}}\nsink: {file: {path: "+dir+"/lake, format: {ndjson: {}}}}\n")
	require.True(t, killed(t, file, data, "dead-letters-put:1", time.Minute))
	require.NoError(t, os.Chmod(data, 0o755)) //nolint:gosec // that is what is looked for
	found, code := examined(t, "--data", data)
	require.Equal(t, exitProblem, code)
	require.Equal(t, foundProblem, found["plans of p"].State)
	require.Contains(t, found["plans of p"].Cure, "abandon-plan p")
	require.Equal(t, foundWarning, found["permissions"].State)
	require.Equal(t, foundWarning, found["dead letters of p"].State)
	require.Contains(t, found["dead letters of p"].What, "bad_json")
	require.Equal(t, foundProblem, func() string {
		found, _ := examined(t, "--data", data, "--memory", "1024TiB")
		return found["memory"].State
	}())

	ok(t, "run", file, "--data", data, "--until-caught-up", "--quiet")
	ok(t, "pipelines", "pause", "p", "--data", data)
	found, _ = examined(t, "--data", data)
	require.Equal(t, foundOK, found["plans of p"].State)
	require.Equal(t, foundWarning, found["pipeline p"].State)
	require.Contains(t, found["pipeline p"].Cure, "resume p")

	late := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(late.Close)
	t.Setenv("LAKE_SECRET", "canary-secret")
	bad := filepath.Join(dir, "bad.yaml")
	require.NoError(t, os.WriteFile(bad, []byte(fmt.Sprintf(`version: 1
name: bad
source: {stream: elsewhere, decode: {json: {}}}
sink: {s3: {endpoint: '%s', bucket: lake, region: us-east-1, access_key: a, secret_key: '${LAKE_SECRET}'}}
`, late.URL)), 0o600))
	found, code = examined(t, bad, "--data", data)
	require.Equal(t, exitProblem, code)
	require.Equal(t, foundProblem, found["sink of bad"].State)
	require.Equal(t, foundProblem, found["source of bad"].State)
	require.Contains(t, found["source of bad"].What, "elsewhere")
	require.Equal(t, foundProblem, found["clock"].State)
	require.Regexp(t, "59m|1h0m", found["clock"].What)
	require.NotContains(t, found, "plans of p", "it was not asked for")
	for _, f := range found {
		require.NotContains(t, f.What, "canary-secret")
	}

	require.NoError(t, os.WriteFile(filepath.Join(data, "FORMAT"), []byte("99\n"), 0o600))
	found, code = examined(t, "--data", data)
	require.Equal(t, exitProblem, code)
	require.Contains(t, found["data directory"].What, "use the version of penstock that wrote it")
}

// TestDoctorSeesRetentionCome is of a pipeline that is nearly as far behind as its stream keeps records, and of one that was too
// far behind.
func TestDoctorSeesRetentionCome(t *testing.T) {
	age(t, func(a *aging) {
		a.put(1)
		a.run("")
		a.put(5)
		lag := func() finding {
			d := &doctor{app: &app{json: true}, books: &pipelines.Books{Node: a.node, Registry: registry(), Env: os.LookupEnv}}
			d.pipeline(a.t.Context(), "p")
			for _, f := range d.found {
				if strings.HasPrefix(f.Check, "lag") {
					return f
				}
			}
			return finding{}
		}
		require.Equal(a.t, foundOK, lag().State)
		time.Sleep(time.Hour)
		require.Equal(a.t, foundWarning, lag().State)
		require.Contains(a.t, lag().What, "nobody reads it")
		time.Sleep(retention*9/10 - time.Hour)
		require.Equal(a.t, foundProblem, lag().State, lag().What)
		require.Contains(a.t, lag().What, "they expire before they are delivered")
		time.Sleep(retention)
		a.run("")
		require.Equal(a.t, foundProblem, lag().State, lag().What)
		require.Contains(a.t, lag().What, "lost of ")
	})
}

// TestDoctorLooksInTheProcessThatHasTheDirectory: its limits are those that count.
func TestDoctorLooksInTheProcessThatHasTheDirectory(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	newStream(t, data)
	put(t, data, 0, 10)
	b := begin(t, "run", clicksFile(t, dir, "p", "", ""), "--data", data, "--memory", "200MiB")
	arrives(t, filepath.Join(dir, "p"), upTo(0, 10, anyNumber))
	found, _ := examined(t, "--data", data)
	require.Contains(t, found["memory"].What, "--memory is 200 MiB")
	require.Equal(t, foundOK, found["lag of p"].State)
	require.Equal(t, exitOK, b.end(), b.said())
}
