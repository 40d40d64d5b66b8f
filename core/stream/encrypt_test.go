package stream

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/sealing"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/vfs"
)

// masters are two master keys in a file.
func masters(t *testing.T) *sealing.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.yaml")
	var text strings.Builder
	for _, name := range []string{"alias/one", "alias/two"} {
		key := make([]byte, 32)
		_, _ = rand.Read(key)
		text.WriteString(name + ": " + base64.StdEncoding.EncodeToString(key) + "\n")
	}
	require.NoError(t, os.WriteFile(path, []byte(text.String()), 0o600))
	f, err := sealing.OpenFile(path)
	require.NoError(t, err)
	return f
}

// onDisk reports whether a text stands in any file below a folder.
func onDisk(t *testing.T, dir, text string) bool {
	t.Helper()
	found := false
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		found = found || bytes.Contains(b, []byte(text))
		return err
	}))
	return found
}

func TestAnEncryptedStreamIsReadAsItWasPut(t *testing.T) {
	dir := t.TempDir()
	keys := masters(t)
	begin := func() (*node, *Stream) {
		n := startIn(t, vfs.OS{}, filepath.Join(dir, "log"))
		n.SetMasters(keys, KeyLimits{})
		s, err := n.Open(t.Context(), "s")
		if err != nil {
			_, err = n.Create(t.Context(), "s", Settings{})
			require.NoError(t, err)
			s, err = n.Open(t.Context(), "s")
		}
		require.NoError(t, err)
		return n, s
	}
	n, s := begin()
	put(t, s, "plain-key", "plain-canary")
	require.ErrorIs(t, s.Encrypt(t.Context(), "alias/none", 0), sealing.ErrNoKey)
	require.NoError(t, s.Encrypt(t.Context(), "alias/one", 0))
	put(t, s, "secret-key", "canary-1", "canary-2")
	require.NoError(t, s.Encrypt(t.Context(), "alias/two", 0), "another key, from now on")
	put(t, s, "secret-key", "canary-3", "")
	require.NoError(t, s.StopEncryption(t.Context(), 0))
	put(t, s, "plain-key", "plain again")

	want := []string{"plain-canary", "canary-1", "canary-2", "canary-3", "", "plain again"}
	for range 2 {
		got, _ := read(t, s, "shardId-000000000000", "", len(want))
		require.Equal(t, want, got)
		page, err := s.Page(t.Context(), "shardId-000000000000", "", 10, 1<<20)
		require.NoError(t, err)
		require.Equal(t, "secret-key", page.Rows.Keys().Value(2))
		page.Rows.Release()
		n.close(t)
		n, s = begin() // with no data key unwrapped
	}
	require.True(t, onDisk(t, dir, "plain-canary"), "that is how it would look")
	for _, canary := range []string{"canary-1", "canary-2", "canary-3", "secret-key"} {
		require.False(t, onDisk(t, dir, canary), canary)
	}
	n.SetMasters(masters(t), KeyLimits{}) // others of the same names
	r, err := s.Read(t.Context(), "shardId-000000000000", "")
	require.NoError(t, err)
	b, err := r.Next(t.Context())
	require.NoError(t, err, "what is before it can be read")
	require.EqualValues(t, 1, b.Records)
	require.NoError(t, r.Close())
	r, err = s.Read(t.Context(), "shardId-000000000000", b.Span.Last)
	require.NoError(t, err)
	b.Release()
	_, err = r.Next(t.Context())
	require.ErrorContains(t, err, "alias/one is not the one that it was")
	n.SetMasters(keys, KeyLimits{})
	b, err = r.Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, "canary-1", dataOf(b, 0), "nothing is passed over")
	b.Release()
	require.NoError(t, r.Close())
	require.NoError(t, n.Delete(t.Context(), "s"))
	rows, err := n.table.List(t.Context(), dataKeyPrefix)
	require.NoError(t, err)
	require.Empty(t, rows, "its data keys go with a stream")
	n.close(t)
}

func TestAnEncryptedRecordIsBoundToItsLog(t *testing.T) {
	n := start(t, vfs.NewMem())
	defer n.close(t)
	n.SetMasters(masters(t), KeyLimits{})
	_, err := n.Create(t.Context(), "s", Settings{Shards: 2})
	require.NoError(t, err)
	s, err := n.Open(t.Context(), "s")
	require.NoError(t, err)
	require.NoError(t, s.Encrypt(t.Context(), "alias/one", 0))
	v, err := s.view(t.Context())
	require.NoError(t, err)
	sealed, err := s.encrypted(t.Context(), v, []Record{{Key: "k", Data: []byte("text")}}, []uint64{0})
	require.NoError(t, err)
	by := opener{stream: s}
	text, err := by.open(t.Context(), nil, v.Shards[0], sealed[0].Data)
	require.NoError(t, err)
	require.Equal(t, "\x01ktext", string(text))
	_, err = by.open(t.Context(), nil, v.Shards[1], sealed[0].Data)
	require.ErrorIs(t, err, shardlog.ErrCorrupt, "moved to another shard")
	for i := range sealed[0].Data {
		changed := bytes.Clone(sealed[0].Data)
		changed[i] ^= 1
		_, err = by.open(t.Context(), nil, v.Shards[0], changed)
		require.ErrorIs(t, err, shardlog.ErrCorrupt, "byte %d", i)
	}
}

// TestADataKeyIsUsedNoMoreOftenThanItMay counts the uses of all processes, of which none comes near the bound.
func TestADataKeyIsUsedNoMoreOftenThanItMay(t *testing.T) {
	disk, keys := vfs.NewMem(), masters(t)
	begin := func() (*node, *Stream) {
		n := start(t, disk)
		n.SetMasters(keys, KeyLimits{})
		s, err := n.Open(t.Context(), "s")
		require.NoError(t, err)
		return n, s
	}
	first := start(t, disk)
	_, err := first.Create(t.Context(), "s", Settings{})
	require.NoError(t, err)
	first.close(t)
	n, s := begin()
	require.NoError(t, s.Encrypt(t.Context(), "alias/one", 0))
	for life := range 3 {
		put(t, s, "k", "a", "b")
		put(t, s, "k", "c")
		info, err := s.Info(t.Context())
		require.NoError(t, err)
		require.Equal(t, []int64{1, int64(life+1) * usesAtOnce}, []int64{info.Encryption.Key, info.Encryption.Uses})
		n.close(t)
		n, s = begin()
	}
	require.NoError(t, n.update(t.Context(), "s", func(i *Info) error {
		i.Encryption.Uses = sealing.MaxUses
		return nil
	}))
	put(t, s, "k", "d")
	put(t, s, "k", "e")
	info, err := s.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int64{2, usesAtOnce}, []int64{info.Encryption.Key, info.Encryption.Uses})
	got, _ := read(t, s, "shardId-000000000000", "", 11)
	require.Equal(t, []string{"a", "b", "c", "a", "b", "c", "a", "b", "c", "d", "e"}, got)
	n.close(t)
}
