package kinesisapi

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/stream"
)

// Policy is the text of the policy of a stream or consumer; empty if it has none. ResourceNotFoundException where there
// is no such resource.
func (a *API) Policy(ctx context.Context, arn string) (string, error) {
	r, err := a.resource(ctx, arn)
	return r.policy(), err
}

func (r resource) policy() string {
	if r.consumer != nil {
		return r.consumer.Policy
	}
	return r.info.Policy
}

func (r resource) setPolicy(ctx context.Context, text string) error {
	if r.consumer != nil {
		return r.SetConsumerPolicy(ctx, r.consumer.Name, text)
	}
	return r.SetPolicy(ctx, text)
}

func (a *API) putResourcePolicy(ctx context.Context, _ *awsapi.Call, in *putResourcePolicyInput) error {
	r, err := a.resource(ctx, in.ResourceARN)
	if err != nil {
		return err
	}
	if len(in.Policy) > stream.MaxPolicy {
		return invalid("The policy has %d bytes; it may have %d.", len(in.Policy), stream.MaxPolicy)
	}
	if err := wellFormed(in.Policy); err != nil {
		return err
	}
	return a.unchanged(ctx, r, r.setPolicy(ctx, in.Policy))
}

func (a *API) getResourcePolicy(ctx context.Context, _ *awsapi.Call, in *getResourcePolicyInput) (*getResourcePolicyOutput, error) {
	text, err := a.Policy(ctx, in.ResourceARN)
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, noPolicy(in.ResourceARN)
	}
	return &getResourcePolicyOutput{Policy: text}, nil
}

func (a *API) deleteResourcePolicy(ctx context.Context, _ *awsapi.Call, in *deleteResourcePolicyInput) error {
	r, err := a.resource(ctx, in.ResourceARN)
	if err != nil {
		return err
	}
	if r.policy() == "" {
		return noPolicy(in.ResourceARN)
	}
	return a.unchanged(ctx, r, r.setPolicy(ctx, ""))
}

func noPolicy(arn string) error {
	return awsapi.Refuse(codeNotFound, "No resource policy found for resource ARN %s", arn)
}

// Versions of AWS's policy language.
var policyVersions = []string{"", "2012-10-17", "2008-10-17"}

// wellFormed refuses what is no policy of a resource: each of its statements says whom it allows or denies what.
func wellFormed(text string) error {
	var p struct {
		Version   string
		Statement json.RawMessage
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return malformed("it is not a JSON object of a policy")
	}
	if !slices.Contains(policyVersions, p.Version) {
		return malformed("its Version is none of 2012-10-17 and 2008-10-17")
	}
	var statements []json.RawMessage
	if json.Unmarshal(p.Statement, &statements) != nil {
		statements = []json.RawMessage{p.Statement} // one may stand by itself
	}
	if len(statements) == 0 {
		return malformed("it has no Statement")
	}
	for _, text := range statements {
		var s struct {
			Effect                                     string
			Principal, NotPrincipal, Action, NotAction json.RawMessage
		}
		switch err := json.Unmarshal(text, &s); {
		case err != nil || text == nil:
			return malformed("a Statement is not a JSON object")
		case s.Effect != "Allow" && s.Effect != "Deny":
			return malformed("the Effect of a Statement is neither Allow nor Deny")
		case len(s.Principal) == 0 && len(s.NotPrincipal) == 0:
			return malformed("a Statement has no Principal")
		case len(s.Action) == 0 && len(s.NotAction) == 0:
			return malformed("a Statement has no Action")
		}
	}
	return nil
}

func malformed(what string) error { return invalid("The policy is malformed: %s.", what) }
