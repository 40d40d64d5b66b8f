package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/pipelines"
)

// elsewhere makes the pipeline read another stream.
func (a *aging) elsewhere(name string) {
	a.t.Helper()
	text, err := os.ReadFile(a.file)
	require.NoError(a.t, err)
	require.NoError(a.t, os.WriteFile(a.file, []byte(strings.Replace(string(text), "stream: s,", "stream: "+name+",", 1)), 0o600))
}

func TestAnOpenPlanIsFinishedBeforeAnotherSourceIsRead(t *testing.T) {
	file, _ := age(t, func(a *aging) {
		a.put(3)
		a.run("plan-committed")
		_, err := a.node.Streams.Create(a.t.Context(), "other", stream.Settings{})
		require.NoError(a.t, err)
		a.elsewhere("other")
		a.run("")
		require.Equal(a.t, []int{1, 2, 3}, a.rows())
		require.Equal(a.t, 1, a.resumed)
		require.Empty(a.t, a.lost)
		require.Zero(a.t, a.pins())
		require.Equal(a.t, connectors.Counts{Records: 3, Rows: 3, Written: 3}, a.totals())
	})
	require.Contains(t, ok(t, "verify", file), "clean: plans=1 files=1 rows=3")
}

func TestAnOpenPlanOfAStreamThatWasMadeAgainIsLost(t *testing.T) {
	age(t, func(a *aging) {
		a.put(5)
		a.run("plan-committed")
		time.Sleep(retention + 25*time.Hour) // the pin has ended
		require.NoError(a.t, a.node.Streams.Delete(a.t.Context(), "s"))
		_, err := a.node.Streams.Create(a.t.Context(), "s", stream.Settings{})
		require.NoError(a.t, err)
		a.stream, err = a.node.Streams.Open(a.t.Context(), "s")
		require.NoError(a.t, err)
		a.put(2)
		a.run("")
		require.Equal(a.t, []connectors.Gap{{Records: 5, Plan: 1}}, a.gaps())
		require.Zero(a.t, a.pins())
		require.Equal(a.t, []int{6, 7}, a.rows())
		require.Equal(a.t, connectors.Counts{Records: 2, Rows: 2, Written: 2, Trimmed: 5}, a.totals())
	})
}

// TestAPipelineWhoseStreamIsDeletedDeliversWhatItReadAndEnds.
func TestAPipelineWhoseStreamIsDeletedDeliversWhatItReadAndEnds(t *testing.T) {
	age(t, func(a *aging) {
		a.put(3)
		text, err := os.ReadFile(a.file)
		require.NoError(a.t, err)
		spec, err := a.registry.Load(a.file, text, os.LookupEnv)
		require.NoError(a.t, err)
		ended := make(chan error, 1)
		go func() { ended <- a.node.Run(a.t.Context(), a.registry, spec, pipelines.RunOptions{Env: os.LookupEnv}) }()
		time.Sleep(time.Second)
		require.NoError(a.t, a.node.Streams.Delete(a.t.Context(), "s"))
		require.ErrorIs(a.t, <-ended, stream.ErrNotFound)
		require.Equal(a.t, []int{1, 2, 3}, a.rows())
		require.Zero(a.t, a.pins())
	})
}
