package stream

import (
	"testing"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/fuzztest"
)

// FuzzParseNumber parses what a client may send as a shard's sequence number: what is taken has the layout.
func FuzzParseNumber(f *testing.F) {
	n := numbering{created: 1_400_000_000, shard: 3}
	f.Add(string(n.number(5, 1_400_000_100)))
	f.Add("-1")
	f.Add("49")
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, s string) {
		i, err := n.parse(core.SequenceNumber(s))
		if err != nil {
			return
		}
		clean, err := core.ParseSequenceNumber(s)
		if err != nil {
			t.Fatalf("%q was taken, but is no sequence number", s)
		}
		if i < 0 || i > maxSequence || n.number(i, 0).Compare(clean) > 0 || n.number(i, 1<<36-1).Compare(clean) < 0 {
			t.Fatalf("%q was taken as index %d", s, i)
		}
	}))
}
