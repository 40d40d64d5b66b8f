package integration

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/integration/laketest"
	"github.com/penstock/penstock/pipelines"
	"github.com/penstock/penstock/sinks/file"
	"github.com/penstock/penstock/transforms/json"
)

// jsonValue draws a value of any kind, as text.
func jsonValue(depth int) *rapid.Generator[string] {
	kinds := []*rapid.Generator[string]{
		rapid.Just("null"), rapid.SampledFrom([]string{"true", "false"}),
		rapid.Map(rapid.Int64Range(-9, 9), func(v int64) string { return strconv.FormatInt(v, 10) }),
		rapid.Map(rapid.Int64(), func(v int64) string { return strconv.FormatInt(v, 10) }),
		rapid.StringMatching(`-?[1-9][0-9]{15,40}`),
		rapid.StringMatching(`-?(0|[1-9][0-9]{0,8})\.[0-9]{1,30}`),
		rapid.StringMatching(`-?[1-9](\.[0-9]{1,5})?[eE][+-]?[0-9]{1,3}`),
		rapid.Map(rapid.Float64(), func(v float64) string {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return "0.5"
			}
			return strconv.FormatFloat(v, 'g', -1, 64)
		}),
		rapid.Map(rapid.String(), quoted),
	}
	if depth > 0 {
		kinds = append(kinds, rapid.Map(rapid.SliceOfN(jsonValue(depth-1), 0, 3), func(v []string) string { return "[" + strings.Join(v, ",") + "]" }),
			jsonObject([]string{"x", "y", "", "é", "x.y"}, depth-1), jsonObject([]string{"x", "y"}, depth-1))
	}
	return rapid.OneOf(kinds...)
}

func jsonObject(names []string, depth int) *rapid.Generator[string] {
	return rapid.Map(rapid.MapOfN(rapid.SampledFrom(names), jsonValue(depth), 0, len(names)), func(m map[string]string) string {
		var fields []string
		for _, name := range names { // in one order, so that a failure can be repeated
			if v, ok := m[name]; ok {
				fields = append(fields, quoted(name)+":"+v)
			}
		}
		return "{" + strings.Join(fields, ",") + "}"
	})
}

// TestDriftLosesNothing puts random objects into a stream of two shards, over several flushes, runs and restarts, and
// reads them back: the columns and the rescued fields of a row together are the object. A flush closes for no other reason
// than it would without drift. PENSTOCK_DRIFTS says how many sequences.
func TestDriftLosesNothing(t *testing.T) {
	checks := "40"
	if n := os.Getenv("PENSTOCK_DRIFTS"); n != "" {
		checks = n
	}
	old := flag.Lookup("rapid.checks").Value.String()
	require.NoError(t, flag.Set("rapid.checks", checks))
	t.Cleanup(func() { _ = flag.Set("rapid.checks", old) }) // it was taken from there
	sequences, objects, rescuedRows := 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		d := &drifting{T: rt, dir: tempDir(rt), ctx: t.Context()}
		d.open()
		defer func() { require.NoError(rt, d.node.Close()) }()
		_, err := d.node.Streams.Create(d.ctx, "in", stream.Settings{Shards: 2})
		require.NoError(rt, err)
		for range rapid.IntRange(1, 4).Draw(rt, "runs") {
			d.put(rapid.SliceOfN(jsonObject([]string{"a", "b", "c", "d", "_rescued", "a long name"}, 2), 1, 12).Draw(rt, "objects"))
			d.run("nd", "{ndjson: {compression: none}}")
			d.run("pq", "{parquet: {compression: none}}")
			if rapid.Bool().Draw(rt, "restart") {
				require.NoError(rt, d.node.Close())
				d.open()
			}
		}
		rescuedRows += d.compare("nd")
		d.compare("pq")
		sequences, objects = sequences+1, objects+len(d.want)
	})
	require.Positive(t, rescuedRows)
	t.Logf("campaign=drift sequences=%d rows_expected=%d rescued=%d missing=0 extra=0 closed_by_drift=0", sequences, objects, rescuedRows)
}

func tempDir(t *rapid.T) string {
	dir, err := os.MkdirTemp("", "penstock-drift-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // a temporary folder
	return dir
}

// drifting is a node with a stream of objects whose fields change.
type drifting struct {
	*rapid.T
	ctx  context.Context //nolint:containedctx // of the test
	dir  string
	node *pipelines.Node
	want []string
	puts int
}

func (d *drifting) open() {
	var err error
	d.node, err = pipelines.OpenNode(d.ctx, filepath.Join(d.dir, "data"))
	require.NoError(d, err)
}

func (d *drifting) put(objects []string) {
	s, err := d.node.Streams.Open(d.ctx, "in")
	require.NoError(d, err)
	var records []stream.Record
	for _, o := range objects {
		records = append(records, stream.Record{Key: strconv.Itoa(d.puts), Data: []byte(o)})
		d.want = append(d.want, canonical(object(d, o)))
		d.puts++
	}
	for len(records) > 0 { // in small entries, so that flushes end between them
		n := min(len(records), 3)
		results, err := s.Put(d.ctx, records[:n])
		require.NoError(d, err)
		for _, r := range results {
			require.NoError(d, r.Err)
		}
		records = records[n:]
	}
}

// run delivers what the stream holds, in flushes of a few records.
func (d *drifting) run(name, format string) {
	r := pipelines.NewRegistry()
	pipelines.AddDecoder(r, "json", json.New)
	pipelines.AddSink(r, "file", file.Open)
	s, err := r.Load("p.yaml", fmt.Appendf(nil, "version: 1\nname: %s\nsource: {stream: in, decode: {json: {}}}\nbuffer: {max_records: 5}\nsink: {file: {path: %s, format: %s}}\n",
		name, filepath.Join(d.dir, name), format), nil)
	require.NoError(d, err)
	var mu sync.Mutex
	var reasons []string
	events := &connectors.Events{Planned: func(p connectors.Plan) {
		mu.Lock()
		defer mu.Unlock()
		reasons = append(reasons, p.Reason)
	}}
	require.NoError(d, d.node.Run(d.ctx, r, s, pipelines.RunOptions{UntilCaughtUp: true, Events: events}))
	require.Subset(d, []string{"records", "end"}, reasons)
}

// compare compares a lake with what was put, and returns how many of its rows have rescued fields.
func (d *drifting) compare(name string) (rescuedRows int) {
	var got []string
	for _, row := range laketest.Rows(d.T, lakeOf(d, filepath.Join(d.dir, name))) {
		got = append(got, restored(d, row))
		if strings.Contains(row, `"_rescued":"`) {
			rescuedRows++
		}
	}
	requireSameRows(d, append([]string{}, d.want...), got)
	return rescuedRows
}
