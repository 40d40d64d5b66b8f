package connectors

import (
	"fmt"
	"slices"
)

// Proof gathers the plans that a destination says it carried out, and finds out whether their spans follow each other
// without gap or overlap. Plans are added in order of incarnation and number.
type Proof struct {
	report VerifyReport
	by     map[string]*ShardProof
	order  []string
}

// NewProof returns one of a pipeline, without plans.
func NewProof(pipeline string) *Proof {
	return &Proof{report: VerifyReport{Pipeline: pipeline}, by: map[string]*ShardProof{}}
}

// Add adds a plan.
func (f *Proof) Add(p Plan) {
	r := &f.report
	r.Plans++
	if !slices.Contains(r.Incarnations, p.Incarnation) {
		r.Incarnations = append(r.Incarnations, p.Incarnation)
	}
	rejected := p.rejected()
	var written, rows int64
	for _, span := range p.Spans {
		span.Counts.Dead += rejected[span.Shard]
		span.Counts.Written -= rejected[span.Shard]
		key := p.Incarnation + "/" + span.Source + "/" + string(span.Shard)
		if f.by[key] == nil {
			f.order = append(f.order, key)
		}
		f.by[key] = r.follow(p, span, f.by[key])
		written += span.Counts.Written
	}
	for _, o := range p.Outputs {
		rows += o.Rows
	}
	rows -= int64(len(p.Rejects))
	if rows != written {
		f.Problem("plan %d: its spans wrote %d rows, its outputs have %d", p.Number, written, rows)
	}
}

// Problem adds what is wrong.
func (f *Proof) Problem(format string, args ...any) {
	f.report.Problems = append(f.report.Problems, fmt.Sprintf(format, args...))
}

// Report is what the plans prove; what only the destination knows is to be filled in.
func (f *Proof) Report() VerifyReport {
	r := f.report
	for _, key := range f.order {
		r.Shards = append(r.Shards, *f.by[key])
		r.Counts = r.Counts.Add(f.by[key].Counts)
	}
	return r
}

// follow adds a span to what is proven of its shard.
func (r *VerifyReport) follow(p Plan, s PlanSpan, before *ShardProof) *ShardProof {
	if !s.Counts.Balanced() {
		r.Problems = append(r.Problems, fmt.Sprintf("plan %d, %s: %d rows are not all accounted for: %+v", p.Number, s.Shard, s.Counts.Rows, s.Counts))
	}
	for _, g := range s.Lost {
		r.Problems = append(r.Problems, fmt.Sprintf("%s: lost: %s", s.Shard, g))
	}
	if before == nil {
		return &ShardProof{Incarnation: p.Incarnation, Source: s.Source, Shard: s.Shard, From: s.ProofFrom, Through: s.Through, Counts: s.Counts}
	}
	if c := s.ProofFrom.Compare(before.Through); c != 0 {
		what := "a gap"
		if c < 0 {
			what = "an overlap"
		}
		r.Problems = append(r.Problems, fmt.Sprintf("plan %d, %s: %s: it begins after %q, the plan before it ends at %q", p.Number, s.Shard, what, s.ProofFrom, before.Through))
	}
	before.Through = s.Through
	before.Counts = before.Counts.Add(s.Counts)
	return before
}
