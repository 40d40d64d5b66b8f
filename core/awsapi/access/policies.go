package access

import (
	"fmt"
	"sync"

	"github.com/penstock/penstock/core/awsapi/iam"
)

// policies are those of resources, compiled once for each text.
type policies struct {
	mu sync.Mutex // guards by
	by map[string]*iam.Policy
}

// maxPolicies bounds what is kept. A policy has at most 20 KiB.
const maxPolicies = 1000

func (p *policies) parse(text string) (*iam.Policy, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.by[text]; known != nil {
		return known, nil
	}
	policy, err := iam.ParseResourcePolicy([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("the policy that is stored on a resource: %w", err)
	}
	if p.by == nil || len(p.by) == maxPolicies {
		p.by = map[string]*iam.Policy{}
	}
	p.by[text] = policy
	return policy, nil
}
