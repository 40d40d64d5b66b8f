package hold

import (
	"context"
	"fmt"
	"slices"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// Refusals are the rows of a plan that a destination refuses. They are used by one goroutine.
type Refusals struct {
	destination string
	skip        map[identity]bool   // rows that are not to be written
	refused     []connectors.Reject // beside those that the plan has; they are in skip too
}

// identity tells a row from all others.
type identity struct {
	shard core.ShardID
	seq   core.SequenceNumber
	ord   int32
}

func identityOf(r connectors.Reject) identity { return identity{r.Shard, r.Seq, r.Ord} }

// MaxRefusals bounds the rows of a plan that the destination may refuse: more are no bad rows but a wrong table.
const MaxRefusals = 10_000

// NewRefusals are those that a plan has already.
func NewRefusals(destination string, p connectors.Plan) *Refusals {
	f := &Refusals{destination: destination, skip: map[identity]bool{}}
	for _, r := range p.Rejects {
		f.skip[identityOf(r)] = true
	}
	return f
}

// Refuse notes that the destination does not take a row.
func (f *Refusals) Refuse(b core.Batch, row int, code, reason string) error {
	return f.Add(connectors.Reject{Shard: b.Shard, Seq: b.SequenceOf(row), Ord: b.Ords().Value(row), Code: code, Reason: reason})
}

// Add notes that the destination does not take a row; of one that is noted already, nothing.
func (f *Refusals) Add(r connectors.Reject) error {
	if f.skip[identityOf(r)] {
		return nil
	}
	f.skip[identityOf(r)] = true
	if f.refused = append(f.refused, r); len(f.refused) > MaxRefusals {
		return connectors.Permanent(fmt.Errorf("%s refuses more than %d rows of a plan, the last because: %s", f.destination, MaxRefusals, r.Reason))
	}
	return nil
}

// Skips reports whether a row is not to be written.
func (f *Refusals) Skips(b core.Batch, row int) bool {
	return len(f.skip) > 0 && f.skip[identity{b.Shard, b.SequenceOf(row), b.Ords().Value(row)}]
}

// Len is how many rows were refused beside those that the plan had.
func (f *Refusals) Len() int { return len(f.refused) }

// Settle makes durable which rows were refused, and puts the verdict that stands into p. same says that it is this one, and not
// another worker's.
func (f *Refusals) Settle(ctx context.Context, p *connectors.Plan, decide connectors.Decide) (same bool, err error) {
	switch {
	case len(f.refused) == 0:
		return true, nil
	case p.Decided:
		r := f.refused[0]
		return false, fmt.Errorf("plan %d: which rows %s refuses was decided before, and now it refuses %d more, the first %s %s: %s",
			p.Number, f.destination, len(f.refused), r.Shard, r.Seq, r.Reason)
	}
	stands, err := decide(ctx, f.refused)
	if err != nil {
		return false, err
	}
	p.Decided, p.Rejects = true, stands
	return slices.EqualFunc(stands, f.refused, func(a, b connectors.Reject) bool { return identityOf(a) == identityOf(b) }), nil
}
