package core

import (
	"math/big"
	"testing"

	"github.com/penstock/penstock/core/fuzztest"
)

func FuzzSequenceNumber(f *testing.F) {
	f.Add("0", "00")
	f.Add("49680550840470634380229696040173062521003004734923079714", "-1")
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, a, b string) {
		x, err := ParseSequenceNumber(a)
		y, err2 := ParseSequenceNumber(b)
		if err != nil || err2 != nil {
			return
		}
		i, ok := new(big.Int).SetString(a, 10)
		j, ok2 := new(big.Int).SetString(b, 10)
		if !ok || !ok2 || i.String() != string(x) || x.Compare(y) != i.Cmp(j) {
			t.Fatalf("%q and %q became %s and %s, compared as %d", a, b, x, y, x.Compare(y))
		}
	}))
}
