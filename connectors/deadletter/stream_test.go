package deadletter

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/core/vfs"
)

func TestLettersAreListedOnceByIdentity(t *testing.T) {
	e, err := local.Open(vfs.NewMem(), "/log", local.Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	c, err := control.Open(t.Context(), e, "control", "test", control.Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	s, err := New(stream.NewStore(e, c, "test"), "p.dead")
	require.NoError(t, err)
	list := func() (out []connectors.DeadLetter) {
		require.NoError(t, s.List(t.Context(), func(l connectors.DeadLetter) bool {
			out = append(out, l)
			return true
		}))
		return out
	}
	require.Empty(t, list())
	a := connectors.DeadLetter{Pipeline: "p", Incarnation: "i", Shard: "shardId-0", Seq: "1", Stage: "decode", Code: "bad_json", Raw: []byte("{")}
	b := a
	b.Seq, b.Raw = "2", bytes.Repeat([]byte("x"), 10<<20)
	require.NoError(t, s.Put(t.Context(), []connectors.DeadLetter{a, b}))
	require.NoError(t, s.Put(t.Context(), []connectors.DeadLetter{a}))
	got := list()
	require.Len(t, got, 2)
	require.Equal(t, a, got[0])
	require.Contains(t, got[1].Reason, "the raw record of 10485760 bytes is cut to")
	require.Greater(t, len(got[1].Raw), 7<<20)
}
