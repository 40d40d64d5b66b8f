package streamsource_test

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/streamsource"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/core/vfs"
)

// vanishing is an engine whose logs can be gone at any moment.
type vanishing struct {
	shardlog.Engine
	gone shardlog.LogID
}

func (v *vanishing) Tail(ctx context.Context, id shardlog.LogID) (shardlog.Tail, error) {
	if id == v.gone {
		return shardlog.Tail{}, shardlog.ErrNotFound
	}
	return v.Engine.Tail(ctx, id)
}

// parted is a stream with records in a parent and its children.
func parted(t *testing.T) (*vanishing, *stream.Store, *stream.Stream) {
	t.Helper()
	e, err := local.Open(vfs.NewMem(), "/log", local.Config{Idle: time.Hour})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	v := &vanishing{Engine: e}
	c, err := control.Open(t.Context(), v, "control", "test", control.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	store := stream.NewStore(v, c, "test")
	_, err = store.Create(t.Context(), "s", stream.Settings{})
	require.NoError(t, err)
	s, err := store.Open(t.Context(), "s")
	require.NoError(t, err)
	put := func(n int) {
		for i := range n {
			out, err := s.Put(t.Context(), []stream.Record{{Key: strconv.Itoa(i), Data: make([]byte, 1<<10)}})
			require.NoError(t, err)
			require.NoError(t, out[0].Err)
		}
	}
	put(3)
	_, err = s.Split(t.Context(), core.NewShardID(0), nil)
	require.NoError(t, err)
	put(3)
	return v, store, s
}

// TestAShardThatGoesUnderItsReaderIsGoneForIt: what it had not read is lost, which is for the pipeline to count. Any other
// error ends the pipeline.
func TestAShardThatGoesUnderItsReaderIsGoneForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, store, s := parted(t)
		src := streamsource.New(s)
		for _, open := range []func(context.Context, core.ShardID, core.SequenceNumber) (connectors.Reader, error){src.Read, src.Reread} {
			r, err := open(t.Context(), core.NewShardID(0), "")
			require.NoError(t, err)
			defer func() {
				_, err = r.Next(t.Context())
				require.ErrorIs(t, err, shardlog.ErrTrimmed)
				require.NoError(t, r.Close())
			}()
		}
		for range 25 * 60 {
			require.NoError(t, store.Trim(t.Context(), time.Now()))
			time.Sleep(time.Minute)
		}
		info, err := s.Info(t.Context())
		require.NoError(t, err)
		require.Len(t, info.Shards, 2, "the parent is gone")
	})
}

// TestAShardThatGoesWhileShardsAreListedIsNotListed.
func TestAShardThatGoesWhileShardsAreListedIsNotListed(t *testing.T) {
	v, _, s := parted(t)
	info, err := s.Info(t.Context())
	require.NoError(t, err)
	v.gone = info.Shards[0].Log
	shards, err := streamsource.New(s).Shards(t.Context())
	require.NoError(t, err)
	require.Len(t, shards, 2)
	_, err = streamsource.New(s).Gap(t.Context(), core.NewShardID(0), "")
	require.ErrorIs(t, err, shardlog.ErrTrimmed)
}
