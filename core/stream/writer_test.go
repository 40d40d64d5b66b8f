package stream

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/vfs"
)

// TestAPutThatEndsEarlyLetsGoOfItsRecords: its caller may use their memory again, whatever becomes of them.
func TestAPutThatEndsEarlyLetsGoOfItsRecords(t *testing.T) {
	n := start(t, vfs.NewMem())
	defer n.close(t)
	_, err := n.Create(t.Context(), "s", Settings{})
	require.NoError(t, err)
	s, err := n.Open(t.Context(), "s")
	require.NoError(t, err)
	waits := gatherInOneEntry(t, s)
	waits.put("first")

	data := []byte("second")
	records := []Record{{Key: "k", Data: data}, {Key: "k", Data: []byte("third")}}
	ctx, cancel := context.WithCancel(t.Context())
	v, err := s.view(t.Context())
	require.NoError(t, err)
	ended := make(chan []Result)
	go func() {
		out := make([]Result, len(records))
		_, _ = s.round(ctx, nil, v, records, []int{0, 1}, out)
		ended <- out
	}()
	require.Eventually(t, func() bool { // it is in the entry that gathers
		waits.w.mu.Lock()
		defer waits.w.mu.Unlock()
		return waits.w.gathers.rows == 3
	}, time.Minute, time.Millisecond)
	cancel()
	for _, r := range <-ended {
		require.ErrorIs(t, r.Err, shardlog.ErrUnknown)
	}
	copy(data, "changed")
	records[1] = Record{Key: "changed", Data: []byte("changed")}

	waits.send()
	got, _ := read(t, s, core.NewShardID(0), "", 3)
	require.Equal(t, []string{"first", "second", "third"}, got)
}
