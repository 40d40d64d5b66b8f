package lake_test

import (
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

// TestKeysThatLookAlikeTogetherAreToldApart: were they not, a row's file would depend on which row came first, and a plan
// made again could name other files than it says.
func TestKeysThatLookAlikeTogetherAreToldApart(t *testing.T) {
	schema := core.SchemaOf(arrow.Field{Name: "a", Type: arrow.BinaryTypes.String, Nullable: true}, arrow.Field{Name: "b", Type: arrow.BinaryTypes.String, Nullable: true})
	rows := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer rows.Release()
	for i, keys := range [][2]string{{"p", "q\x00vr"}, {"p\x00vq", "r"}, {"1:p", "q"}, {"1", "p1:q"}} {
		rows.Field(0).(*array.Int64Builder).Append(int64(i))
		rows.Field(1).(*array.Int32Builder).Append(0)
		rows.Field(2).(*array.TimestampBuilder).Append(0)
		rows.Field(3).(*array.StringBuilder).Append("k")
		rows.Field(4).(*array.StringBuilder).Append(keys[0])
		rows.Field(5).(*array.StringBuilder).Append(keys[1])
	}
	b := core.Batch{Rows: rows.NewRecord()}
	defer b.Release()
	l := lake.Layout{
		Prefix:        "!{partitionKeyFromQuery:a}/!{partitionKeyFromQuery:b}/",
		PartitionKeys: map[string]string{"a": "a", "b": "b"}, Format: lake.Format{NDJSON: &ndjson.Config{Compression: "none"}},
	}
	require.NoError(t, l.Validate())
	st, err := lake.Stage(nowhere{}, l, connectors.Flush{Pipeline: "p", Incarnation: "i", Number: 7, Schema: schema})
	require.NoError(t, err)
	require.NoError(t, st.Add(t.Context(), b, &connectors.Verdicts{}))
	outputs, err := st.Outputs(t.Context())
	require.NoError(t, err)
	require.Len(t, outputs, 4)
	require.NoError(t, st.Discard())
}

// TestWhatPartitionsNothingIsAMistake: a column that is named and changes nothing was meant to.
func TestWhatPartitionsNothingIsAMistake(t *testing.T) {
	for _, l := range []lake.Layout{
		{PartitionBy: "country"},
		{PartitionBy: "country", Prefix: "clicks/"},
		{PartitionKeys: map[string]string{"c": "country"}, Prefix: "clicks/"},
	} {
		err := l.Validate()
		require.ErrorIs(t, err, core.ErrInvalid)
		require.ErrorContains(t, err, "!{partitionKeyFromQuery:")
	}
	require.NoError(t, lake.Layout{PartitionBy: "at", Prefix: "dt=!{timestamp:yyyy-MM-dd}/"}.Validate())
	require.NoError(t, lake.Layout{PartitionBy: "at", Late: &lake.Late{After: 1, To: "own_file"}}.Validate())
}
