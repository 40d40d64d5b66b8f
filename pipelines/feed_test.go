package pipelines

import (
	"io"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/file"
	"github.com/penstock/penstock/core/stream"
)

func TestAClosedFeedPutsWhatItGathered(t *testing.T) {
	n, err := OpenNode(t.Context(), t.TempDir())
	require.NoError(t, err)
	_, err = n.Streams.Create(t.Context(), "in", stream.Settings{})
	require.NoError(t, err)
	st, err := n.Streams.Open(t.Context(), "in")
	require.NoError(t, err)
	silent, w := io.Pipe()
	f := startFeed(st, file.NewRecords(silent, file.Config{Paths: []string{"-"}}, connectors.Framing{}))
	const total = 5000
	for i := range total {
		require.True(t, f.add([]byte(strconv.Itoa(i)), int64(i)))
	}
	f.close()
	require.NoError(t, f.err())
	require.NoError(t, w.Close())
	r, err := st.Read(t.Context(), "shardId-000000000000", "")
	require.NoError(t, err)
	last, err := st.Last(t.Context(), "shardId-000000000000")
	require.NoError(t, err)
	require.NotEmpty(t, last)
	rows := int64(0)
	for {
		b, err := r.Next(t.Context())
		require.NoError(t, err)
		rows += b.Records
		end := b.Span.Last == last
		b.Release()
		if end {
			break
		}
	}
	require.NoError(t, r.Close())
	require.EqualValues(t, total, rows)
	require.NoError(t, n.Close())
}
