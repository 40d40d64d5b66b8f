package connectors

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/penstock/penstock/core"
)

// Plan is the pure description of one flush: what was read and what will be written. It is committed to the control
// store before its output becomes visible, and stands unchanged in the sink's manifest.
type Plan struct {
	Pipeline    string     `json:"pipeline"`
	Incarnation string     `json:"incarnation"`
	Number      int64      `json:"plan"`
	Spec        string     `json:"spec"`      // hash of the checked spec, which is stored under it
	Semantics   int        `json:"semantics"` // of this binary when the plan was made
	Schema      int64      `json:"schema"`    // version of the decoder's schema
	Reason      string     `json:"reason"`    // why the flush closed
	Spans       []PlanSpan `json:"spans"`
	Outputs     []Output   `json:"outputs"`
	Decided     bool       `json:"decided,omitempty"`
	Rejects     []Reject   `json:"rejects,omitempty"` // once decided
}

// rejected is how many rows of each shard the destination refused.
func (p *Plan) rejected() map[core.ShardID]int64 {
	out := map[core.ShardID]int64{}
	for _, r := range p.Rejects {
		out[r.Shard]++
	}
	return out
}

// PlanSpan is the part of one shard that a plan covers, and what became of its rows.
type PlanSpan struct {
	Source  string              `json:"source"` // Source.ID
	Shard   core.ShardID        `json:"shard"`
	From    core.SequenceNumber `json:"from"`    // excluded; where the checkpoint stands before
	Through core.SequenceNumber `json:"through"` // included; where the checkpoint will stand
	// ProofFrom is where the span's proof begins: at From, or before it where flushes without rows came between.
	ProofFrom core.SequenceNumber `json:"proof_from"`
	Counts    Counts              `json:"counts"`         // of (ProofFrom, Through]
	End       bool                `json:"end,omitempty"`  // the shard is closed and Through is its last record
	Lost      []Gap               `json:"lost,omitempty"` // what of (ProofFrom, From] was never delivered
}

// Gap is a run of records of a shard that went before they were delivered.
type Gap struct {
	From    core.SequenceNumber `json:"from"`           // excluded; empty is the beginning
	Through core.SequenceNumber `json:"through"`        // included; empty is the end of a shard that is gone
	Records int64               `json:"records"`        // 0 where it is not known
	Plan    int64               `json:"plan,omitempty"` // the open plan that they were part of
	Why     string              `json:"why,omitempty"`  // where it was not their age
}

func (g Gap) String() string {
	what, number := "were past their retention before they were read", "a number that is not known"
	if g.Why != "" {
		what = g.Why
	}
	if g.Plan != 0 {
		what = fmt.Sprintf("went before plan %d of them was carried out", g.Plan)
	}
	if g.Records > 0 {
		number = strconv.FormatInt(g.Records, 10)
	}
	return fmt.Sprintf("records after %q through %q (%s of them) %s", g.From, g.Through, number, what)
}

// Counts is a ledger: Rows = Filtered + Null + Dead + Written. Records counts what was read before decoding. Beside it
// stand Trimmed, what went before it was delivered, and Strays, which are no rows.
type Counts struct {
	Records  int64 `json:"records"`
	Rows     int64 `json:"rows"`
	Filtered int64 `json:"filtered"` // a filter said false
	Null     int64 `json:"null"`     // a filter said null
	Dead     int64 `json:"dead"`     // became dead letters
	Written  int64 `json:"written"`
	Trimmed  int64 `json:"trimmed,omitempty"` // records, as far as their number is known
	Strays   int64 `json:"strays,omitempty"`  // user records that were passed over: another shard's, whose producer sends them again
}

// Add returns the sum of c and d.
func (c Counts) Add(d Counts) Counts {
	return Counts{
		c.Records + d.Records, c.Rows + d.Rows, c.Filtered + d.Filtered, c.Null + d.Null,
		c.Dead + d.Dead, c.Written + d.Written, c.Trimmed + d.Trimmed, c.Strays + d.Strays,
	}
}

// sub returns c less d, which is a part of it.
func (c Counts) sub(d Counts) Counts {
	return Counts{
		c.Records - d.Records, c.Rows - d.Rows, c.Filtered - d.Filtered, c.Null - d.Null,
		c.Dead - d.Dead, c.Written - d.Written, c.Trimmed - d.Trimmed, c.Strays - d.Strays,
	}
}

// Balanced reports whether every row is accounted for.
func (c Counts) Balanced() bool { return c.Rows == c.Filtered+c.Null+c.Dead+c.Written }

// Output is one thing that a plan writes: an object, a file, a table's rows.
type Output struct {
	Name  string `json:"name"` // a pure function of the flush and its rows
	Rows  int64  `json:"rows"`
	Bytes int64  `json:"bytes,omitempty"` // encoded; may differ between executions of a plan
	Hash  string `json:"hash,omitempty"`  // of the rows, whatever their order; see the sink's documentation
}

// SameOutputs reports whether a and b name the same outputs with the same rows; encoded sizes may differ.
func SameOutputs(a, b []Output) bool {
	return slices.EqualFunc(a, b, func(x, y Output) bool { return x.Name == y.Name && x.Rows == y.Rows && x.Hash == y.Hash })
}
