package connectors

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/penstock/penstock/core"
)

// Proof gathers the plans that a destination says it carried out, and finds out whether their spans follow each other
// without gap or overlap. Plans may be added in any order: they are numbered as their flushes begin, so a worker may be
// given a shard for a flush that it began before the one which the shard's last owner handed it over with.
type Proof struct {
	report VerifyReport
	spans  map[shardKey][]provenSpan
	order  []shardKey
}

type shardKey struct {
	incarnation, source string
	shard               core.ShardID
}

type provenSpan struct {
	PlanSpan
	plan int64
}

// NewProof returns one of a pipeline, without plans.
func NewProof(pipeline string) *Proof {
	return &Proof{report: VerifyReport{Pipeline: pipeline}, spans: map[shardKey][]provenSpan{}}
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
		written += span.Counts.Written
		if !span.Counts.Balanced() {
			f.Problem("plan %d, %s: %d rows are not all accounted for: %+v", p.Number, span.Shard, span.Counts.Rows, span.Counts)
		}
		for _, g := range span.Lost {
			f.Problem("%s: lost: %s", span.Shard, g)
		}
		key := shardKey{p.Incarnation, span.Source, span.Shard}
		if f.spans[key] == nil {
			f.order = append(f.order, key)
		}
		f.spans[key] = append(f.spans[key], provenSpan{span, p.Number})
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
	r.Problems = slices.Clone(r.Problems)
	for _, key := range f.order {
		shard, problems := key.chain(f.spans[key])
		r.Shards = append(r.Shards, shard)
		r.Counts = r.Counts.Add(shard.Counts)
		r.Problems = append(r.Problems, problems...)
	}
	return r
}

// chain puts the spans of a shard in their order and says where one does not begin where the one before it ends.
func (k shardKey) chain(spans []provenSpan) (ShardProof, []string) {
	slices.SortStableFunc(spans, func(a, b provenSpan) int {
		return cmp.Or(a.ProofFrom.Compare(b.ProofFrom), a.Through.Compare(b.Through), cmp.Compare(a.plan, b.plan))
	})
	first := spans[0]
	out := ShardProof{Incarnation: k.incarnation, Source: k.source, Shard: k.shard, From: first.ProofFrom, Through: first.Through, Counts: first.Counts}
	var problems []string
	for i, s := range spans[1:] {
		what := "a gap"
		switch c := s.ProofFrom.Compare(out.Through); {
		case c < 0:
			what = "an overlap"
			fallthrough
		case c > 0:
			problems = append(problems, fmt.Sprintf("plan %d, %s: %s: it begins after %q, plan %d before it ends at %q",
				s.plan, k.shard, what, s.ProofFrom, spans[i].plan, out.Through))
		}
		if s.Through.Compare(out.Through) > 0 {
			out.Through = s.Through
		}
		out.Counts = out.Counts.Add(s.Counts)
	}
	return out, problems
}
