package connectors

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
)

// openPlan is a store in which a pipeline has one open plan over two of its three shards.
func openPlan(t *testing.T) (*control.Scratch, keys, Plan) {
	t.Helper()
	store, k := control.NewScratch(), keys{"p"}
	plan := Plan{Pipeline: "p", Incarnation: "i", Number: 7, Spans: []PlanSpan{
		{Source: "s", Shard: "a", From: "5", Through: "9"}, {Source: "s", Shard: "b", Through: "3"},
	}, Outputs: []Output{{Name: "x", Rows: 4}}}
	put := func(key string, v any) {
		_, err := store.Commit(t.Context(), control.Txn{Writes: []control.Write{jsonRow(key, v)}})
		require.NoError(t, err)
	}
	put(k.state(), State{Incarnation: "i", NextPlan: 7})
	put(k.plan("i", 7), plan)
	put(k.shard("i", "s", "a"), Progress{Source: "s", Shard: "a", Checkpoint: "5", OpenPlan: 7})
	put(k.shard("i", "s", "b"), Progress{Source: "s", Shard: "b", OpenPlan: 7})
	put(k.shard("i", "s", "c"), Progress{Source: "s", Shard: "c", Checkpoint: "2", OpenPlan: 8})
	return store, k, plan
}

func TestAbandonClearsTheOpenPlanAndMovesNoCheckpoint(t *testing.T) {
	store, _, plan := openPlan(t)
	plans, err := OpenPlans(t.Context(), store, "p")
	require.NoError(t, err)
	require.Equal(t, []Plan{plan}, plans)
	gone, err := Abandon(t.Context(), store, "p", plans)
	require.NoError(t, err)
	require.Equal(t, []Plan{plan}, gone)

	plans, err = OpenPlans(t.Context(), store, "p")
	require.NoError(t, err)
	require.Empty(t, plans)
	all, err := ListProgress(t.Context(), store, "p")
	require.NoError(t, err)
	require.Equal(t, []Progress{
		{Source: "s", Shard: "a", Checkpoint: "5"}, {Source: "s", Shard: "b"}, {Source: "s", Shard: "c", Checkpoint: "2", OpenPlan: 8},
	}, all)
	st, _, err := LoadState(t.Context(), store, "p")
	require.NoError(t, err)
	require.EqualValues(t, 7, st.NextPlan, "its number is not used again")

	gone, err = Abandon(t.Context(), store, "p", []Plan{plan})
	require.NoError(t, err)
	require.Empty(t, gone, "a plan that is gone is not given up")
}

func TestAbandonLeavesThePlansOfAnotherIncarnation(t *testing.T) {
	store, _, plan := openPlan(t)
	plan.Incarnation = "j"
	gone, err := Abandon(t.Context(), store, "p", []Plan{plan})
	require.NoError(t, err)
	require.Empty(t, gone)
	plans, err := OpenPlans(t.Context(), store, "p")
	require.NoError(t, err)
	require.Len(t, plans, 1)
}

// meddled is a store where something happens before the first commit, and whose answer may be lost.
type meddled struct {
	*control.Scratch
	before func()
	lose   bool
}

func (m *meddled) Commit(ctx context.Context, t control.Txn) (int64, error) {
	if f := m.before; f != nil {
		m.before = nil
		f()
	}
	v, err := m.Scratch.Commit(ctx, t)
	if m.lose && err == nil {
		m.lose = false
		return 0, control.ErrUnknown
	}
	return v, err
}

func TestAPlanThatIsDoneMeanwhileIsNotAbandoned(t *testing.T) {
	store, k, plan := openPlan(t)
	p := &planner{store: store, keys: k, incarnation: "i"}
	m := &meddled{Scratch: store, before: func() { require.NoError(t, p.complete(t.Context(), 7)) }}
	gone, err := Abandon(t.Context(), m, "p", []Plan{plan})
	require.NoError(t, err)
	require.Empty(t, gone)
	all, err := ListProgress(t.Context(), store, "p")
	require.NoError(t, err)
	require.Equal(t, core.SequenceNumber("9"), all[0].Checkpoint, "the plan's checkpoint stands")
}

func TestAnAbandonWhoseAnswerIsLostIsReadBack(t *testing.T) {
	store, _, plan := openPlan(t)
	gone, err := Abandon(t.Context(), &meddled{Scratch: store, lose: true}, "p", []Plan{plan})
	require.NoError(t, err)
	require.Equal(t, []Plan{plan}, gone)
}

// TestAWorkerThatCarriesOutAnAbandonedPlanMovesNothing shows why its later plans are safe: the checkpoint is not where
// they begin.
func TestAWorkerThatCarriesOutAnAbandonedPlanMovesNothing(t *testing.T) {
	store, k, plan := openPlan(t)
	_, err := Abandon(t.Context(), store, "p", []Plan{plan})
	require.NoError(t, err)
	p := &planner{store: store, keys: k, incarnation: "i", without: guards{lease: true}}
	require.NoError(t, p.complete(t.Context(), 7))
	next := Plan{Number: 9, Spans: []PlanSpan{{Source: "s", Shard: "a", From: "9", Through: "12"}}}
	require.ErrorIs(t, p.commit(t.Context(), next, nil), errMoved)
	all, err := ListProgress(t.Context(), store, "p")
	require.NoError(t, err)
	require.Equal(t, core.SequenceNumber("5"), all[0].Checkpoint)
}
