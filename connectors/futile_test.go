package connectors

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAPipelineOfWhichNothingComesIsToldOnce(t *testing.T) {
	bad := func(code string, n int) []Refusal {
		out := make([]Refusal, n)
		for i := range out {
			out[i] = Refusal{Stage: "sink", Code: code, Reason: code}
		}
		return out
	}
	for _, c := range []struct {
		name string
		do   func(f *futile, e *Events)
		told []int64
	}{
		{"before the first flush, when there are enough", func(f *futile, e *Events) {
			f.see(e, Counts{Rows: 999, Dead: 999}, bad("a", 999))
			f.see(e, Counts{Rows: 1, Dead: 1}, bad("a", 1))
			f.see(e, Counts{Rows: 2000, Dead: 2000}, bad("a", 2000))
			f.flushed(e)
		}, []int64{1000}},
		{"with the first flush", func(f *futile, e *Events) {
			f.see(e, Counts{Rows: 3, Filtered: 1, Dead: 2}, bad("a", 2))
			f.flushed(e)
			f.flushed(e)
		}, []int64{2}},
		{"not where a row went on before", func(f *futile, e *Events) {
			f.see(e, Counts{Rows: 1, Written: 1}, nil)
			f.see(e, Counts{Rows: 2000, Dead: 2000}, bad("a", 2000))
			f.flushed(e)
		}, nil},
		{"not where reasons differ", func(f *futile, e *Events) {
			f.see(e, Counts{Rows: 2, Dead: 2}, append(bad("a", 1), bad("b", 1)...))
			f.flushed(e)
		}, nil},
		{"not where every row was filtered", func(f *futile, e *Events) {
			f.see(e, Counts{Rows: 2000, Filtered: 2000}, nil)
			f.flushed(e)
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var told []int64
			c.do(&futile{}, &Events{Futile: func(rows int64, first Refusal) {
				require.Equal(t, Refusal{Stage: "sink", Code: "a", Reason: "a"}, first)
				told = append(told, rows)
			}})
			require.Equal(t, c.told, told)
		})
	}
}
