package pipelines

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/file"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/core/vfs"
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

// TestAFeedWaitsForALogThatIsBusy: what was read of standard input and is refused cannot be read again.
func TestAFeedWaitsForALogThatIsBusy(t *testing.T) {
	e, err := local.Open(vfs.NewMem(), "/log", local.Config{Queue: 1 << 20})
	require.NoError(t, err)
	table, err := control.Open(t.Context(), e, "control", "test", control.Config{})
	require.NoError(t, err)
	streams := stream.NewStore(e, table, "test")
	_, err = streams.Create(t.Context(), "in", stream.Settings{})
	require.NoError(t, err)
	st, err := streams.Open(t.Context(), "in")
	require.NoError(t, err)
	const total = 20_000
	var in strings.Builder
	for i := range total {
		fmt.Fprintf(&in, "%d %1000d\n", i, 0)
	}
	f := startFeed(st, file.NewRecords(io.NopCloser(strings.NewReader(in.String())), file.Config{Paths: []string{"-"}}, connectors.Framing{}))
	<-f.ended.Done()
	require.NoError(t, f.err())
	r, err := st.Read(t.Context(), "shardId-000000000000", "")
	require.NoError(t, err)
	for n := 0; n < total; {
		b, err := r.Next(t.Context())
		require.NoError(t, err)
		data := b.Rows.Column(core.HiddenColumns).(*array.Binary)
		for i := range data.Len() {
			number, _, _ := strings.Cut(string(data.Value(i)), " ")
			require.Equal(t, strconv.Itoa(n), number)
			n++
		}
		b.Release()
	}
	require.NoError(t, r.Close())
	require.NoError(t, table.Close())
	require.NoError(t, e.Close())
}
