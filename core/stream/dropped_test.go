package stream

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/vfs"
)

// gated is an engine whose creations stop before each log but the first, until they are let go or their context ends.
type gated struct {
	shardlog.Engine
	first   bool
	arrived chan struct{}
	gate    chan struct{}
}

func (g *gated) Create(ctx context.Context, id shardlog.LogID) error {
	if !g.first {
		g.first = true
		return g.Engine.Create(ctx, id)
	}
	select {
	case g.arrived <- struct{}{}:
	case <-ctx.Done():
	}
	select {
	case <-g.gate:
		return g.Engine.Create(ctx, id)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// creating begins to make a stream of two shards and returns when the first log is made.
func creating(ctx context.Context, t *testing.T, n *node) (*gated, chan error) {
	t.Helper()
	g := &gated{Engine: n.engine, arrived: make(chan struct{}), gate: make(chan struct{})}
	n.Store = NewStore(g, n.table, "test")
	done := make(chan error, 1)
	go func() {
		_, err := n.Create(ctx, "s", Settings{Shards: 2})
		done <- err
	}()
	<-g.arrived
	return g, done
}

// intended are the logs that the only row of the kind names.
func intended(t *testing.T, n *node) []shardlog.LogID {
	t.Helper()
	rows, err := n.table.List(t.Context(), droppedPrefix)
	require.NoError(t, err)
	require.Len(t, rows, 1)
	d, err := decodeDropped(rows[0])
	require.NoError(t, err)
	return d.Logs
}

// nothing demands that there is neither a row nor one of the logs.
func nothing(t *testing.T, n *node, logs []shardlog.LogID) {
	t.Helper()
	for _, id := range logs {
		_, err := n.engine.Tail(t.Context(), id)
		require.ErrorIs(t, err, shardlog.ErrNotFound)
	}
	rows, err := n.table.List(t.Context(), "")
	require.NoError(t, err)
	require.Empty(t, rows)
}

func TestTrimLeavesTheLogsOfACreationThatGoesOn(t *testing.T) {
	n := start(t, vfs.NewMem())
	defer n.close(t)
	g, done := creating(t.Context(), t, n)
	require.Len(t, intended(t, n), 2)
	require.NoError(t, n.Trim(t.Context(), time.Now()))
	close(g.gate)
	require.NoError(t, <-done)
	rows, err := n.table.List(t.Context(), droppedPrefix)
	require.NoError(t, err)
	require.Empty(t, rows)
	s, err := n.Open(t.Context(), "s")
	require.NoError(t, err)
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} { // of both shards
		put(t, s, key, "x")
	}
}

func TestTrimDeletesTheLogsOfACreationThatGaveUp(t *testing.T) {
	n := start(t, vfs.NewMem())
	defer n.close(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, done := creating(ctx, t, n)
	logs := intended(t, n)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	require.NoError(t, n.Trim(t.Context(), time.Now()))
	nothing(t, n, logs)
}

func TestTwoCreationsOfANameLeaveTheLogsOfOne(t *testing.T) {
	n := start(t, vfs.NewMem())
	defer n.close(t)
	g, done := creating(t.Context(), t, n)
	logs := intended(t, n)
	info, err := NewStore(n.engine, n.table, "other").Create(t.Context(), "s", Settings{})
	require.NoError(t, err)
	close(g.gate)
	require.ErrorIs(t, <-done, ErrExists)
	require.NoError(t, n.Delete(t.Context(), "s"))
	nothing(t, n, append(logs, info.Shards[0].Log))
}

func TestADeletionWaitsForASplitAndTakesItsChildrenAlong(t *testing.T) {
	n := start(t, vfs.NewMem())
	defer n.close(t)
	g := &gated{Engine: n.engine, arrived: make(chan struct{}), gate: make(chan struct{})}
	n.Store = NewStore(g, n.table, "test")
	info, err := n.Create(t.Context(), "s", Settings{})
	require.NoError(t, err)
	s, err := n.Open(t.Context(), "s")
	require.NoError(t, err)
	split, deleted := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := s.Split(t.Context(), info.Shards[0].ID, nil)
		split <- err
	}()
	<-g.arrived // the intent is in the row, and no child is made
	_, begun, err := load(t.Context(), n.table, "s")
	require.NoError(t, err)
	require.Len(t, begun.logs(), 3)
	go func() { deleted <- n.Delete(t.Context(), "s") }()
	go func() { <-g.arrived }() // of the second child
	close(g.gate)
	if err := <-split; err != nil {
		require.ErrorIs(t, err, ErrNotFound)
	}
	require.NoError(t, <-deleted)
	nothing(t, n, begun.logs())
}

// TestACreationIsRefusedOnceItsLogsAreBeingDeleted has another store trim, which cannot see that the creation goes on.
func TestACreationIsRefusedOnceItsLogsAreBeingDeleted(t *testing.T) {
	n := start(t, vfs.NewMem())
	defer n.close(t)
	g, done := creating(t.Context(), t, n)
	logs := intended(t, n)
	require.NoError(t, NewStore(n.engine, n.table, "other").Trim(t.Context(), time.Now()))
	close(g.gate)
	require.Error(t, <-done)
	nothing(t, n, logs)
}
