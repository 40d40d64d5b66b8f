package connectors

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/core/vfs"
)

// tides is a source whose shards all end at the same sequence number, which rises.
type tides struct {
	Source
	shards []Shard
	tip    int
}

func (*tides) ID() string { return "tides" }

func (s *tides) Shards(context.Context) ([]Shard, error) { return s.shards, nil }

func (s *tides) Resolve(_ context.Context, _ core.ShardID, start Start) (core.SequenceNumber, error) {
	if start.Kind == StartTrimHorizon {
		return "", nil
	}
	return core.SequenceNumber(strconv.Itoa(s.tip)), nil
}

var errCrash = errors.New("crash")

// mortal is a store whose process dies at one of its commits: before or after it.
type mortal struct {
	lease.Store
	commits int // that are left
	after   bool
}

func (m *mortal) Commit(ctx context.Context, t control.Txn) (int64, error) {
	m.commits--
	if m.commits >= 0 || m.commits == -1 && m.after {
		v, err := m.Store.Commit(ctx, t)
		if m.commits >= 0 {
			return v, err
		}
	}
	return 0, errCrash
}

// TestTheStartOfManyShardsIsResolvedOnce crashes before and after every commit of a first start in 2,500 shards, whose
// tips then move on: the next start takes what was resolved before, or resolves all anew.
func TestTheStartOfManyShardsIsResolvedOnce(t *testing.T) {
	for crash := 0; ; crash++ {
		e, err := local.Open(vfs.NewMem(), "/log", local.Config{Reserve: -1})
		require.NoError(t, err)
		table, err := control.Open(t.Context(), e, "control", "test", control.Config{})
		require.NoError(t, err)
		register := func(store lease.Store, s *tides) (map[core.ShardID]Progress, error) {
			w, err := NewWorker(WorkerConfig{
				Pipeline: "p", Program: &Program{Spec: "spec", SpecText: []byte("{}")}, Source: s, Start: Start{Kind: StartLatest}, Store: store,
			})
			require.NoError(t, err)
			require.NoError(t, w.open(t.Context()))
			return w.register(t.Context(), s.shards)
		}
		source := &tides{tip: 1}
		for i := range 2500 {
			source.shards = append(source.shards, Shard{ID: core.NewShardID(i)})
		}
		_, died := register(&mortal{table, 1 + crash/2, crash%2 == 1}, source) // the first commit makes the pipeline's row
		source.tip = 2
		child := Shard{ID: core.NewShardID(2500)}
		source.shards = append(source.shards, child)
		was, err := ListProgress(t.Context(), table, "p")
		require.NoError(t, err)
		have, err := register(table, source)
		require.NoError(t, err)
		require.Len(t, have, 2501)
		want := core.SequenceNumber("2")
		if len(was) > 0 {
			want = "1"
			require.Empty(t, have[child.ID].Checkpoint, "it appeared after the first start")
			delete(have, child.ID)
		}
		for id, p := range have {
			require.Equal(t, want, p.Checkpoint, fmt.Sprint(id, ", crash ", crash))
		}
		require.NoError(t, errors.Join(table.Close(), e.Close()))
		if died == nil {
			require.Len(t, was, 2500)
			return
		}
		require.ErrorIs(t, died, errCrash)
	}
}
