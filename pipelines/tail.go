package pipelines

import (
	"context"
	"fmt"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// CheckTail holds what a destination's manifests prove against the checkpoints, and adds to the report what does not agree and
// what was lost since. It returns how far the pipeline is behind in each shard: what follows a checkpoint is pending.
func (b *Books) CheckTail(ctx context.Context, report *connectors.VerifyReport) ([]ShardProgress, error) {
	state, err := b.state(ctx, report.Pipeline)
	if err != nil {
		return nil, err
	}
	shards, err := b.Progress(ctx, report.Pipeline)
	if err != nil {
		return nil, err
	}
	type place struct {
		source string
		shard  core.ShardID
	}
	proofs := map[place]connectors.ShardProof{}
	for _, p := range report.Shards {
		if p.Incarnation == state.Incarnation {
			proofs[place{p.Source, p.Shard}] = p
		}
	}
	for _, s := range shards {
		at := place{s.Source, s.Shard}
		proof, proven := proofs[at]
		delete(proofs, at)
		for _, g := range s.Unproven() {
			report.Problems = append(report.Problems, fmt.Sprintf("%s %s: lost: %s", s.Source, s.Shard, g))
		}
		if what := disagreement(s.Progress, proof, proven); what != "" {
			report.Problems = append(report.Problems, fmt.Sprintf("%s %s: %s", s.Source, s.Shard, what))
		}
	}
	for at := range proofs {
		report.Problems = append(report.Problems, fmt.Sprintf("%s %s: the manifests name it, the checkpoints do not", at.source, at.shard))
	}
	return shards, nil
}

// disagreement is what is wrong between a shard's row and its proof. While a plan is open its manifest may be there or not.
func disagreement(p connectors.Progress, proof connectors.ShardProof, proven bool) string {
	switch {
	case p.OpenPlan != 0:
		return ""
	case !proven && p.Totals != p.Carried:
		return fmt.Sprintf("the checkpoints count %d rows written, and no manifest names the shard", p.Totals.Written)
	case proven && proof.Through != p.ProofFrom:
		return fmt.Sprintf("the manifests prove it through %q, the checkpoints through %q", proof.Through, p.ProofFrom)
	case proven && proof.Counts.Written != p.Totals.Written:
		return fmt.Sprintf("the manifests count %d rows written, the checkpoints %d: were files or manifests removed, or was the sink moved to another place since? "+
			"Then what was written before is where it was, and its proof with it", proof.Counts.Written, p.Totals.Written)
	}
	return ""
}
