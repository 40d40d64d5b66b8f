package kinesis

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/deadletter"
	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/sinks/file"
	"github.com/penstock/penstock/transforms/raw"
)

// worked is a pipeline from the stream into files, on a control store of its own.
type worked struct {
	dir   string
	store *control.Scratch
	lost  []connectors.Gap
}

// run runs the pipeline until it has caught up, or dies at a step.
func (w *worked) run(t *testing.T, s *server, src *Source, dieAt string) {
	t.Helper()
	letters, err := deadletter.New(s.streams, "dead")
	require.NoError(t, err)
	d, err := raw.New(raw.Config{As: "text"})
	require.NoError(t, err)
	var cfg file.Config
	require.NoError(t, yaml.Unmarshal(fmt.Appendf(nil, "path: %s/lake\nformat: {ndjson: {}}\n", w.dir), &cfg))
	sink, err := file.Open(t.Context(), cfg)
	require.NoError(t, err)
	worker, err := connectors.NewWorker(connectors.WorkerConfig{
		Pipeline: "p", Program: &connectors.Program{Spec: "s", SpecText: []byte("{}"), Decoder: d, Sink: sink},
		Source: src, Start: connectors.Start{Kind: connectors.StartTrimHorizon}, DeadLetters: letters, Store: w.store,
		Lease: lease.Config{Owner: fmt.Sprint(time.Now().UnixNano()), Exclusive: true}, UntilCaughtUp: true,
		Events: &connectors.Events{Lost: func(l connectors.Loss) { w.lost = append(w.lost, l.Gap) }},
	})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(connectors.WithSteps(t.Context(), func(step string) {
		if step == dieAt {
			runtime.Goexit()
		}
	}))
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err = worker.Run(ctx)
	}()
	<-ended
	require.NoError(t, err)
	require.NoError(t, sink.Close(t.Context()))
}

// rows are the records in the lake.
func (w *worked) rows(t *testing.T) (out []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(w.dir, "lake", "*.ndjson"))
	require.NoError(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f) //nolint:gosec // a test's own output
		require.NoError(t, err)
		for _, line := range strings.Fields(string(b)) {
			out = append(out, strings.Trim(strings.TrimPrefix(line, `{"data":`), `"}`))
		}
	}
	slices.SortFunc(out, func(a, b string) int { return len(a)*1000 - len(b)*1000 + strings.Compare(a, b) })
	return out
}

// TestAPlanWhoseRecordsExpireIsLost: nothing can keep the records of a stream of others. Whether all of a plan's records
// are gone, some, or none, and whether others came, decides what becomes of the plan.
func TestAPlanWhoseRecordsExpireIsLost(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		wait time.Duration
		more int // records that come then
		lost bool
	}{
		"all are there":              {time.Hour, 0, false},
		"some are gone":              {10 * time.Hour, 0, true},
		"some are gone, others came": {10 * time.Hour, 5, true},
		"all are gone":               {30 * time.Hour, 0, true},
		"all are gone, others came":  {30 * time.Hour, 5, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			bubble(t, func(t *testing.T, s *server, src func() *Source) {
				w := &worked{dir: dir, store: control.NewScratch()}
				s.put(t, "clicks", 0, 5)
				w.run(t, s, src(), "")
				s.put(t, "clicks", 5, 10)
				time.Sleep(20 * time.Hour)
				s.put(t, "clicks", 10, 15)
				w.run(t, s, src(), "plan-committed")
				require.Equal(t, numbered(0, 5), w.rows(t))
				time.Sleep(c.wait)
				s.put(t, "clicks", 15, 15+c.more)
				w.run(t, s, src(), "")
				if !c.lost {
					require.Equal(t, numbered(0, 15), w.rows(t))
					require.Empty(t, w.lost)
					return
				}
				require.Equal(t, append(numbered(0, 5), numbered(15, 15+c.more)...), w.rows(t))
				require.NotEmpty(t, w.lost)
				require.Equal(t, []int64{10, 2}, []int64{w.lost[0].Records, w.lost[0].Plan})
				all, err := connectors.ListProgress(t.Context(), w.store, "p")
				require.NoError(t, err)
				require.Equal(t, int64(10), all[0].Totals.Trimmed)
				require.Zero(t, all[0].OpenPlan)
			})
		})
	}
}

// TestWhatExpiresUnreadIsTold of a pipeline that did not run for longer than its stream keeps records.
func TestWhatExpiresUnreadIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bubble(t, func(t *testing.T, s *server, src func() *Source) {
		w := &worked{dir: dir, store: control.NewScratch()}
		s.put(t, "clicks", 0, 5)
		w.run(t, s, src(), "")
		s.put(t, "clicks", 5, 10)
		time.Sleep(30 * time.Hour)
		s.put(t, "clicks", 10, 15)
		w.run(t, s, src(), "")
		require.Equal(t, append(numbered(0, 5), numbered(10, 15)...), w.rows(t))
		require.Len(t, w.lost, 1)
		require.Zero(t, w.lost[0].Records, "their number cannot be known")
		w.run(t, s, src(), "")
		require.Len(t, w.lost, 1, "it is said once")
	})
}
