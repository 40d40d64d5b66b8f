package lake_test

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/sinks/internal/lake"
	"github.com/penstock/penstock/sinks/internal/parquet"
)

// A file with a row group a row cannot be written however often it is tried.
func TestWhatNoRetryCuresEndsThePipeline(t *testing.T) {
	l := lake.Layout{Format: lake.Format{Parquet: &parquet.Config{RowGroupRows: 1}}}
	st, err := lake.Stage(nowhere{}, l, connectors.Flush{Pipeline: "p", Incarnation: "i", Number: 1, Schema: timed})
	require.NoError(t, err)
	b := arrivals(t, slices.Repeat([]string{"x"}, 33_000)...)
	defer b.Release()
	require.NoError(t, st.Add(t.Context(), b, &connectors.Verdicts{}))
	outputs, err := st.Outputs(t.Context())
	require.NoError(t, err)
	err = st.Publish(t.Context(), connectors.Plan{Pipeline: "p", Incarnation: "i", Number: 1, Outputs: outputs},
		func(context.Context, []connectors.Reject) ([]connectors.Reject, error) { return nil, nil })
	require.True(t, connectors.IsPermanent(err), err)
	require.ErrorContains(t, err, "raise row_group_rows")
	require.NoError(t, st.Discard())
}
