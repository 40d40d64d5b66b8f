package connectors

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors/kpl/kpltest"
	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
)

// ferry is a source of one record, number 8, whose places are said in words.
type ferry struct {
	Source
	record []byte
	shards []Shard
}

func (*ferry) ID() string { return "ferry" }

func (f *ferry) Shards(context.Context) ([]Shard, error) { return f.shards, nil }

func (*ferry) Resolve(_ context.Context, _ core.ShardID, start Start) (core.SequenceNumber, error) {
	switch start.Kind {
	case StartTrimHorizon:
		return "", nil
	case StartLatest:
		return "20", nil
	case StartAt:
		return core.SequenceNumber(fmt.Sprint(start.At.Unix())), nil
	case StartAfter:
		if start.Sub != nil {
			return start.After + "-", nil // before it
		}
	}
	return start.After, nil
}

func (f *ferry) Read(context.Context, core.ShardID, core.SequenceNumber) (Reader, error) {
	return ferried{f.record}, nil
}

type ferried struct{ record []byte }

func (f ferried) Next(context.Context) (core.Batch, error) {
	return rawBatch("a", 7, []string{string(f.record)}), nil
}

func (ferried) Close() error { return nil }

// ferryWorker is a worker of a pipeline whose row is there.
func ferryWorker(t *testing.T, store lease.Store, f *ferry, start Start) *Worker {
	t.Helper()
	w, err := NewWorker(WorkerConfig{Pipeline: "p", Program: &Program{Spec: "spec", SpecText: []byte("{}")}, Source: f, Start: start, Store: store})
	require.NoError(t, err)
	require.NoError(t, w.open(t.Context()))
	return w
}

func TestAShardBeginsWhereOtherSoftwareLeftIt(t *testing.T) {
	packed := kpltest.Pack(kpltest.User{Key: "x", Data: "1"}, kpltest.User{Key: "y", Data: "2"}, kpltest.User{Key: "z", Data: "3"})
	after := func(sub int64) *Start { return &Start{Kind: StartAfter, After: "8", Sub: &sub} }
	for name, c := range map[string]struct {
		begin  *Start
		record []byte
		was    Progress
		want   Progress
	}{
		"at its beginning":           {begin: &Start{Kind: StartTrimHorizon}},
		"at its end":                 {begin: &Start{Kind: StartLatest}, want: Progress{Checkpoint: "20", ProofFrom: "20"}},
		"at a time that nobody says": {begin: &Start{Kind: StartAt}},
		"after a record":             {begin: after(0), record: []byte("plain"), want: Progress{Checkpoint: "8", ProofFrom: "8"}},
		"after all of a packed one":  {begin: after(2), record: packed, want: Progress{Checkpoint: "8", ProofFrom: "8"}},
		"within a packed one":        {begin: after(1), record: packed, want: Progress{Checkpoint: "8-", ProofFrom: "8-"}},
		"behind where we left it": {
			begin: after(0), record: []byte("plain"), was: Progress{Checkpoint: "5", ProofFrom: "4", Totals: Counts{Rows: 3}},
			want: Progress{Checkpoint: "8", ProofFrom: "4", Totals: Counts{Rows: 3}, Lost: []Gap{
				{From: "5", Through: "8", Why: "were left to other software, whose checkpoint stands behind them"},
			}},
		},
		"before where we left it": {begin: after(0), record: []byte("plain"), was: Progress{Checkpoint: "9", ProofFrom: "9"}, want: Progress{Checkpoint: "8", ProofFrom: "8"}},
	} {
		t.Run(name, func(t *testing.T) {
			store := control.NewScratch()
			w := ferryWorker(t, store, &ferry{record: c.record}, Start{Kind: StartLatest})
			key := w.keys.shard(w.incarnation, "ferry", "a")
			c.was.Source, c.was.Shard, c.was.Begin = "ferry", "a", c.begin
			_, err := store.Commit(t.Context(), control.Txn{Writes: []control.Write{jsonRow(key, c.was)}})
			require.NoError(t, err)
			got, err := (&session{w: w}).settled(t.Context(), "a")
			require.NoError(t, err)
			c.want.Source, c.want.Shard = "ferry", "a"
			require.Equal(t, c.want, got)
			have, err := w.progress(t.Context())
			require.NoError(t, err)
			require.Equal(t, c.want, have["a"], "it is noted")
		})
	}
}

// TestAPlanThatOtherSoftwareMovedAwayFromIsGivenUp: one of its shards is elsewhere by now, and its other one is read again.
func TestAPlanThatOtherSoftwareMovedAwayFromIsGivenUp(t *testing.T) {
	store, k, plan := openPlan(t)
	said := ""
	w, err := NewWorker(WorkerConfig{
		Pipeline: "p", Program: &Program{}, Source: &ferry{}, Store: store, Events: &Events{Noticed: func(what string) { said = what }},
	})
	require.NoError(t, err)
	w.incarnation = "i"
	w.planner = &planner{store: store, keys: k, incarnation: "i"}
	_, err = store.Commit(t.Context(), control.Txn{Writes: []control.Write{jsonRow(k.shard("i", "s", "a"), Progress{Source: "s", Shard: "a", Checkpoint: "30"})}})
	require.NoError(t, err)
	require.NoError(t, w.again(t.Context(), plan.Number))
	require.Contains(t, said, "plan 7 is given up, as a was moved on")
	all, err := ListProgress(t.Context(), store, "p")
	require.NoError(t, err)
	require.Equal(t, []Progress{
		{Source: "s", Shard: "a", Checkpoint: "30"}, {Source: "s", Shard: "b"}, {Source: "s", Shard: "c", Checkpoint: "2", OpenPlan: 8},
	}, all)
}

// TestADonePlanLeavesWhatOtherSoftwareMoved alone.
func TestADonePlanLeavesWhatOtherSoftwareMoved(t *testing.T) {
	store, k, plan := openPlan(t)
	_, err := store.Commit(t.Context(), control.Txn{Writes: []control.Write{jsonRow(k.shard("i", "s", "a"), Progress{Source: "s", Shard: "a", Checkpoint: "30"})}})
	require.NoError(t, err)
	require.NoError(t, (&planner{store: store, keys: k, incarnation: "i"}).complete(t.Context(), plan.Number))
	all, err := ListProgress(t.Context(), store, "p")
	require.NoError(t, err)
	require.Equal(t, core.SequenceNumber("30"), all[0].Checkpoint)
	require.Equal(t, core.SequenceNumber("3"), all[1].Checkpoint)
	require.Zero(t, all[1].OpenPlan)
}

// TestAParentWithoutARowWasDone where one of its children has one.
func TestAParentWithoutARowWasDone(t *testing.T) {
	store := control.NewScratch()
	f := &ferry{shards: []Shard{
		{ID: "a", Closed: true},
		{ID: "b", Parents: []core.ShardID{"a"}, Closed: true},
		{ID: "c", Parents: []core.ShardID{"b"}},
		{ID: "d", Parents: []core.ShardID{"b"}},
		{ID: "e"},
	}}
	w := ferryWorker(t, store, f, Start{Kind: StartLatest})
	_, err := store.Commit(t.Context(), control.Txn{Writes: []control.Write{
		jsonRow(w.keys.shard(w.incarnation, "ferry", "c"), Progress{Source: "ferry", Shard: "c", Begin: &Start{Kind: StartLatest}}),
	}})
	require.NoError(t, err)
	have, err := w.register(t.Context(), f.shards)
	require.NoError(t, err)
	require.Len(t, have, 5)
	for id, ended := range map[core.ShardID]bool{"a": true, "b": true, "c": false, "d": false, "e": false} {
		require.Equal(t, ended, have[id].Ended, id)
	}
	require.Equal(t, []core.ShardID{"b"}, have["d"].Parents)
	require.Empty(t, have["e"].Checkpoint, "it is found later")
}

// narrows is a store whose transactions are small.
type narrows struct{ lease.Store }

const mostAtOnce = 4

func (narrows) Shards() int { return mostAtOnce }

func (n narrows) Commit(ctx context.Context, t control.Txn) (int64, error) {
	if len(t.Writes) > mostAtOnce+1 {
		return 0, fmt.Errorf("%d writes: %w", len(t.Writes), core.ErrInvalid)
	}
	return n.Store.Commit(ctx, t)
}

// TestTheFirstStartOfMoreShardsThanATransactionTakes crashes before and after every commit: each shard begins where the start
// puts it, once.
func TestTheFirstStartOfMoreShardsThanATransactionTakes(t *testing.T) {
	for crash := 0; ; crash++ {
		table := control.NewScratch()
		source := &tides{tip: 1}
		for i := range 3 * mostAtOnce {
			source.shards = append(source.shards, Shard{ID: core.NewShardID(i)})
		}
		register := func(store lease.Store) (map[core.ShardID]Progress, error) {
			w, err := NewWorker(WorkerConfig{
				Pipeline: "p", Program: &Program{Spec: "spec", SpecText: []byte("{}")}, Source: source, Start: Start{Kind: StartLatest}, Store: store,
			})
			require.NoError(t, err)
			require.NoError(t, w.open(t.Context()))
			return w.register(t.Context(), source.shards)
		}
		_, died := register(narrows{&mortal{table, 1 + crash/2, crash%2 == 1}})
		source.tip = 2
		was, err := ListProgress(t.Context(), table, "p")
		require.NoError(t, err)
		have, err := register(narrows{table})
		require.NoError(t, err)
		require.Len(t, have, len(source.shards))
		resolved := 0
		for _, p := range have {
			if p.Checkpoint == "1" {
				resolved++
			} else {
				require.Equal(t, core.SequenceNumber("2"), p.Checkpoint)
			}
		}
		require.Equal(t, len(was), resolved)
		source.shards = append(source.shards, Shard{ID: "later"})
		have, err = register(narrows{table})
		require.NoError(t, err)
		require.Empty(t, have["later"].Checkpoint)
		if died == nil {
			require.Equal(t, 6, crash)
			return
		}
	}
}
