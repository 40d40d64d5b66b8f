package iam

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/vfs"
)

func TestGenerateMakesAFileThatOpens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credentials.yaml")
	key, err := Generate(path)
	require.NoError(t, err)
	require.Len(t, key.Secret.Reveal(), 40)
	info, err := os.Stat(path)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	s, err := Open(path)
	require.NoError(t, err)
	got, ok := s.Key(key.AccessKey)
	require.True(t, ok)
	require.Equal(t, key.Secret.Reveal(), got.Secret.Reveal())
	require.True(t, got.Active)
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing half made is left")

	other, err := Generate(path)
	require.ErrorIs(t, err, fs.ErrExist)
	require.Empty(t, other.AccessKey)
	again, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(again), key.AccessKey)
}

// TestGenerateThroughFaults fails every call once, and takes the power away after it: the file is whole or not there, and
// a key that was returned is in it.
func TestGenerateThroughFaults(t *testing.T) {
	const path = "/data/credentials.yaml"
	fault := errors.New("fault")
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a repeatable test
	for n := 1; ; n++ {
		disk, calls := vfs.NewMem(), 0
		disk.Fail(func(string, string) error {
			if calls++; calls == n {
				return fault
			}
			return nil
		})
		key, err := generate(disk, path)
		disk.Fail(nil)
		if err != nil {
			require.ErrorIs(t, err, fault)
			require.Empty(t, key.AccessKey)
			require.Empty(t, disk.Get(path), "no key that was not returned")
		}
		for range 20 {
			text := disk.CrashClone(rng).Get(path)
			if err == nil || len(text) > 0 {
				keys, bad := parse(path, text)
				require.NoError(t, bad)
				require.Len(t, keys, 1)
			}
			if err == nil {
				require.Contains(t, string(text), key.AccessKey)
			}
		}
		if err == nil {
			require.Greater(t, n, 4)
			return
		}
	}
}
