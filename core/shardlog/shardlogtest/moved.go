package shardlogtest

import (
	"io"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/shardlog"
)

// An engine may move what is stored to another place, long after it was acknowledged. Nobody may notice.

// filled is a log with entries of one value each, with claims between them, part of which the engine moved.
func filled(t *testing.T, h Harness, entries int64) (e shardlog.Engine, at []shardlog.Pos) {
	t.Helper()
	e = h.Open(t)
	require.NoError(t, e.Create(t.Context(), "log"))
	var w shardlog.Writer
	for i := range entries {
		if i%50 == 0 {
			w = claim(t, e, "log", shardlog.Epoch(i+1))
		}
		at = append(at, add(t, w, 1000+10*i, i))
		if i%30 == 0 {
			h.settle(t, e)
		}
	}
	h.settle(t, e)
	return e, at
}

func numbers(from, to int64) []int64 {
	var out []int64
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}

func moved(t *testing.T, h Harness) {
	e, at := filled(t, h, 120)
	for range 2 {
		for i := 0; i < len(at); i += 11 {
			got, err := ReadAll(t, e, "log", at[i])
			require.ErrorIs(t, err, shardlog.ErrTip)
			require.Equal(t, numbers(int64(i), 120), got)
		}
		c, err := e.Read(t.Context(), "log", at[60], shardlog.ReadOpts{NoWait: true})
		require.NoError(t, err)
		for i := range 5 {
			en, err := c.Next(t.Context())
			require.NoError(t, err)
			require.Equal(t, at[60+i], en.Pos)
			require.Equal(t, shardlog.Epoch(51), en.Epoch)
			require.Equal(t, int64(1000+10*(60+i)), en.Arrival.UnixMilli())
		}
		require.NoError(t, c.Close())
		require.NoError(t, e.Close())
		e = h.Open(t)
	}
	require.NoError(t, e.Close())
}

func trimMoved(t *testing.T, h Harness) {
	e, at := filled(t, h, 100)
	c, err := e.Read(t.Context(), "log", 0, shardlog.ReadOpts{NoWait: true})
	require.NoError(t, err)
	_, err = c.Next(t.Context())
	require.NoError(t, err)
	between, err := e.Read(t.Context(), "log", at[49]+1, shardlog.ReadOpts{NoWait: true})
	require.NoError(t, err)
	require.NoError(t, e.Trim(t.Context(), "log", at[50])) // a claim stands before it
	tail, err := e.Tail(t.Context(), "log")
	require.NoError(t, err)
	require.Equal(t, at[49]+1, tail.First)
	_, err = c.Next(t.Context())
	require.ErrorIs(t, err, shardlog.ErrTrimmed)
	en, err := between.Next(t.Context())
	require.NoError(t, err, "a reader between has missed nothing")
	require.Equal(t, at[50], en.Pos)
	require.NoError(t, between.Close())
	require.NoError(t, c.Close())
	h.settle(t, e)
	for range 2 {
		got, err := ReadAll(t, e, "log", 0)
		require.ErrorIs(t, err, shardlog.ErrTip)
		require.Equal(t, numbers(50, 100), got)
		require.NoError(t, e.Close())
		e = h.Open(t)
	}
	require.NoError(t, e.Trim(t.Context(), "log", at[77]+1))
	h.settle(t, e)
	got, _ := ReadAll(t, e, "log", 0)
	require.Equal(t, numbers(78, 100), got)
	require.NoError(t, e.Trim(t.Context(), "log", shardlog.MaxPos))
	h.settle(t, e)
	got, err = ReadAll(t, e, "log", 0)
	require.ErrorIs(t, err, shardlog.ErrTip)
	require.Empty(t, got)
	require.NoError(t, e.Close())
}

func findMoved(t *testing.T, h Harness) {
	e, at := filled(t, h, 100)
	for range 2 {
		for i := range int64(100) {
			for _, ms := range []int64{1000 + 10*i - 3, 1000 + 10*i} {
				got, err := e.Find(t.Context(), "log", time.UnixMilli(ms))
				require.NoError(t, err)
				require.Equal(t, at[i], got, "at %d", ms)
			}
		}
		got, err := e.Find(t.Context(), "log", time.UnixMilli(2000))
		require.NoError(t, err)
		require.Greater(t, got, at[99])
		require.NoError(t, e.Close())
		e = h.Open(t)
	}
	require.NoError(t, e.Close())
}

func largeMoved(t *testing.T, h Harness) {
	e, w := create(t, h)
	values := numbers(0, 400_000)
	b := Batch(1, values...)
	defer b.Rows.Release()
	for round := range int64(2) {
		_, err := w.Append(shardlog.Anywhere, b).Wait(t.Context())
		require.NoError(t, err)
		add(t, w, 1, round)
	}
	h.settle(t, e)
	require.NoError(t, e.Close())
	e = h.Open(t)
	c, err := e.Read(t.Context(), "log", 0, shardlog.ReadOpts{NoWait: true})
	require.NoError(t, err)
	for round := range int64(2) {
		en, err := c.Next(t.Context())
		require.NoError(t, err)
		require.True(t, array.RecordEqual(b.Rows, en.Rows))
		en, err = c.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, []int64{round}, Values(en))
	}
	require.NoError(t, c.Close())
	require.NoError(t, e.Close())
}

func sealedMoved(t *testing.T, h Harness) {
	e, at := filled(t, h, 60)
	w := claim(t, e, "log", 100)
	_, err := w.Seal(t.Context())
	require.NoError(t, err)
	require.NoError(t, e.Create(t.Context(), "other"))
	w = claim(t, e, "other", 1)
	for i := range int64(60) { // so that all of the first log moves
		add(t, w, 1, i)
	}
	h.settle(t, e)
	for range 2 {
		got, err := ReadAll(t, e, "log", at[10])
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, numbers(10, 60), got)
		require.NoError(t, e.Close())
		e = h.Open(t)
	}
	require.NoError(t, e.Close())
}

func recreated(t *testing.T, h Harness) {
	e, _ := filled(t, h, 60)
	require.NoError(t, e.Delete(t.Context(), "log"))
	require.NoError(t, e.Create(t.Context(), "log"))
	for range 2 {
		got, err := ReadAll(t, e, "log", 0)
		require.ErrorIs(t, err, shardlog.ErrTip)
		require.Empty(t, got)
		require.NoError(t, e.Close())
		e = h.Open(t)
	}
	w := claim(t, e, "log", 1)
	for i := range int64(60) {
		add(t, w, 1, 100+i)
	}
	h.settle(t, e)
	for range 2 {
		got, err := ReadAll(t, e, "log", 0)
		require.ErrorIs(t, err, shardlog.ErrTip)
		require.Equal(t, numbers(100, 160), got)
		require.NoError(t, e.Close())
		e = h.Open(t)
	}
	require.NoError(t, e.Close())
}

func alternating(t *testing.T, h Harness) {
	e, w := create(t, h)
	for i := range int64(120) {
		if i%3 == 0 {
			add(t, w, i+1, i)
			continue
		}
		s := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: i%3 == 1}}, nil)
		b := array.NewRecordBuilder(memory.DefaultAllocator, s)
		b.Field(0).(*array.Int64Builder).Append(i)
		rec := b.NewRecord()
		b.Release()
		_, err := w.Append(shardlog.Anywhere, shardlog.Batch{Rows: rec, Arrival: time.UnixMilli(i + 1)}).Wait(t.Context())
		rec.Release()
		require.NoError(t, err)
	}
	h.settle(t, e)
	for range 2 {
		got, err := ReadAll(t, e, "log", 0)
		require.ErrorIs(t, err, shardlog.ErrTip)
		require.Equal(t, numbers(0, 120), got)
		for i := int64(0); i < 120; i += 9 {
			pos, err := e.Find(t.Context(), "log", time.UnixMilli(i+1))
			require.NoError(t, err)
			got, _ := ReadAll(t, e, "log", pos)
			require.Equal(t, numbers(i, 120), got)
		}
		require.NoError(t, e.Close())
		e = h.Open(t)
	}
	require.NoError(t, e.Close())
}
