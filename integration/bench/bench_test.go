package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestJobsDoTheirWork(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, writeEvents(filepath.Join(dir, eventsFile), 1_000_000))
	for job, writes := range map[string]bool{"decode": false, "parquet": true, "archive": true} {
		f, err := runJob(t.Context(), job, dir)
		require.NoError(t, err, job)
		require.GreaterOrEqual(t, f.Bytes, int64(1_000_000), job)
		require.Greater(t, f.Records, int64(2000), job)
		require.Positive(t, f.Wall, job)
		require.Equal(t, writes, f.Out > 0, job)
	}
	_, err := runJob(t.Context(), "nothing", dir)
	require.Error(t, err)
}

func TestSpreadsAreMediansAndRanges(t *testing.T) {
	of := func(v float64) float64 { return v }
	require.Equal(t, "2 (1–9)", spreadOf(of, []float64{9, 1, 2}).String())
	require.Equal(t, "1.50 (1.00–2.00)", spreadOf(of, []float64{2, 1}).with(2))
	r := ratios(perSecond, []pair{{figures{Bytes: 4e6, Wall: 1}, figures{Bytes: 4e6, Wall: 2}}, {figures{Bytes: 4e6, Wall: 1}, figures{Bytes: 4e6, Wall: 4}}})
	require.Equal(t, "3.0 (2.0–4.0)", r.with(1))
}

func TestLinesWithoutALastNewlineAreWhole(t *testing.T) {
	require.Equal(t, []int32{0, 2, 3}, lines([]byte("a\nb")))
	require.Equal(t, []int32{0, 2, 4}, lines([]byte("a\nb\n")))
}
