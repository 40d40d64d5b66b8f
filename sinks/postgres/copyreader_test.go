package postgres

import "testing"

func TestRowsAreCountedPastThoseThatWereNotSent(t *testing.T) {
	r := &copyReader{sent: 3, left: []int64{0, 1, 2}} // other, A, other, B, other, C
	for n, want := range map[int64]int64{1: 1, 2: 3, 3: 5} {
		if got := r.at(n); got != want {
			t.Errorf("the %d-th that was sent is row %d, not %d", n, want, got)
		}
	}
}
