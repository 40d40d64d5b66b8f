package lake_test

import (
	"context"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/sinks/internal/lake"
	"github.com/penstock/penstock/sinks/internal/ndjson"
)

var timed = core.SchemaOf(arrow.Field{Name: "at", Type: arrow.BinaryTypes.String, Nullable: true})

// arrivals are rows that arrived at noon, with the times that they hold.
func arrivals(t *testing.T, at ...string) core.Batch {
	t.Helper()
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC).UnixMilli()
	b := array.NewRecordBuilder(memory.DefaultAllocator, timed)
	defer b.Release()
	for i, s := range at {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.Int32Builder).Append(0)
		b.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(noon))
		b.Field(3).(*array.StringBuilder).Append("k")
		if s == "" {
			b.Field(4).AppendNull()
		} else {
			b.Field(4).(*array.StringBuilder).Append(s)
		}
	}
	return core.Batch{Rows: b.NewRecord()}
}

// nowhere is a store whose objects nobody reads.
type nowhere struct{ lake.Store }

type object struct{}

func (object) Write(p []byte) (int, error)  { return len(p), nil }
func (object) Commit(context.Context) error { return nil }
func (object) Abort() error                 { return nil }

func (nowhere) Create(context.Context, string, lake.Origin) (lake.Object, error) {
	return object{}, nil
}

func TestLateRowsGoWhereTheRuleSays(t *testing.T) {
	rows := []string{"2026-01-02T11:59:00Z", "2026-01-02T06:00:00Z", "2026-01-02T05:59:59.999Z", "2026-01-01T23:00:00Z", "", "2026-01-03T00:00:00Z"}
	for name, c := range map[string]struct {
		late  *lake.Late
		files map[string]int64
		codes []string
	}{
		"no rule": {nil, map[string]int64{"d=01/p-i-000000000007-0.ndjson": 1, "d=02/p-i-000000000007-0.ndjson": 3, "d=03/p-i-000000000007-0.ndjson": 1, "d=__HIVE_DEFAULT_PARTITION__/p-i-000000000007-0.ndjson": 1}, nil},
		"a file of their own": {
			&lake.Late{After: connectors.Duration(6 * time.Hour), To: "own_file"},
			map[string]int64{"d=01/p-i-000000000007-1.ndjson": 1, "d=02/p-i-000000000007-0.ndjson": 2, "d=02/p-i-000000000007-1.ndjson": 1, "d=03/p-i-000000000007-0.ndjson": 1, "d=__HIVE_DEFAULT_PARTITION__/p-i-000000000007-0.ndjson": 1},
			nil,
		},
		"the dead letters": {
			&lake.Late{After: connectors.Duration(6 * time.Hour), To: "dead_letter"},
			map[string]int64{"d=02/p-i-000000000007-0.ndjson": 2, "d=03/p-i-000000000007-0.ndjson": 1, "d=__HIVE_DEFAULT_PARTITION__/p-i-000000000007-0.ndjson": 1},
			[]string{"late", "late"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := lake.Layout{Prefix: "d=!{timestamp:dd}/", PartitionBy: "at", Late: c.late, Format: lake.Format{NDJSON: &ndjson.Config{Compression: "none"}}}
			require.NoError(t, l.Validate())
			st, err := lake.Stage(nowhere{}, l, connectors.Flush{Pipeline: "p", Incarnation: "i", Number: 7, Schema: timed})
			require.NoError(t, err)
			b, v := arrivals(t, rows...), &connectors.Verdicts{}
			defer b.Release()
			require.NoError(t, st.Add(t.Context(), b, v))
			outputs, err := st.Outputs(t.Context())
			require.NoError(t, err)
			files := map[string]int64{}
			for _, o := range outputs {
				files[o.Name] = o.Rows
			}
			require.Equal(t, c.files, files)
			var codes []string
			for _, r := range v.Refused {
				codes = append(codes, r.Code)
			}
			require.Equal(t, c.codes, codes)
		})
	}
}

func TestALateRuleNeedsWhatItJudgesBy(t *testing.T) {
	hour := connectors.Duration(time.Hour)
	for name, l := range map[string]lake.Layout{
		"partition_by": {Late: &lake.Late{After: hour, To: "own_file"}},
		"after":        {PartitionBy: "at", Late: &lake.Late{To: "own_file"}},
		"to":           {PartitionBy: "at", Late: &lake.Late{After: hour, To: "nowhere"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := l.Validate()
			require.ErrorIs(t, err, core.ErrInvalid)
			require.ErrorContains(t, err, name)
		})
	}
}
