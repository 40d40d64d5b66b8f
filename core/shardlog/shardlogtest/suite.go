package shardlogtest

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
)

// Harness is one engine under test.
type Harness struct {
	Open   func(t *testing.T) shardlog.Engine // opens what the last engine left; the suite closes what it opened
	Sparse bool                               // positions may have gaps
	// Settle, if there is one, moves what is stored to where the engine would move it later.
	Settle func(t *testing.T, e shardlog.Engine)
}

func (h Harness) settle(t *testing.T, e shardlog.Engine) {
	t.Helper()
	if h.Settle != nil {
		h.Settle(t, e)
	}
}

// Run runs the suite. open returns a harness over an empty store.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	for name, test := range map[string]func(*testing.T, Harness){
		"what is acknowledged is read back in order":  readBack,
		"an acknowledged append is readable at once":  readYourAck,
		"everything stands after reopening":           reopen,
		"a claim fences every earlier writer":         fencing,
		"an append at another position is a conflict": expectation,
		"a sealed log takes nothing and reads to EOF": sealing,
		"trimming under a reader is told":             trimming,
		"a waiting reader wakes":                      waiting,
		"logs are created and deleted":                createDelete,
		"Find finds by arrival":                       find,
		"a batch of ten megabytes comes back":         large,
		"many writers share the engine":               concurrent,
		"a closed engine says so":                     closed,
		"batches of several schemas live in one log":  schemas,
		"what moved is read from any position":        moved,
		"trimming where a reader stands, once moved":  trimMoved,
		"Find finds what moved":                       findMoved,
		"large batches come back once moved":          largeMoved,
		"a sealed log that moved reads to EOF":        sealedMoved,
		"a log made again is empty, whatever moved":   recreated,
		"schemas that alternate move in order":        alternating,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// Batch is a batch of one int64 column and one of strings.
func Batch(arrival int64, values ...int64) shardlog.Batch {
	s := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}, {Name: "s", Type: arrow.BinaryTypes.String}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	defer b.Release()
	for _, v := range values {
		b.Field(0).(*array.Int64Builder).Append(v)
		b.Field(1).(*array.StringBuilder).Append(fmt.Sprint("v", v))
	}
	return shardlog.Batch{Rows: b.NewRecord(), Arrival: time.UnixMilli(arrival)}
}

// Values are the values of a batch that Batch made.
func Values(e shardlog.Entry) []int64 {
	return append([]int64(nil), e.Rows.Column(0).(*array.Int64).Int64Values()...)
}

// ReadAll reads what is durable now from a position on.
func ReadAll(tb testing.TB, e shardlog.Log, id shardlog.LogID, from shardlog.Pos) (values []int64, end error) {
	tb.Helper()
	c, err := e.Read(tb.Context(), id, from, shardlog.ReadOpts{NoWait: true})
	if err != nil {
		return nil, err
	}
	defer func() { require.NoError(tb, c.Close()) }()
	for {
		en, err := c.Next(tb.Context())
		if err != nil {
			return values, err
		}
		values = append(values, Values(en)...)
	}
}

func claim(t *testing.T, e shardlog.Engine, id shardlog.LogID, epoch shardlog.Epoch) shardlog.Writer {
	t.Helper()
	w, tail, err := e.Claim(t.Context(), id, epoch, "test")
	require.NoError(t, err)
	require.Equal(t, epoch, tail.Epoch)
	return w
}

func create(t *testing.T, h Harness) (shardlog.Engine, shardlog.Writer) {
	t.Helper()
	e := h.Open(t)
	require.NoError(t, e.Create(t.Context(), "log"))
	return e, claim(t, e, "log", 1)
}

func add(t *testing.T, w shardlog.Writer, arrival int64, values ...int64) shardlog.Pos {
	t.Helper()
	b := Batch(arrival, values...)
	defer b.Rows.Release()
	pos, err := w.Append(shardlog.Anywhere, b).Wait(t.Context())
	require.NoError(t, err)
	return pos
}

func readBack(t *testing.T, h Harness) {
	e, w := create(t, h)
	var futures []*shardlog.Future
	for i := range int64(100) {
		b := Batch(1000+i, i)
		futures = append(futures, w.Append(shardlog.Anywhere, b))
		b.Rows.Release()
	}
	last := shardlog.Pos(0)
	for _, f := range futures {
		pos, err := f.Wait(t.Context())
		require.NoError(t, err)
		require.Greater(t, pos, last)
		last = pos
	}
	got, err := ReadAll(t, e, "log", 0)
	require.ErrorIs(t, err, shardlog.ErrTip)
	require.Len(t, got, 100)
	for i, v := range got {
		require.Equal(t, int64(i), v)
	}
	tail, err := e.Tail(t.Context(), "log")
	require.NoError(t, err)
	require.Equal(t, last, tail.Last)
	require.Equal(t, int64(1099), tail.Arrival.UnixMilli())
	require.NoError(t, e.Close())
}

func readYourAck(t *testing.T, h Harness) {
	e, w := create(t, h)
	for i := range int64(20) {
		pos := add(t, w, i+1, i)
		got, _ := ReadAll(t, e, "log", pos)
		require.Equal(t, []int64{i}, got)
	}
	require.NoError(t, e.Close())
}

func reopen(t *testing.T, h Harness) {
	e, w := create(t, h)
	want := []int64{}
	for round := range int64(5) {
		for i := range int64(10) {
			add(t, w, round*10+i+1, round*10+i)
			want = append(want, round*10+i)
		}
		before, err := e.Tail(t.Context(), "log")
		require.NoError(t, err)
		require.NoError(t, e.Close())
		e = h.Open(t)
		after, err := e.Tail(t.Context(), "log")
		require.NoError(t, err)
		require.Equal(t, before, after)
		got, err := ReadAll(t, e, "log", 0)
		require.ErrorIs(t, err, shardlog.ErrTip)
		require.Equal(t, want, got)
		w = claim(t, e, "log", shardlog.Epoch(round+2))
	}
	require.NoError(t, e.Close())
}

func fencing(t *testing.T, h Harness) {
	e, old := create(t, h)
	add(t, old, 1, 1)
	w := claim(t, e, "log", 2)
	b := Batch(2, 99)
	defer b.Rows.Release()
	_, err := old.Append(shardlog.Anywhere, b).Wait(t.Context())
	require.ErrorIs(t, err, shardlog.ErrFenced)
	_, err = old.Seal(t.Context())
	require.ErrorIs(t, err, shardlog.ErrFenced)
	_, _, err = e.Claim(t.Context(), "log", 2, "late")
	require.ErrorIs(t, err, shardlog.ErrFenced)
	add(t, w, 3, 2)
	got, _ := ReadAll(t, e, "log", 0)
	require.Equal(t, []int64{1, 2}, got)
	require.NoError(t, e.Close())
}

func expectation(t *testing.T, h Harness) {
	e, w := create(t, h)
	pos := add(t, w, 1, 1)
	b := Batch(2, 2)
	defer b.Rows.Release()
	_, err := w.Append(pos, b).Wait(t.Context())
	require.ErrorIs(t, err, shardlog.ErrConflict)
	if !h.Sparse {
		at, err := w.Append(pos+1, b).Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, pos+1, at)
	}
	require.NoError(t, e.Close())
}

func sealing(t *testing.T, h Harness) {
	e, w := create(t, h)
	add(t, w, 1, 1)
	end, err := w.Seal(t.Context())
	require.NoError(t, err)
	again, err := w.Seal(t.Context())
	require.NoError(t, err)
	require.Equal(t, end, again)
	b := Batch(2, 2)
	defer b.Rows.Release()
	_, err = w.Append(shardlog.Anywhere, b).Wait(t.Context())
	require.ErrorIs(t, err, shardlog.ErrSealed)
	_, _, err = e.Claim(t.Context(), "log", 9, "late")
	require.ErrorIs(t, err, shardlog.ErrSealed)
	got, err := ReadAll(t, e, "log", 0)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, []int64{1}, got)
	require.NoError(t, e.Close())
	e = h.Open(t)
	tail, err := e.Tail(t.Context(), "log")
	require.NoError(t, err)
	require.True(t, tail.Sealed)
	require.NoError(t, e.Close())
}

func trimming(t *testing.T, h Harness) {
	e, w := create(t, h)
	var at []shardlog.Pos
	for i := range int64(10) {
		at = append(at, add(t, w, i+1, i))
	}
	c, err := e.Read(t.Context(), "log", 0, shardlog.ReadOpts{NoWait: true})
	require.NoError(t, err)
	_, err = c.Next(t.Context())
	require.NoError(t, err)
	require.NoError(t, e.Trim(t.Context(), "log", at[5]))
	_, err = c.Next(t.Context())
	require.ErrorIs(t, err, shardlog.ErrTrimmed)
	require.NoError(t, c.Close())
	require.NoError(t, e.Trim(t.Context(), "log", at[2])) // never back
	_, err = e.Read(t.Context(), "log", at[2], shardlog.ReadOpts{})
	require.ErrorIs(t, err, shardlog.ErrTrimmed)
	got, _ := ReadAll(t, e, "log", 0)
	require.Equal(t, []int64{5, 6, 7, 8, 9}, got)
	require.NoError(t, e.Close())
	e = h.Open(t)
	got, _ = ReadAll(t, e, "log", 0)
	require.Equal(t, []int64{5, 6, 7, 8, 9}, got)
	tail, err := e.Tail(t.Context(), "log")
	require.NoError(t, err)
	require.Equal(t, at[5], tail.First)
	require.NoError(t, e.Close())
}

func waiting(t *testing.T, h Harness) {
	e, w := create(t, h)
	c, err := e.Read(t.Context(), "log", 0, shardlog.ReadOpts{})
	require.NoError(t, err)
	got := make(chan shardlog.Entry, 1)
	go func() {
		if en, err := c.Next(t.Context()); err == nil {
			got <- en
		}
	}()
	add(t, w, 1, 7)
	en := <-got
	require.Equal(t, []int64{7}, Values(en))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Next(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, c.Close())
	require.NoError(t, e.Close())
}

func createDelete(t *testing.T, h Harness) {
	e, w := create(t, h)
	require.ErrorIs(t, e.Create(t.Context(), "log"), shardlog.ErrExists)
	require.ErrorIs(t, e.Create(t.Context(), "../log"), core.ErrInvalid)
	add(t, w, 1, 1)
	require.NoError(t, e.Delete(t.Context(), "log"))
	require.NoError(t, e.Delete(t.Context(), "log"))
	b := Batch(2, 2)
	defer b.Rows.Release()
	_, err := w.Append(shardlog.Anywhere, b).Wait(t.Context())
	require.ErrorIs(t, err, shardlog.ErrNotFound)
	_, err = e.Tail(t.Context(), "log")
	require.ErrorIs(t, err, shardlog.ErrNotFound)
	require.NoError(t, e.Create(t.Context(), "log"))
	got, err := ReadAll(t, e, "log", 0)
	require.ErrorIs(t, err, shardlog.ErrTip)
	require.Empty(t, got)
	require.NoError(t, e.Close())
}

func find(t *testing.T, h Harness) {
	e, w := create(t, h)
	var at []shardlog.Pos
	for _, ms := range []int64{100, 200, 200, 300} {
		at = append(at, add(t, w, ms, ms))
	}
	for ms, want := range map[int64]shardlog.Pos{0: at[0], 100: at[0], 101: at[1], 200: at[1], 300: at[3]} {
		got, err := e.Find(t.Context(), "log", time.UnixMilli(ms))
		require.NoError(t, err)
		require.Equal(t, want, got, "at %d", ms)
	}
	got, err := e.Find(t.Context(), "log", time.UnixMilli(301))
	require.NoError(t, err)
	require.Greater(t, got, at[3])
	require.NoError(t, e.Close())
}

func large(t *testing.T, h Harness) {
	e, w := create(t, h)
	values := make([]int64, 400_000)
	for i := range values {
		values[i] = int64(i) * 7
	}
	add(t, w, 1, values...)
	require.NoError(t, e.Close())
	e = h.Open(t)
	got, err := ReadAll(t, e, "log", 0)
	require.ErrorIs(t, err, shardlog.ErrTip)
	require.Equal(t, values, got)
	require.NoError(t, e.Close())
}

func concurrent(t *testing.T, h Harness) {
	e := h.Open(t)
	var wg sync.WaitGroup
	const logs, appends = 8, 50
	for l := range logs {
		id := shardlog.LogID(fmt.Sprint("log-", l))
		require.NoError(t, e.Create(t.Context(), id))
		w := claim(t, e, id, 1)
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range int64(appends) {
				b := Batch(i+1, i)
				_, err := w.Append(shardlog.Anywhere, b).Wait(t.Context())
				b.Rows.Release()
				if err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	for l := range logs {
		got, err := ReadAll(t, e, shardlog.LogID(fmt.Sprint("log-", l)), 0)
		require.ErrorIs(t, err, shardlog.ErrTip)
		require.Len(t, got, appends)
		require.IsIncreasing(t, got)
	}
	require.NoError(t, e.Close())
}

func closed(t *testing.T, h Harness) {
	e, w := create(t, h)
	c, err := e.Read(t.Context(), "log", 0, shardlog.ReadOpts{})
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() {
		_, err := c.Next(t.Context())
		ended <- err
	}()
	require.NoError(t, e.Close())
	require.NoError(t, e.Close())
	require.ErrorIs(t, <-ended, shardlog.ErrClosed)
	b := Batch(1, 1)
	defer b.Rows.Release()
	_, err = w.Append(shardlog.Anywhere, b).Wait(t.Context())
	require.ErrorIs(t, err, shardlog.ErrClosed)
}

func schemas(t *testing.T, h Harness) {
	e, w := create(t, h)
	add(t, w, 1, 1)
	s := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	defer b.Release()
	b.Field(0).(*array.Int64Builder).Append(2)
	rec := b.NewRecord()
	defer rec.Release()
	_, err := w.Append(shardlog.Anywhere, shardlog.Batch{Rows: rec, Arrival: time.UnixMilli(2)}).Wait(t.Context())
	require.NoError(t, err)
	add(t, w, 3, 3)
	require.NoError(t, e.Close())
	e = h.Open(t)
	got, _ := ReadAll(t, e, "log", 0)
	require.Equal(t, []int64{1, 2, 3}, got)
	require.NoError(t, e.Close())
}
