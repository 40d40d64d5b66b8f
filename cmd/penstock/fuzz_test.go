package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/fuzztest"
	"github.com/penstock/penstock/pipelines"
)

// FuzzLoad loads arbitrary pipeline files: what is refused has a place or a reason, what is taken means the same when
// it is loaded from the text that plans are stored with.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("../../examples/*.yaml")
	require.NoError(f, err)
	require.NotEmpty(f, files)
	for _, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add([]byte("version: 1\nname: x\nsource: {stream: a, decode: {json: {}}}\nsink: {file: {path: ./lake}}\n"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("version: 1\nname: ${NAME:-x}\nsource: {file: {paths: ['-']}}\nsink: {s3: {bucket: $$b}}"))
	r := registry()
	env := func(name string) (string, bool) { return "value of " + name, name != "" }
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, text []byte) {
		s, err := r.Load("fuzz.yaml", text, env)
		if err != nil {
			var all pipelines.Errors
			require.ErrorAs(t, err, &all)
			require.NotEmpty(t, err.Error())
			return
		}
		again, err := r.Load("fuzz.yaml", s.Text, env)
		require.NoError(t, err, "%s", s.Text)
		require.Equal(t, s.Hash, again.Hash, "%s", s.Text)
	}))
}
