package lake_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/sinks/internal/lake"
	"github.com/penstock/penstock/sinks/internal/ndjson"
)

var keyed = core.SchemaOf(arrow.Field{Name: "p", Type: arrow.PrimitiveTypes.Int64, Nullable: true})

// records are one batch: for each record the partitions of its rows.
func records(records ...[]int) core.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, keyed)
	defer b.Release()
	for i, rows := range records {
		for ord, p := range rows {
			b.Field(0).(*array.Int64Builder).Append(int64(i))
			b.Field(1).(*array.Int32Builder).Append(int32(ord))
			b.Field(2).(*array.TimestampBuilder).Append(0)
			b.Field(3).(*array.StringBuilder).Append("k")
			b.Field(4).(*array.Int64Builder).Append(int64(p))
		}
	}
	return core.Batch{Rows: b.NewRecord()}
}

// upTo are the numbers from one to another.
func upTo(from, to int) (out []int) {
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}

func keyedLayout(f lake.Format) lake.Layout {
	return lake.Layout{Prefix: "!{partitionKeyFromQuery:p}/", PartitionKeys: map[string]string{"p": "p"}, Format: f}
}

func stageKeyed(t *testing.T, store lake.Store, most int) *lake.Staging {
	t.Helper()
	l := keyedLayout(lake.Format{NDJSON: &ndjson.Config{Compression: "none"}})
	require.NoError(t, l.Validate())
	st, err := lake.Stage(store, l, connectors.Flush{Pipeline: "p", Incarnation: "i", Number: 7, Schema: keyed, MaxOutputs: most})
	require.NoError(t, err)
	return st
}

func rowsOf(t *testing.T, st *lake.Staging) map[string]int64 {
	t.Helper()
	outputs, err := st.Outputs(t.Context())
	require.NoError(t, err)
	out := map[string]int64{}
	for _, o := range outputs {
		out[o.Name] = o.Rows
	}
	return out
}

func TestABatchThatNeedsTooManyOutputsIsCutBetweenRecords(t *testing.T) {
	for name, c := range map[string]struct {
		first, then [][]int
		fits        int // rows of then; -1: all
		outputs     int
	}{
		"all fits":                        {[][]int{{1}, {2}}, [][]int{{3, 4}, {5, 1}}, -1, 5},
		"nothing fits":                    {[][]int{{1, 2, 3}}, [][]int{{1, 4, 5, 6}, {1}}, 0, 3},
		"a record that fits in part":      {[][]int{{1, 2}}, [][]int{{3}, {1, 4, 5, 6}}, 1, 2},
		"what comes back needs no more":   {[][]int{{1, 2, 3, 4, 5}}, [][]int{{5}, {4, 4}, {3}, {6}}, 4, 5},
		"the first batch, too, is cut":    {nil, [][]int{{1, 2}, {3, 4}, {5, 6}}, 4, 0},
		"exactly as many as there may be": {nil, [][]int{{1, 2}, {3, 4}, {5}, {1}}, -1, 5},
	} {
		t.Run(name, func(t *testing.T) {
			for _, call := range []string{"Add", "Fit"} {
				st := stageKeyed(t, nowhere{}, 5)
				if c.first != nil {
					b := records(c.first...)
					require.NoError(t, st.Add(t.Context(), b, &connectors.Verdicts{}))
					b.Release()
				}
				b := records(c.then...)
				var err error
				if call == "Fit" {
					err = st.Fit(b)
				} else {
					err = st.Add(t.Context(), b, &connectors.Verdicts{})
				}
				b.Release()
				if c.fits < 0 {
					require.NoError(t, err)
					require.Equal(t, c.outputs, st.Stats().Outputs)
				} else {
					var full *connectors.OutputsError
					require.ErrorAs(t, err, &full)
					require.Equal(t, c.fits, full.Rows)
					require.Len(t, rowsOf(t, st), c.outputs, "nothing was taken")
				}
				require.NoError(t, st.Discard())
			}
		})
	}
}

// A flush never ends inside a record, so what one record may need has to be bounded by itself, wherever the record is met.
func TestARecordOfTooManyPartitionsIsRefusedInPart(t *testing.T) {
	wide := upTo(0, connectors.MaxOutputs+5)
	wide = append(wide, 3, connectors.MaxOutputs+2) // one partition that has rows of it, and one that has none
	for _, most := range []int{0, connectors.MaxOutputs} {
		st := stageKeyed(t, nowhere{}, most)
		b, v := records(wide), &connectors.Verdicts{}
		defer b.Release()
		require.NoError(t, st.Add(t.Context(), b, v))
		require.Len(t, v.Refused, 6)
		for _, r := range v.Refused {
			require.Equal(t, "too_many_outputs", r.Code)
			require.GreaterOrEqual(t, r.Ord, int32(connectors.MaxOutputs))
		}
		got := rowsOf(t, st)
		require.Len(t, got, connectors.MaxOutputs)
		require.Equal(t, int64(2), got["3/p-i-000000000007-0.ndjson"])
		require.NoError(t, st.Discard())
	}

	// In a plan that is made again other records may stand before it: the same rows are refused.
	st := stageKeyed(t, nowhere{}, 0)
	b, v := records([]int{5000}, wide), &connectors.Verdicts{}
	defer b.Release()
	require.NoError(t, st.Add(t.Context(), b, v))
	require.Len(t, v.Refused, 6)
	require.Len(t, rowsOf(t, st), connectors.MaxOutputs+1)
	require.NoError(t, st.Discard())
}

// counting is a store that knows how many of its objects are being written.
type counting struct {
	lake.Store
	open, most int
	names      map[string]int64 // bytes of those that are visible
}

type counted struct {
	c    *counting
	name string
	size int64
	done bool
}

func (c *counting) Create(_ context.Context, name string, _ lake.Origin) (lake.Object, error) {
	c.open++
	c.most = max(c.most, c.open)
	return &counted{c: c, name: name}, nil
}

func (o *counted) Write(p []byte) (int, error) {
	o.size += int64(len(p))
	return len(p), nil
}

func (o *counted) Commit(context.Context) error {
	if o.c.names == nil {
		o.c.names = map[string]int64{}
	}
	o.c.names[o.name] = o.size
	return o.Abort()
}

func (o *counted) Abort() error {
	if !o.done {
		o.done = true
		o.c.open--
	}
	return nil
}

// TestFewFilesAreWrittenAtOnce: each takes a descriptor and an encoder.
func TestFewFilesAreWrittenAtOnce(t *testing.T) {
	store := &counting{}
	st := stageKeyed(t, store, connectors.MaxOutputs)
	for from := 0; from < connectors.MaxOutputs; from += 20 {
		var rows [][]int
		for i := range 4000 {
			rows = append(rows, []int{from + i%20})
		}
		b := records(rows...)
		require.NoError(t, st.Add(t.Context(), b, &connectors.Verdicts{}))
		b.Release()
	}
	outputs, err := st.Outputs(t.Context())
	require.NoError(t, err)
	require.NoError(t, st.Publish(t.Context(), connectors.Plan{Pipeline: "p", Incarnation: "i", Number: 7, Outputs: outputs}, nil))
	require.NoError(t, st.Discard())
	require.Len(t, store.names, connectors.MaxOutputs+1, "and the manifest")
	require.LessOrEqual(t, store.most, 500)
	require.Zero(t, store.open)
	for _, o := range outputs {
		require.Equal(t, int64(200), o.Rows, fmt.Sprint(o))
	}
}

// keeping is a store that keeps what is written.
type keeping struct {
	lake.Store
	objects map[string]string
}

type kept struct {
	strings.Builder
	k    *keeping
	name string
}

func (k *keeping) Create(_ context.Context, name string, _ lake.Origin) (lake.Object, error) {
	return &kept{k: k, name: name}, nil
}

func (o *kept) Commit(context.Context) error {
	o.k.objects[o.name] = o.String()
	return nil
}

func (o *kept) Abort() error { return nil }
