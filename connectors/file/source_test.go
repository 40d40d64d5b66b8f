package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/core/vfs"
)

func table(t *testing.T) *control.Store {
	t.Helper()
	e, err := local.Open(vfs.NewMem(), "/log", local.Config{})
	require.NoError(t, err)
	c, err := control.Open(t.Context(), e, "control", "test", control.Config{})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, c.Close())
		require.NoError(t, e.Close())
	})
	return c
}

// readShard reads a shard to its end, or until n lines came.
func readShard(t *testing.T, s *Source, id core.ShardID, after core.SequenceNumber, n int) (lines []string, seqs []core.SequenceNumber) {
	t.Helper()
	r, err := s.Read(t.Context(), id, after)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	for n < 0 || len(lines) < n {
		b, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		col := b.Rows.Column(core.HiddenColumns).(*array.Binary)
		for i := range col.Len() {
			lines = append(lines, string(col.Value(i)))
			seqs = append(seqs, b.SequenceOf(i))
		}
		b.Release()
	}
	return lines, seqs
}

func numbered(n int) (text string, want []string) {
	var b strings.Builder
	for i := range n {
		line := fmt.Sprintf("line %d %s", i, strings.Repeat("x", i%300))
		fmt.Fprintln(&b, line)
		want = append(want, line)
	}
	return b.String(), want
}

func write(t testing.TB, name, text string) {
	t.Helper()
	b := []byte(text)
	var buf bytes.Buffer
	switch filepath.Ext(name) {
	case ".gz":
		w := gzip.NewWriter(&buf)
		_, err := w.Write(b)
		require.NoError(t, errors.Join(err, w.Close()))
		b = buf.Bytes()
	case ".zst":
		w, err := zstd.NewWriter(&buf)
		require.NoError(t, err)
		_, err = w.Write(b)
		require.NoError(t, errors.Join(err, w.Close()))
		b = buf.Bytes()
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = f.Write(b)
	require.NoError(t, errors.Join(err, f.Close()))
}

func TestLinesAreReadFromAnywhereInEveryCompression(t *testing.T) {
	for _, ext := range []string{".log", ".log.gz", ".log.zst"} {
		t.Run(ext, func(t *testing.T) {
			text, want := numbered(20_000)
			name := filepath.Join(t.TempDir(), "a"+ext)
			write(t, name, text)
			s, err := New(Config{Paths: []string{name}}, connectors.Framing{}, table(t), "p", nil)
			require.NoError(t, err)
			shards, err := s.Shards(t.Context())
			require.NoError(t, err)
			require.Len(t, shards, 1)
			lines, seqs := readShard(t, s, shards[0].ID, "", -1)
			require.Equal(t, want, lines)
			for _, i := range []int{0, 1, 9999, 19_999} {
				lines, _ := readShard(t, s, shards[0].ID, seqs[i], -1)
				require.Len(t, lines, len(want)-i-1)
				if len(lines) > 0 {
					require.Equal(t, want[i+1:], lines)
				}
			}
		})
	}
}

func TestRunningAgainSeesOnlyNewFilesAndNewBytes(t *testing.T) {
	for _, ext := range []string{".log", ".log.gz"} {
		t.Run(ext, func(t *testing.T) {
			dir, store := t.TempDir(), table(t)
			list := func() (ids []core.ShardID, s *Source) {
				s, err := New(Config{Paths: []string{filepath.Join(dir, "*"+ext)}}, connectors.Framing{}, store, "p", nil)
				require.NoError(t, err)
				shards, err := s.Shards(t.Context())
				require.NoError(t, err)
				for _, sh := range shards {
					ids = append(ids, sh.ID)
				}
				return ids, s
			}
			write(t, filepath.Join(dir, "a"+ext), "one\ntwo\n")
			first, s := list()
			lines, _ := readShard(t, s, first[0], "", -1)
			require.Equal(t, []string{"one", "two"}, lines)
			again, _ := list()
			require.Equal(t, first, again)
			write(t, filepath.Join(dir, "a"+ext), "three\n\r\nfour")
			write(t, filepath.Join(dir, "b"+ext), "other\n")
			ids, s := list()
			require.Len(t, ids, 3)
			require.Equal(t, first[0], ids[0])
			lines, _ = readShard(t, s, ids[0], "", -1)
			require.Equal(t, []string{"one", "two"}, lines)
			lines, seqs := readShard(t, s, ids[1], "", -1)
			require.Equal(t, []string{"three", "four"}, lines)
			require.Equal(t, core.SequenceNumber("8"), seqs[0])
			lines, _ = readShard(t, s, ids[2], "", -1)
			require.Equal(t, []string{"other"}, lines)
		})
	}
}

func TestAnotherFileUnderTheSameNameIsAnotherShard(t *testing.T) {
	name, store := filepath.Join(t.TempDir(), "a.log"), table(t)
	ids := func() core.ShardID {
		s, err := New(Config{Paths: []string{name}}, connectors.Framing{}, store, "p", nil)
		require.NoError(t, err)
		shards, err := s.Shards(t.Context())
		require.NoError(t, err)
		return shards[len(shards)-1].ID
	}
	write(t, name, "one\ntwo\n")
	first := ids()
	require.NoError(t, os.WriteFile(name, []byte("uno\ndos\ntres\n"), 0o600))
	require.NotEqual(t, first, ids())
}

func TestAFollowedFileIsReadAsItGrows(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.log")
	write(t, name, "one\ntw")
	s, err := New(Config{Paths: []string{name}, Follow: true}, connectors.Framing{}, table(t), "p", nil)
	require.NoError(t, err)
	shards, err := s.Shards(t.Context())
	require.NoError(t, err)
	r, err := s.Read(t.Context(), shards[0].ID, "")
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	next := func() string {
		b, err := r.Next(t.Context())
		require.NoError(t, err)
		defer b.Release()
		return b.Rows.Column(core.HiddenColumns).(*array.Binary).ValueString(0)
	}
	require.Equal(t, "one", next())
	write(t, name, "o\n")
	require.Equal(t, "two", next())
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = r.Next(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestAMissingFileIsSaid(t *testing.T) {
	s, err := New(Config{Paths: []string{"/nowhere/*.log"}}, connectors.Framing{}, table(t), "p", nil)
	require.NoError(t, err)
	_, err = s.Shards(t.Context())
	require.ErrorContains(t, err, "/nowhere/*.log: nothing matches")
	_, err = New(Config{}, connectors.Framing{}, nil, "p", nil)
	require.ErrorIs(t, err, core.ErrInvalid)
	_, err = New(Config{Paths: []string{"[a"}}, connectors.Framing{}, nil, "p", nil)
	require.ErrorIs(t, err, core.ErrInvalid)
}
