package scratch_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/scratch"
	"github.com/penstock/penstock/core/vfs"
)

func TestWhatIsPutComesBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "scratch")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "7"), []byte("of a process that died"), 0o600))
	s, err := scratch.New(vfs.OS{}, dir, 10)
	require.NoError(t, err)
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, names)

	f, err := s.Open()
	require.NoError(t, err)
	one, err := f.Put([]byte("one"))
	require.NoError(t, err)
	_, err = f.Put([]byte("too much"))
	require.ErrorIs(t, err, scratch.ErrFull)
	three, err := f.Put([]byte("three"))
	require.NoError(t, err)
	got, err := f.Get(three, nil)
	require.NoError(t, err)
	require.Equal(t, "three", string(got))
	got, err = f.Get(one, got)
	require.NoError(t, err)
	require.Equal(t, "one", string(got))

	other, err := s.Open()
	require.NoError(t, err)
	_, err = other.Put([]byte("abc"))
	require.ErrorIs(t, err, scratch.ErrFull, "the bound is of all files")
	require.NoError(t, f.Close())
	require.NoError(t, f.Close())
	_, err = other.Put([]byte("ten bytes!"))
	require.NoError(t, err)
	require.NoError(t, other.Close())
	names, err = os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, names)
}

func TestDamageIsSeen(t *testing.T) {
	mem := vfs.NewMem()
	s, err := scratch.New(mem, "d", 100)
	require.NoError(t, err)
	f, err := s.Open()
	require.NoError(t, err)
	p, err := f.Put([]byte("text"))
	require.NoError(t, err)
	require.NoError(t, f.Damage(0))
	_, err = f.Get(p, nil)
	require.ErrorIs(t, err, scratch.ErrDamaged)
	require.NoError(t, f.Close())
}
