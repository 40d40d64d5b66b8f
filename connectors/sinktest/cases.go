package sinktest

import (
	"context"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
)

func publishes(t *testing.T, to Target) {
	t.Helper()
	s, r := to.Open(t), many(0, 250)
	st := stage(t, s, 1, r)
	require.Empty(t, to.Rows(t), "rows were seen before they were published")
	out := outputs(t, st)
	require.Empty(t, to.Rows(t), "rows were seen before they were published")
	var n int64
	for _, o := range out {
		n += o.Rows
	}
	require.EqualValues(t, 250, n)
	done(t, s, plan(flushOf(1), out, r), false)
	require.NoError(t, st.Publish(t.Context(), plan(flushOf(1), out, r), decide))
	done(t, s, plan(flushOf(1), out, r), true)
	same(t, sorted(r), to.Rows(t))
	require.NoError(t, st.Discard())
	same(t, sorted(r), to.Rows(t))
	verified(t, s, 250)
}

// done asks a sink that can tell whether a plan was published.
func done(t *testing.T, s connectors.Sink, p connectors.Plan, want bool) {
	t.Helper()
	if pub, ok := s.(connectors.Publisher); ok {
		there, err := pub.Published(t.Context(), p)
		require.NoError(t, err)
		require.Equal(t, want, there)
	}
}

func publishesAgain(t *testing.T, to Target) {
	t.Helper()
	s, r := to.Open(t), many(0, 120)
	st := stage(t, s, 1, r)
	p := plan(flushOf(1), outputs(t, st), r)
	for range 2 {
		require.NoError(t, st.Publish(t.Context(), p, decide))
	}
	require.NoError(t, st.Discard())
	other := to.Open(t)
	publish(t, other, 1, r) // a successor, after the first worker died before it could say that it was done
	same(t, sorted(r), to.Rows(t))
	verified(t, s, 120)
}

func publishesTwice(t *testing.T, to Target) {
	t.Helper()
	r := many(0, 400)
	sinks := [2]connectors.Sink{to.Open(t), to.Open(t)}
	stagings := [2]connectors.Staging{stage(t, sinks[0], 1, r), stage(t, sinks[1], 1, r)}
	a, b := outputs(t, stagings[0]), outputs(t, stagings[1])
	require.True(t, connectors.SameOutputs(a, b), "two workers name other outputs for one plan")
	require.NoError(t, both(func(n int) error {
		return stagings[n].Publish(t.Context(), plan(flushOf(1), a, r), decide)
	}))
	for _, st := range stagings {
		require.NoError(t, st.Discard())
	}
	same(t, sorted(r), to.Rows(t))
	verified(t, sinks[0], 400)
}

func ordersShards(t *testing.T, to Target) {
	t.Helper()
	s, a, b := to.Open(t), many(0, 150), many(1, 70)
	one, other := stage(t, s, 1, a, b), stage(t, s, 1, b, a)
	require.True(t, connectors.SameOutputs(outputs(t, one), outputs(t, other)), "the outputs depend on how shards interleave")
	require.NoError(t, one.Discard())
	require.NoError(t, other.Publish(t.Context(), plan(flushOf(1), outputs(t, other), a, b), decide))
	require.NoError(t, other.Discard())
	same(t, sorted(a, b), to.Rows(t))
}

func discards(t *testing.T, to Target) {
	t.Helper()
	s := to.Open(t)
	st := stage(t, s, 1, many(0, 300))
	require.NoError(t, st.Discard())
	require.NoError(t, st.Discard())
	require.Empty(t, to.Rows(t))
	r := many(0, 40)
	publish(t, s, 2, r)
	same(t, sorted(r), to.Rows(t))
	verified(t, s, 40)
}

func goesOn(t *testing.T, to Target) {
	t.Helper()
	s, r := to.Open(t), many(0, 300)
	st := stage(t, s, 1, r)
	p := plan(flushOf(1), outputs(t, st), r)
	cut, cancel := context.WithCancel(t.Context())
	cancel()
	if err := st.Publish(cut, p, decide); err != nil {
		err = st.Publish(t.Context(), p, decide)
		if connectors.IsRestage(err) {
			require.NoError(t, st.Discard())
			st = stage(t, s, 1, r)
			require.True(t, connectors.SameOutputs(p.Outputs, outputs(t, st)))
			err = st.Publish(t.Context(), p, decide)
		}
		require.NoError(t, err)
	}
	require.NoError(t, st.Discard())
	same(t, sorted(r), to.Rows(t))
	verified(t, s, 300)
}

func keepsValues(t *testing.T, to Target) {
	t.Helper()
	r := rows{shard: "shardId-000000000000", lines: []string{
		`{}`,
		`{"id":null,"n":null,"x":null,"ok":null,"geo":null}`,
		`{"id":"","n":0,"x":0.5,"ok":false,"geo":{}}`,
		`{"id":"日本語 🚰 é","n":-1}`,
		`{"id":"quote \" slash / back \\ line\nbreak tab\t nul\u0000 del\u007f"}`,
		`{"id":"</script>&amp; \u2028","n":9007199254740991}`,
		`{"x":-1.5e+300}`,
		`{"x":5e-324}`,
		`{"geo":{"city":null,"tags":null}}`,
		`{"geo":{"city":"x","tags":[]}}`,
		`{"geo":{"tags":["a",null,""]}}`,
	}}
	s := to.Open(t)
	var refused []string
	st := stage(t, s, 1, r)
	require.NoError(t, st.Publish(t.Context(), plan(flushOf(1), outputs(t, st), r), func(_ context.Context, rejects []connectors.Reject) ([]connectors.Reject, error) {
		for _, reject := range rejects {
			require.NotEmpty(t, reject.Code)
			require.NotEmpty(t, reject.Reason)
			n, err := strconv.Atoi(string(reject.Seq))
			require.NoError(t, err)
			refused = append(refused, r.lines[n-1])
		}
		return rejects, nil
	}))
	require.NoError(t, st.Discard())
	got, want := to.Rows(t), []string{}
	var wrong []string
	for _, line := range sorted(r) {
		if to.Refuses != nil && to.Refuses(line) {
			wrong = append(wrong, line)
		} else {
			want = append(want, line)
		}
	}
	require.ElementsMatch(t, wrong, refused)
	require.Len(t, got, len(want))
	for i := range got { // {} and null differ in a file, but not in every destination
		got[i] = leaner(t, got[i])
	}
	for i := range want {
		want[i] = leaner(t, want[i])
	}
	same(t, want, got)
}

func publishesNothing(t *testing.T, to Target) {
	t.Helper()
	s := to.Open(t)
	st := stage(t, s, 1)
	require.Empty(t, outputs(t, st))
	require.NoError(t, st.Publish(t.Context(), plan(flushOf(1), nil), decide))
	require.NoError(t, st.Discard())
	require.Empty(t, to.Rows(t))
}

func follows(t *testing.T, to Target) {
	t.Helper()
	s := to.Open(t)
	var all []rows
	from := 0
	for number := range int64(3) {
		r := many(0, from+30)
		r.after, r.lines = from, r.lines[from:]
		st := stage(t, s, number+1, r)
		p := plan(flushOf(number+1), outputs(t, st), r)
		require.NoError(t, st.Publish(t.Context(), p, decide))
		require.NoError(t, st.Discard())
		all = append(all, r)
		from += 30
	}
	same(t, sorted(all...), to.Rows(t))
	verified(t, s, 90)
}

func closes(t *testing.T, to Target) {
	t.Helper()
	s := to.Open(t)
	publish(t, s, 1, many(0, 5))
	for range 2 {
		require.NoError(t, s.Close(t.Context()))
	}
}
