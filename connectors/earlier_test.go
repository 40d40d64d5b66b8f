package connectors

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/control"
)

// opening counts how often a sink is opened and closed.
type opening struct {
	Sink
	opened, closed int
}

func (o *opening) Close(context.Context) error {
	o.closed++
	return nil
}

// TestAnEarlierSpecIsOpenedOnceHoweverOftenItsPlanIsTried: each opening may have connections of its own.
func TestAnEarlierSpecIsOpenedOnceHoweverOftenItsPlanIsTried(t *testing.T) {
	store, o := control.NewScratch(), &opening{}
	_, err := store.Commit(t.Context(), control.Txn{Writes: []control.Write{{Key: SpecKey("old"), Value: []byte("text")}}})
	require.NoError(t, err)
	w, err := NewWorker(WorkerConfig{
		Pipeline: "p", Program: &Program{Spec: "new"}, Store: store,
		OpenProgram: func(context.Context, []byte) (*Program, error) {
			o.opened++
			return &Program{Spec: "old", Sink: o}, nil
		},
		OpenSource: func(context.Context, []byte) (Source, error) { return nil, nil }, //nolint:nilnil // it is not asked for
	})
	require.NoError(t, err)
	for range 3 {
		p, err := w.programOf(t.Context(), Plan{Semantics: Semantics, Spec: "old"})
		require.NoError(t, err)
		require.Equal(t, "old", p.Spec)
	}
	require.Equal(t, 1, o.opened)
	require.Zero(t, o.closed)
	require.NoError(t, w.closeEarlier(t.Context()))
	require.NoError(t, w.closeEarlier(t.Context()))
	require.Equal(t, 1, o.closed)
}
