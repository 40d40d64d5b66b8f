package stream

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/vfs"
)

func TestAPageSaysHowManyBytesItHas(t *testing.T) {
	n := start(t, vfs.NewMem())
	defer n.close(t)
	_, err := n.Create(t.Context(), "s", Settings{})
	require.NoError(t, err)
	s, err := n.Open(t.Context(), "s")
	require.NoError(t, err)
	put(t, s, "k", strings.Repeat("a", 99), strings.Repeat("b", 99), strings.Repeat("c", 99))
	for bytes, want := range map[int64]int64{1: 1, 199: 1, 200: 2, 250: 2, 300: 3} {
		page, err := s.Page(t.Context(), "shardId-000000000000", "", 10, bytes)
		require.NoError(t, err)
		require.Equal(t, []int64{want, 100 * want}, []int64{page.Rows.Records, page.Rows.Bytes}, bytes)
		page.Rows.Release()
	}
}

func TestAReaderMakesBatchesAsSmallAsItIsTold(t *testing.T) {
	n := start(t, vfs.NewMem())
	defer n.close(t)
	_, err := n.Create(t.Context(), "s", Settings{})
	require.NoError(t, err)
	s, err := n.Open(t.Context(), "s")
	require.NoError(t, err)
	for range 10 {
		put(t, s, "k", strings.Repeat("a", 99))
	}
	for want, within := range map[int64][2]int64{10: {100, 1 << 20}, 3: {3, 1 << 20}, 2: {100, 200}, 1: {1, 1}} {
		r, err := s.Read(t.Context(), "shardId-000000000000", "")
		require.NoError(t, err)
		r.Within(within[0], within[1])
		b, err := r.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, b.Records)
		b.Release()
		require.NoError(t, r.Close())
	}
}
