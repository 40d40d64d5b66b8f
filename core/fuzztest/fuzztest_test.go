package fuzztest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMutatingCallsTheTargetWithOtherInputs(t *testing.T) {
	t.Setenv("PENSTOCK_MUTATIONS", "1000")
	type input struct {
		text string
		n    uint8
		yes  bool
	}
	seen, calls := map[input]bool{}, 0
	target := Mutating(func(_ *testing.T, text []byte, other string, n uint8, yes bool) {
		seen[input{string(text) + other, n, yes}] = true
		calls++
	})
	for _, corpus := range []string{"", `{"a":1}`} {
		text := []byte(corpus)
		target(t, text, corpus, 1, true)
		require.Equal(t, corpus, string(text), "an input of the corpus is not changed")
	}
	require.Equal(t, 2002, calls)
	require.Greater(t, len(seen), 1000)
}

func TestMutatingIsTheTargetWithoutTheSetting(t *testing.T) {
	t.Setenv("PENSTOCK_MUTATIONS", "")
	calls := 0
	Mutating(func(*testing.T, string) { calls++ })(t, "a")
	require.Equal(t, 1, calls)
}
