package sinktest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// Target is a destination that a test made.
type Target struct {
	// Open returns a sink over the destination, which is empty before the first call. Each call is another worker's.
	Open func(t *testing.T) connectors.Sink
	// Rows reads every row that a reader of the destination sees, as JSON objects; key order and nulls do not matter.
	Rows func(t *testing.T) []string
	// Refuses reports whether the destination cannot hold a row, a JSON object. nil: it holds every one.
	Refuses func(line string) bool
}

// Run runs the suite. target makes a new, empty destination for each case.
func Run(t *testing.T, target func(t *testing.T) Target) {
	t.Helper()
	for name, f := range map[string]func(*testing.T, Target){
		"rows are there once published and not before": publishes,
		"a plan published again leaves one copy":       publishesAgain,
		"two workers with one plan leave one copy":     publishesTwice,
		"the order of shards does not matter":          ordersShards,
		"what is discarded is never seen":              discards,
		"a publish that was cut off is made good":      goesOn,
		"every kind of value comes back":               keepsValues,
		"a flush without rows is published":            publishesNothing,
		"plans follow each other, and verify is clean": follows,
		"closing twice is no error":                    closes,
	} {
		t.Run(name, func(t *testing.T) { f(t, target(t)) })
	}
}

const incarnation = "00000000000000aa"

func flushOf(number int64) connectors.Flush {
	return connectors.Flush{Pipeline: "suite", Incarnation: incarnation, Number: number, Schema: core.SchemaOf(fields...)}
}

// many are n plain rows of a shard.
func many(shard, n int) rows {
	r := rows{shard: core.NewShardID(shard)}
	for i := range n {
		r.lines = append(r.lines, fmt.Sprintf(`{"id":"%d-%d","n":%d,"x":%d.5,"ok":%t,"geo":{"city":"c%d","tags":["a","b"]}}`, shard, i, i, i, i%2 == 0, i%7))
	}
	return r
}

// stage stages rows in batches of a few.
func stage(t *testing.T, s connectors.Sink, number int64, of ...rows) connectors.Staging {
	t.Helper()
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	t.Cleanup(func() { mem.AssertSize(t, 0) })
	st, err := s.Stage(t.Context(), flushOf(number))
	require.NoError(t, err)
	for _, r := range of {
		for from := 0; from < len(r.lines); from += 100 {
			b := r.batch(t, mem, from, min(from+100, len(r.lines)))
			v := &connectors.Verdicts{}
			err := st.Add(t.Context(), b, v)
			b.Release()
			require.NoError(t, err)
			require.Empty(t, v.Refused)
		}
	}
	return st
}

func outputs(t *testing.T, st connectors.Staging) []connectors.Output {
	t.Helper()
	out, err := st.Outputs(t.Context())
	require.NoError(t, err)
	require.True(t, slices.IsSortedFunc(out, func(a, b connectors.Output) int { return strings.Compare(a.Name, b.Name) }))
	return out
}

// decide refuses nothing: the suite's rows are good for every destination.
func decide(context.Context, []connectors.Reject) ([]connectors.Reject, error) { return nil, nil }

// publish stages rows and publishes them.
func publish(t *testing.T, s connectors.Sink, number int64, of ...rows) {
	t.Helper()
	st := stage(t, s, number, of...)
	require.NoError(t, st.Publish(t.Context(), plan(flushOf(number), outputs(t, st), of...), decide))
	require.NoError(t, st.Discard())
}

// same compares rows as multisets.
func same(t *testing.T, want, got []string) {
	t.Helper()
	for i := range got {
		got[i] = canonical(t, got[i])
	}
	want = slices.Clone(want)
	for i := range want {
		want[i] = canonical(t, want[i])
	}
	slices.Sort(got)
	slices.Sort(want)
	require.Equal(t, want, got)
}

// canonical is a JSON object with sorted keys and without nulls.
func canonical(t *testing.T, line string) string {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(line))
	d.UseNumber()
	var v any
	require.NoError(t, d.Decode(&v), line)
	b, err := json.Marshal(WithoutNulls(v))
	require.NoError(t, err)
	return string(b)
}

// WithoutNulls is v, a value of JSON that it changes, without the fields of objects that are null: absent is null. Elements
// of lists stay.
func WithoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		maps.DeleteFunc(v, func(_ string, e any) bool { return e == nil })
		for k, e := range v {
			v[k] = WithoutNulls(e)
		}
	case []any:
		for i, e := range v {
			v[i] = WithoutNulls(e)
		}
	}
	return v
}

// leaner is a row without empty objects.
func leaner(t *testing.T, line string) string {
	t.Helper()
	return strings.ReplaceAll(canonical(t, line), `"geo":{}`, `"geo":null`)
}

// verified has the sink prove what it holds, if it can.
func verified(t *testing.T, s connectors.Sink, rows int) {
	t.Helper()
	v, ok := s.(connectors.Verifier)
	if !ok {
		return
	}
	report, err := v.Verify(t.Context(), "suite", true)
	require.NoError(t, err)
	require.Empty(t, report.Problems)
	require.Empty(t, report.Orphans)
	require.EqualValues(t, rows, report.Rows)
}

// both runs f twice at once.
func both(f func(n int) error) error {
	var errs [2]error
	var wg sync.WaitGroup
	for n := range errs {
		wg.Go(func() { errs[n] = f(n) })
	}
	wg.Wait()
	if errs[0] != nil {
		return errs[0]
	}
	return errs[1]
}
