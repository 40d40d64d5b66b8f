package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/pipelines"
	"github.com/penstock/penstock/pipelines/metrics"
)

// aging is a pipeline from a stream into NDJSON files, on a node whose clock is that of a synctest bubble.
type aging struct {
	t        *testing.T
	dir      string
	file     string
	node     *pipelines.Node
	stream   *stream.Stream
	puts     int
	lost     []connectors.Loss
	resumed  int
	registry *pipelines.Registry
}

// age runs test in a bubble and returns the pipeline's folder, which outlives it.
func age(t *testing.T, test func(a *aging)) (file, data string) {
	t.Helper()
	dir := t.TempDir()
	file, data = filepath.Join(dir, "p.yaml"), filepath.Join(dir, "data")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `version: 1
name: p
source: {stream: s, decode: {json: {}}}
sink: {file: {path: %s/lake, format: {ndjson: {}}}}
`, dir), 0o600))
	synctest.Test(t, func(t *testing.T) {
		n, err := pipelines.OpenNode(t.Context(), data)
		require.NoError(t, err)
		defer func() { require.NoError(t, n.Close()) }()
		a := &aging{t: t, dir: dir, file: file, node: n, registry: registry()}
		_, err = n.Streams.Create(t.Context(), "s", stream.Settings{})
		require.NoError(t, err)
		a.stream, err = n.Streams.Open(t.Context(), "s")
		require.NoError(t, err)
		test(a)
	})
	return file, data
}

// put puts numbered records.
func (a *aging) put(records int) {
	a.t.Helper()
	for range records {
		a.puts++
		out, err := a.stream.Put(a.t.Context(), []stream.Record{{Key: "k", Data: fmt.Appendf(nil, `{"n":%d}`, a.puts)}})
		require.NoError(a.t, err)
		require.NoError(a.t, out[0].Err)
	}
}

// run runs the pipeline until it has caught up, or is killed at a step.
func (a *aging) run(dieAt string) {
	a.t.Helper()
	ctx, cancel := context.WithCancel(connectors.WithSteps(a.t.Context(), func(step string) {
		if step == dieAt {
			runtime.Goexit()
		}
	}))
	defer cancel()
	opts := pipelines.RunOptions{UntilCaughtUp: true, Env: os.LookupEnv, Events: connectors.Join(metrics.New("").Events("p"), &connectors.Events{
		Lost:    func(l connectors.Loss) { a.lost = append(a.lost, l) },
		Resumed: func(connectors.Plan) { a.resumed++ },
	})}
	text, err := os.ReadFile(a.file)
	require.NoError(a.t, err)
	spec, err := a.registry.Load(a.file, text, os.LookupEnv)
	require.NoError(a.t, err)
	ended, returned := make(chan struct{}), false
	go func() {
		defer close(ended)
		err = a.node.Run(ctx, a.registry, spec, opts)
		returned = true
	}()
	<-ended
	require.NoError(a.t, err)
	require.Equal(a.t, dieAt == "", returned)
}

// rows are the numbers of the rows in the lake.
func (a *aging) rows() (out []int) {
	a.t.Helper()
	files, err := filepath.Glob(filepath.Join(a.dir, "lake", "*.ndjson"))
	require.NoError(a.t, err)
	for _, f := range files {
		b, err := os.ReadFile(f) //nolint:gosec // a test's own output
		require.NoError(a.t, err)
		for _, line := range strings.Fields(string(b)) {
			var row struct{ N int }
			require.NoError(a.t, json.Unmarshal([]byte(line), &row))
			out = append(out, row.N)
		}
	}
	slices.Sort(out)
	return out
}

// pins are how many plans hold records.
func (a *aging) pins() int {
	a.t.Helper()
	rows, err := a.node.Control.List(a.t.Context(), "pins/")
	require.NoError(a.t, err)
	return len(rows)
}

// totals is the ledger of all shards.
func (a *aging) totals() (c connectors.Counts) {
	a.t.Helper()
	all, err := connectors.ListProgress(a.t.Context(), a.node.Control, "p")
	require.NoError(a.t, err)
	for _, p := range all {
		require.Zero(a.t, p.OpenPlan)
		c = c.Add(p.Totals)
	}
	return c
}

// gaps are those that were told of, without sequence numbers.
func (a *aging) gaps() (out []connectors.Gap) {
	for _, l := range a.lost {
		out = append(out, connectors.Gap{Records: l.Gap.Records, Plan: l.Gap.Plan})
	}
	return out
}

const retention = stream.MinRetention

func TestAnOpenPlanIsFinishedAfterTheRetentionOfItsRecords(t *testing.T) {
	file, data := age(t, func(a *aging) {
		a.put(5)
		a.run("plan-committed")
		require.Equal(a.t, 1, a.pins())
		require.Empty(a.t, a.rows())
		time.Sleep(retention + 20*time.Hour)
		require.ErrorIs(a.t, a.node.Streams.Delete(a.t.Context(), "s"), stream.ErrPinned)
		a.put(2)
		a.run("")
		require.Equal(a.t, []int{1, 2, 3, 4, 5, 6, 7}, a.rows())
		require.Equal(a.t, 1, a.resumed)
		require.Empty(a.t, a.lost)
		require.Zero(a.t, a.pins())
		require.Equal(a.t, connectors.Counts{Records: 7, Rows: 7, Written: 7}, a.totals())
	})
	require.Contains(t, ok(t, "verify", file), "clean: plans=2 files=2 rows=7")
	require.Contains(t, ok(t, "verify", file, "--data", data), "clean: plans=2 files=2 rows=7")
}

func TestAPlanWhoseRecordsAreGoneIsLostAndThePipelineGoesOn(t *testing.T) {
	var gap connectors.Gap
	file, data := age(t, func(a *aging) {
		a.put(5)
		a.run("plan-committed")
		time.Sleep(retention + 25*time.Hour)
		a.run("")
		require.Equal(a.t, []connectors.Gap{{Records: 5, Plan: 1}}, a.gaps())
		gap = a.lost[0].Gap
		require.Zero(a.t, a.pins())
		require.Empty(a.t, a.rows())
	})
	named := fmt.Sprintf("shardId-000000000000: lost: records after %q through %q (5 of them) went before plan 1 of them was carried out", gap.From, gap.Through)
	code, out, _ := command(t, "verify", file, "--data", data)
	require.Equal(t, exitProblem, code)
	require.Contains(t, out, named)
	require.Contains(t, ok(t, "pipelines", "describe", "p", "--data", data), "\nlost of shardId-000000000000: records after")

	// The next manifest carries it, so that the destination alone tells.
	code, _, errOut := commandIn(t, "{\"n\":6}\n", "put", "s", "--data", data)
	require.Equal(t, exitOK, code, errOut)
	ok(t, "run", file, "--data", data, "--until-caught-up", "--quiet")
	code, out, _ = command(t, "verify", file)
	require.Equal(t, exitProblem, code)
	require.Contains(t, out, named)
	require.Contains(t, out, "NOT CLEAN: plans=1 files=1 rows=1")
	code, out, _ = command(t, "verify", file, "--data", data)
	require.Equal(t, exitProblem, code)
	require.Equal(t, 1, strings.Count(out, "problem: "), out)
}

func TestTheLedgerAddsUpWhenAPlanIsLost(t *testing.T) {
	age(t, func(a *aging) {
		a.put(3)
		a.run("")
		a.put(5)
		a.run("plan-committed")
		time.Sleep(retention + 25*time.Hour)
		a.put(2)
		a.run("")
		a.put(1)
		a.run("")
		require.Equal(a.t, []int{1, 2, 3, 9, 10, 11}, a.rows())
		require.Equal(a.t, []connectors.Gap{{Records: 5, Plan: 2}}, a.gaps())
		require.Equal(a.t, connectors.Counts{Records: 6, Rows: 6, Written: 6, Trimmed: 5}, a.totals())
	})
}

func TestRecordsThatExpireBeforeTheyAreReadAreCounted(t *testing.T) {
	for name, c := range map[string]struct {
		after   time.Duration
		records int64
	}{
		"as long as they are stored": {retention + 5*time.Minute, 4},
		"when they are deleted":      {retention + time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			file, _ := age(t, func(a *aging) {
				a.put(1)
				a.run("")
				a.put(4)
				time.Sleep(c.after)
				a.run("") // there is nothing to deliver, and yet
				require.Equal(a.t, []connectors.Gap{{Records: c.records}}, a.gaps())
				a.put(2)
				a.run("")
				require.Equal(a.t, []int{1, 6, 7}, a.rows())
				require.Len(a.t, a.lost, 1)
				require.Equal(a.t, connectors.Counts{Records: 3, Rows: 3, Written: 3, Trimmed: c.records}, a.totals())
			})
			code, out, _ := command(t, "verify", file)
			require.Equal(t, exitProblem, code)
			require.Contains(t, out, "were past their retention before they were read")
			require.Equal(t, 1, strings.Count(out, "problem: "), out)
		})
	}
}

func TestWhatExpiresBeforeTheFirstFlushIsCounted(t *testing.T) {
	age(t, func(a *aging) {
		a.put(4)
		a.run("flush-closed") // the start is committed, and nothing more
		require.Zero(a.t, a.pins())
		time.Sleep(retention + time.Hour)
		a.put(1)
		a.run("")
		require.Equal(a.t, []connectors.Gap{{}}, a.gaps())
		require.Equal(a.t, []int{5}, a.rows())
	})
}

func TestANewPipelineMissesNothingOfWhatWentBeforeIt(t *testing.T) {
	file, _ := age(t, func(a *aging) {
		a.put(4)
		time.Sleep(retention + time.Hour)
		a.put(1)
		a.run("")
		require.Empty(a.t, a.lost)
		require.Equal(a.t, []int{5}, a.rows())
	})
	require.Contains(t, ok(t, "verify", file), "clean: plans=1 files=1 rows=1")
}

func TestShardsThatAreGoneBeforeTheyAreReadAreCounted(t *testing.T) {
	age(t, func(a *aging) {
		a.put(1)
		a.run("")
		a.put(2)
		split := func(id core.ShardID) {
			_, err := a.stream.Split(a.t.Context(), id, nil)
			require.NoError(a.t, err)
		}
		split(core.NewShardID(0)) // read in part
		a.put(2)
		time.Sleep(time.Minute)
		split(core.NewShardID(1)) // never seen
		split(core.NewShardID(2))
		time.Sleep(retention + time.Hour)
		a.put(1)
		a.run("")
		var shards []core.ShardID
		for _, l := range a.lost {
			shards = append(shards, l.Shard)
			require.Empty(a.t, l.Gap.Through)
		}
		slices.Sort(shards)
		require.Equal(a.t, []core.ShardID{core.NewShardID(0), core.NewShardID(1), core.NewShardID(2)}, shards)
		require.Equal(a.t, []int{1, 6}, a.rows())
		a.lost = nil
		a.put(1)
		a.run("")
		require.Empty(a.t, a.lost, "it is said once")
		require.Equal(a.t, []int{1, 6, 7}, a.rows())
	})
}

// TestAPlanThatWasPublishedIsNotLost is of a worker that died between a plan's manifest and its end.
func TestAPlanThatWasPublishedIsNotLost(t *testing.T) {
	age(t, func(a *aging) {
		a.put(5)
		a.run("plan-committed")
		plans, err := connectors.OpenPlans(a.t.Context(), a.node.Control, "p")
		require.NoError(a.t, err)
		require.Len(a.t, plans, 1)
		text, err := json.Marshal(plans[0])
		require.NoError(a.t, err)
		manifest := filepath.Join(a.dir, "lake", "_penstock", "p-"+plans[0].Incarnation, fmt.Sprintf("%012d.json", plans[0].Number))
		require.NoError(a.t, os.MkdirAll(filepath.Dir(manifest), 0o750))
		require.NoError(a.t, os.WriteFile(manifest, text, 0o600))
		time.Sleep(retention + 25*time.Hour)
		a.run("")
		require.Empty(a.t, a.lost)
		require.Zero(a.t, a.pins())
		require.Equal(a.t, connectors.Counts{Records: 5, Rows: 5, Written: 5}, a.totals())
	})
}

func TestResetAndAbandonLetThePinsGo(t *testing.T) {
	age(t, func(a *aging) {
		a.put(5)
		a.run("plan-committed")
		plans, err := connectors.OpenPlans(a.t.Context(), a.node.Control, "p")
		require.NoError(a.t, err)
		_, err = connectors.Abandon(a.t.Context(), a.node.Control, "p", plans)
		require.NoError(a.t, err)
		require.Zero(a.t, a.pins())
		a.run("plan-committed")
		require.Equal(a.t, 1, a.pins())
		r, err := (&pipelines.Books{Node: a.node, Registry: registry(), Env: os.LookupEnv}).PrepareReset(a.t.Context(), "p", connectors.ResetTo{})
		require.NoError(a.t, err)
		require.Len(a.t, r.Open, 1)
		require.NoError(a.t, r.Commit(a.t.Context()))
		require.Zero(a.t, a.pins())
		require.NoError(a.t, a.node.Streams.Delete(a.t.Context(), "s"))
	})
}
