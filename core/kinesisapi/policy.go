package kinesisapi

import (
	"context"
	"errors"

	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/awsapi/iam"
)

// Policy is the text of the policy of a stream or consumer; empty if it has none, or there is no such resource. An error
// says that nobody knows, so that nothing may be allowed.
func (a *API) Policy(ctx context.Context, arn string) (string, error) {
	r, err := a.resource(ctx, arn)
	var e *awsapi.Error
	if errors.As(err, &e) && (e.Code == codeNotFound || e.Code == codeArgument) {
		return "", nil
	}
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
	if _, err := iam.ParseResourcePolicy([]byte(in.Policy)); err != nil {
		return invalid("The policy is malformed: %s", err)
	}
	return a.unchanged(ctx, r, r.setPolicy(ctx, in.Policy))
}

func (a *API) getResourcePolicy(ctx context.Context, _ *awsapi.Call, in *getResourcePolicyInput) (*getResourcePolicyOutput, error) {
	r, err := a.resource(ctx, in.ResourceARN)
	if err != nil {
		return nil, err
	}
	if r.policy() == "" {
		return nil, noPolicy(in.ResourceARN)
	}
	return &getResourcePolicyOutput{Policy: r.policy()}, nil
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
