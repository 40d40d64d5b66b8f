package sealing

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAFileOfMasterKeys(t *testing.T) {
	one, two := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("1", 32))), base64.StdEncoding.EncodeToString([]byte(strings.Repeat("2", 32)))
	t.Setenv("PENSTOCK_TEST_KEY", two)
	path := filepath.Join(t.TempDir(), "keys.yaml")
	write := func(text string) error {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := OpenFile(path)
		return err
	}
	for text, want := range map[string]string{
		"":                    "holds no key",
		"a: c2hvcnQ=":         "key a is not 32 bytes",
		"a: " + one + "!":     "key a is not 32 bytes",
		"a: [" + one + "]":    "want a mapping",
		"a: ${PENSTOCK_NONE}": "key a is not 32 bytes",
	} {
		err := write(text)
		require.ErrorContains(t, err, want, text)
		require.NotContains(t, err.Error(), one)
	}
	require.NoError(t, write("alias/one: "+one+"\nalias/two: ${PENSTOCK_TEST_KEY}\n"))
	f, err := OpenFile(path)
	require.NoError(t, err)
	text, wrapped, err := f.Generate(t.Context(), "alias/two", "stream")
	require.NoError(t, err)
	got, err := f.Unwrap(t.Context(), "stream", wrapped)
	require.NoError(t, err)
	require.Equal(t, text, got)
	_, err = f.Unwrap(t.Context(), "another stream", wrapped)
	require.ErrorIs(t, err, ErrSealed)
	_, err = f.Unwrap(t.Context(), "stream", Wrapped{"alias/one", wrapped.Key})
	require.ErrorIs(t, err, ErrSealed)
	k, err := NewKey(text)
	require.NoError(t, err)
	sealed := k.Seal(nil, []byte("text"), []byte("here"))
	require.Len(t, sealed, 4+Overhead)
	text, err = k.Open(nil, sealed, []byte("here"))
	require.NoError(t, err)
	require.Equal(t, "text", string(text))
	_, err = k.Open(nil, sealed, []byte("there"))
	require.ErrorIs(t, err, ErrSealed)
	_, _, err = f.Generate(t.Context(), "alias/none", "stream")
	require.ErrorIs(t, err, ErrNoKey)
	require.NoError(t, os.Chmod(path, 0o640))
	_, err = OpenFile(path)
	require.ErrorContains(t, err, "chmod 600")
}

func TestKeysOfAFileComeBeforeThoseOfOthers(t *testing.T) {
	file := func(text string) *File {
		path := filepath.Join(t.TempDir(), "keys.yaml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		f, err := OpenFile(path)
		require.NoError(t, err)
		return f
	}
	one, two := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("1", 32))), base64.StdEncoding.EncodeToString([]byte(strings.Repeat("2", 32)))
	first, others := file("both: "+one), file("both: "+two+"\nother: "+two)
	m := first.Or(others)
	for name, of := range map[string]*File{"both": first, "other": others} {
		key, w, err := m.Generate(t.Context(), name, "stream")
		require.NoError(t, err)
		got, err := of.Unwrap(t.Context(), "stream", w)
		require.NoError(t, err)
		require.Equal(t, key, got)
		w, err = m.Wrap(t.Context(), name, "stream", key)
		require.NoError(t, err)
		got, err = m.Unwrap(t.Context(), "stream", w)
		require.NoError(t, err)
		require.Equal(t, key, got)
	}
	_, err := m.Wrap(t.Context(), "none", "stream", nil)
	require.ErrorIs(t, err, ErrNoKey)
}
