package hold

import "github.com/penstock/penstock/connectors"

// ProofOf is what plans prove that a destination says it carried out.
func ProofOf(pipeline string, plans []connectors.Plan) *connectors.Proof {
	proof := connectors.NewProof(pipeline)
	for _, p := range plans {
		proof.Add(p)
	}
	return proof
}

// ReportOf is the report of a proof, with what the plans wrote.
func ReportOf(proof *connectors.Proof, plans []connectors.Plan) connectors.VerifyReport {
	r, outputs := proof.Report(), map[string]bool{}
	for _, p := range plans {
		r.Rows -= int64(len(p.Rejects))
		for _, o := range p.Outputs {
			outputs[o.Name] = true
			r.Rows += o.Rows
		}
	}
	r.Outputs = len(outputs)
	return r
}
