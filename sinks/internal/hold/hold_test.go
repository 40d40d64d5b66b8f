package hold_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/scratch"
	"github.com/penstock/penstock/core/vfs"
	"github.com/penstock/penstock/sinks/internal/hold"
)

type sequences struct{ base int64 }

func (s sequences) At(handle, _ int64) core.SequenceNumber {
	return core.SequenceNumber(strconv.FormatInt(s.base+handle, 10))
}

// batch has n rows, two of each record, from record base on.
func batch(mem memory.Allocator, shard int, base, n int64) core.Batch {
	schema := core.SchemaOf(arrow.Field{Name: "v", Type: arrow.BinaryTypes.String, Nullable: true})
	b := array.NewRecordBuilder(mem, schema)
	defer b.Release()
	for i := range n {
		b.Field(0).(*array.Int64Builder).Append(i / 2)
		b.Field(1).(*array.Int32Builder).Append(int32(i % 2))
		b.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(i))
		b.Field(3).(*array.StringBuilder).Append("key")
		b.Field(4).(*array.StringBuilder).Append(fmt.Sprintf("%d/%d", base, i))
	}
	return core.Batch{Shard: core.NewShardID(shard), Sequences: sequences{base}, Rows: b.NewRecord()}
}

// told are all rows, as text.
func told(t *testing.T, r *hold.Rows) []string {
	t.Helper()
	return between(t, r, 0, r.Len())
}

// between are the rows that Between shows, as text.
func between(t *testing.T, r *hold.Rows, lo, hi int64) (out []string) {
	t.Helper()
	for p, err := range r.Between(t.Context(), lo, hi) {
		require.NoError(t, err)
		require.Equal(t, lo+int64(len(out)), p.At)
		for i := p.From; i < p.To; i++ {
			out = append(out, fmt.Sprint(p.Shard, " ", p.SequenceOf(i), " ", p.Ords().Value(i), " ", p.Keys().Value(i), " ", p.Rows.Column(4).ValueStr(i)))
		}
	}
	return out
}

func TestRowsAreTheSameOnDiskAndInMemory(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer mem.AssertSize(t, 0)
	space, err := scratch.New(vfs.NewMem(), "/scratch", 1<<20)
	require.NoError(t, err)
	all, spilled := hold.New(nil), hold.New(space)
	for i := range 6 {
		b := batch(mem, i%2, int64(i)*100, 7)
		all.Add(b)
		spilled.Add(b)
		b.Release()
		if i == 1 || i == 3 {
			require.NoError(t, spilled.Spill())
			require.Zero(t, spilled.Memory())
		}
	}
	require.EqualValues(t, 42, spilled.Len())
	want := told(t, all)
	require.Len(t, want, 42)
	require.Equal(t, want, told(t, spilled))
	require.Equal(t, want, told(t, spilled), "again")
	for lo := range int64(43) {
		for hi := lo; hi <= 42; hi++ {
			require.Equal(t, want[lo:hi], append([]string{}, between(t, spilled, lo, hi)...))
		}
	}
	require.NoError(t, all.Close())
	require.NoError(t, spilled.Close())
	require.NoError(t, spilled.Close())
}

func TestWhatTheDiskDoesNotTakeStaysInMemory(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer mem.AssertSize(t, 0)
	space, err := scratch.New(vfs.NewMem(), "/scratch", 4000)
	require.NoError(t, err)
	r := hold.New(space)
	defer r.Close() //nolint:errcheck // closed for the allocator's sake
	for i := range 5 {
		b := batch(mem, 0, int64(i)*100, 10)
		r.Add(b)
		b.Release()
	}
	want := told(t, r)
	require.ErrorIs(t, r.Spill(), scratch.ErrFull)
	require.Positive(t, r.Memory())
	require.Equal(t, want, told(t, r))
	require.ErrorIs(t, hold.New(nil).Spill(), scratch.ErrFull)
}
