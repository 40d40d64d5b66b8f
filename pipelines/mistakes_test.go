package pipelines_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/pipelines"
	"github.com/penstock/penstock/sinks/dynamodb"
	"github.com/penstock/penstock/sinks/file"
	"github.com/penstock/penstock/sinks/postgres"
	"github.com/penstock/penstock/sinks/s3"
	"github.com/penstock/penstock/transforms/cast"
	"github.com/penstock/penstock/transforms/compute"
	"github.com/penstock/penstock/transforms/csv"
	"github.com/penstock/penstock/transforms/drop"
	"github.com/penstock/penstock/transforms/filter"
	"github.com/penstock/penstock/transforms/flatten"
	"github.com/penstock/penstock/transforms/hash"
	"github.com/penstock/penstock/transforms/json"
	"github.com/penstock/penstock/transforms/keep"
	"github.com/penstock/penstock/transforms/logline"
	"github.com/penstock/penstock/transforms/mask"
	"github.com/penstock/penstock/transforms/parsetimestamp"
	"github.com/penstock/penstock/transforms/raw"
	"github.com/penstock/penstock/transforms/regex"
	"github.com/penstock/penstock/transforms/rename"
)

// wholeRegistry knows what the binary knows.
func wholeRegistry() *pipelines.Registry {
	r := pipelines.NewRegistry()
	pipelines.AddDecoder(r, "csv", csv.New)
	pipelines.AddDecoder(r, "json", json.New)
	pipelines.AddDecoder(r, "logline", logline.New)
	pipelines.AddDecoder(r, "raw", raw.New)
	pipelines.AddDecoder(r, "regex", regex.New)
	pipelines.AddTransform(r, "cast", func(c cast.Config) (*cast.Transform, error) { return cast.New(c) })
	pipelines.AddTransform(r, "compute", func(c compute.Config) (*compute.Transform, error) { return compute.New(c) })
	pipelines.AddTransform(r, "drop", drop.New)
	pipelines.AddTransform(r, "filter", func(c filter.Config) (*filter.Transform, error) { return filter.New(c) })
	pipelines.AddTransform(r, "flatten", func(c flatten.Config) (*flatten.Transform, error) { return flatten.New(c) })
	pipelines.AddTransform(r, "hash", func(c hash.Config) (*hash.Transform, error) { return hash.New(c) })
	pipelines.AddTransform(r, "keep", keep.New)
	pipelines.AddTransform(r, "mask", func(c mask.Config) (*mask.Transform, error) { return mask.New(c) })
	pipelines.AddTransform(r, "parse_timestamp", func(c parsetimestamp.Config) (*parsetimestamp.Transform, error) { return parsetimestamp.New(c) })
	pipelines.AddTransform(r, "rename", rename.New)
	pipelines.AddSink(r, "file", file.Open)
	pipelines.AddSink(r, "dynamodb", dynamodb.Open)
	pipelines.AddSink(r, "postgres", postgres.Open)
	pipelines.AddSink(r, "s3", s3.Open)
	return r
}

var secrets = map[string]string{
	"SALT": "canarysalt", "SECRET": "canarysecret", "TOKEN": "canarytoken", "SET": "canaryvalue", "EMPTY": "", "S3_ACCESS_KEY": "canarykey", "S3_SECRET_KEY": "canarys3",
}

// TestMistakesInPipelineFilesAreSaid breaks every setting of every example, and of a file with all there are, in every
// way. Each mistake is one line with its place; nothing panics, takes long or leaves anything behind; and no secret is
// shown. One case in four is tried, all of them where PENSTOCK_MUTANTS is set.
func TestMistakesInPipelineFilesAreSaid(t *testing.T) {
	names, err := filepath.Glob("../examples/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	good := map[string]string{}
	for _, name := range append(names, "testdata/everything.yaml", "testdata/csv.yaml") {
		text, err := os.ReadFile(name) //nolint:gosec // of the repository
		require.NoError(t, err)
		good[filepath.Base(name)] = string(text)
	}
	dir := t.TempDir()
	t.Chdir(dir)
	r := wholeRegistry()
	step := 4
	if os.Getenv("PENSTOCK_MUTANTS") != "" {
		step = 1
	}
	var cases, wrong, right, placed int
	for name, text := range good {
		require.NoError(t, open(t, r, text), name)
		for i, m := range append(texts(text), mutants(t, text)...) {
			if m.path != "" && i%step != 0 {
				continue
			}
			what := name + ": " + m.what
			began := time.Now()
			err := open(t, r, m.text)
			require.Less(t, time.Since(began), 5*time.Second, what) // the machine may be busy
			cases++
			if err == nil {
				require.False(t, m.bad, "%s: this is accepted:\n%.2000s", what, m.text)
				right++
				continue
			}
			wrong++
			requireSaid(t, what, m, err)
			if m.path != "" {
				require.True(t, near(m.path, err), "%s: the place is elsewhere: %v", what, err)
				placed++
			}
		}
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "reading pipeline files leaves something behind")
	t.Logf("campaign=configuration cases=%d wrong=%d right=%d placed=%d panics=0 without_place=0", cases, wrong, right, placed)
	require.GreaterOrEqual(t, cases, 2000)
}

// open does what lint does.
func open(t *testing.T, r *pipelines.Registry, text string) error {
	t.Helper()
	s, err := r.Load("p.yaml", []byte(text), func(name string) (string, bool) {
		v, ok := secrets[name]
		return v, ok
	})
	if err != nil {
		return err
	}
	var p *connectors.Program
	if p, err = r.Program(t.Context(), s); err != nil {
		return err
	}
	return p.Sink.Close(t.Context())
}

// requireSaid checks that an error is the mistakes of a file, each of one line with a place in that file.
func requireSaid(t *testing.T, what string, m mutant, err error) {
	t.Helper()
	var all pipelines.Errors
	require.ErrorAs(t, err, &all, what)
	require.ErrorIs(t, err, core.ErrInvalid, what)
	require.NotEmpty(t, all, what)
	lines := strings.Split(m.text, "\n")
	for _, e := range all {
		said := e.Error()
		require.True(t, strings.HasPrefix(said, fmt.Sprintf("p.yaml:%d:%d: ", e.Line, e.Column)), "%s: %s", what, said)
		require.NotEmpty(t, e.What, what)
		require.Less(t, len(said), 1500, "%s: %s", what, said)
		require.NotContains(t, said, "canary", what)
		require.False(t, strings.ContainsFunc(said, func(r rune) bool { return !unicode.IsPrint(r) }), "%s: more than a line, or what a terminal acts on: %q", what, said)
		require.True(t, e.Line >= 1 && e.Line <= len(lines), "%s: no such line: %s", what, said)
		require.True(t, e.Column >= 1 && e.Column <= len(lines[e.Line-1])+1, "%s: no such column: %s", what, said)
	}
}

// near reports whether some mistake is said of the setting that was broken, of what it is a part of, or of what uses it.
func near(path string, err error) bool {
	var all pipelines.Errors
	if !errors.As(err, &all) {
		return false
	}
	parent := path[:max(strings.LastIndexAny(path, ".["), 0)]
	for _, e := range all {
		switch at := e.Path; {
		case strings.HasPrefix(at, parent), strings.HasPrefix(parent, at):
			return true
		case strings.HasPrefix(path, "source.") && strings.HasPrefix(at, "stages"): // a column that a stage names is no more
			return true
		case strings.HasPrefix(path, "stages") && strings.HasPrefix(at, "stages"): // made by a stage before
			return true
		case strings.HasPrefix(path, "sink.") && strings.HasPrefix(at, "sink."): // settings of a sink name one another
			return true
		case path == "name" && at == "dead_letter.stream": // which is derived from it
			return true
		}
	}
	return false
}
