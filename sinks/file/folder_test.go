package file

import (
	"context"
	"os"
	"path/filepath"
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

// failing is a folder with a fault in its first files.
type failing struct {
	folder
	files int
	fault func(*object) error
}

func (d *failing) Create(ctx context.Context, name string, by lake.Origin) (lake.Object, error) {
	obj, err := d.folder.Create(ctx, name, by)
	if d.files--; err == nil && d.files >= 0 {
		err = d.fault(obj.(*object))
	}
	return obj, err
}

// unwritable is as on a disk that is full for a while.
func unwritable(o *object) error { return o.f.Close() }

// swept is as where another pipeline found the file old.
func swept(o *object) error { return o.d.root.Remove(o.tmp) }

// TestAFileThatCannotBeEndedIsStagedAnew: what was written of it is not known, so that to try again never helps.
func TestAFileThatCannotBeEndedIsStagedAnew(t *testing.T) {
	for name, c := range map[string]struct {
		good    int // files before the one that fails
		fault   func(*object) error
		restage bool
	}{
		"an output":           {0, unwritable, true},
		"an output that went": {0, swept, true},
		"the manifest":        {1, unwritable, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			root, err := os.OpenRoot(dir)
			require.NoError(t, err)
			defer func() { require.NoError(t, root.Close()) }()
			store := &failing{folder: folder{root}, fault: c.fault}
			rb := array.NewRecordBuilder(memory.DefaultAllocator, core.SchemaOf(arrow.Field{Name: "n", Type: arrow.PrimitiveTypes.Int64}))
			defer rb.Release()
			for _, b := range rb.Fields() {
				b.AppendEmptyValue()
			}
			rows := core.Batch{Shard: "s", Rows: rb.NewRecord()}
			defer rows.Release()
			st, err := lake.Stage(store, lake.Layout{Format: lake.Format{NDJSON: &ndjson.Config{}}}, connectors.Flush{
				Pipeline: "p", Incarnation: "0123456789abcdef", Number: 1, Schema: rows.Rows.Schema(),
			})
			require.NoError(t, err)
			require.NoError(t, st.Add(t.Context(), rows, &connectors.Verdicts{}))
			plan := connectors.Plan{Pipeline: "p", Incarnation: "0123456789abcdef", Number: 1}
			plan.Outputs, err = st.Outputs(t.Context())
			require.NoError(t, err)
			store.files = 1
			if c.good > 0 {
				store.files = 0
				require.NoError(t, st.Publish(t.Context(), plan, nil))
				store.files = 1
			}
			err = st.Publish(t.Context(), plan, nil)
			require.Error(t, err)
			require.Equal(t, c.restage, connectors.IsRestage(err))
			if !c.restage {
				require.NoError(t, st.Publish(t.Context(), plan, nil), "it is written again")
			}
			require.NoError(t, st.Discard())
			left, err := filepath.Glob(filepath.Join(dir, staged, "*"))
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}
