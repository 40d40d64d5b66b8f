// Package access lets requests of AWS's clients through: those that are signed with a key of the credentials file and
// whose policies allow what they ask for.
//
// The one idea: it is the guard of core/awsapi.Server, made of core/awsapi/sigv4 (who sent it) and core/awsapi/iam (what
// they may do), with the policies that stand on the service's own resources.
package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/awsapi/iam"
	"github.com/penstock/penstock/core/awsapi/sigv4"
)

// Config has what Control is made of.
type Config struct {
	Region, Service, Account string
	// Policy returns the policy on the resource with an ARN; empty where there is none, or no such resource. May be nil.
	Policy func(ctx context.Context, arn string) (string, error)
}

// Control is a guard. It is safe for concurrent use.
type Control struct {
	cfg      Config
	store    *iam.Store
	verifier sigv4.Verifier
	parsed   policies
}

var _ awsapi.Guard = (*Control)(nil)

// New returns the guard of a service whose callers' keys stand in a store.
func New(store *iam.Store, cfg Config) *Control {
	return &Control{cfg: cfg, store: store, verifier: sigv4.Verifier{
		Region: cfg.Region, Service: cfg.Service, Keys: store,
		UnsignedContentType: "application/x-amz-json-1.1", // the SDKs for PHP and JavaScript v2 do not sign theirs
	}}
}

// Verify says which key a request is signed with.
func (c *Control) Verify(r *http.Request, doc []byte) (awsapi.Caller, error) {
	id, err := c.verifier.Verify(r, sha256.Sum256(doc))
	var refused *sigv4.Error
	if errors.As(err, &refused) {
		return nil, &awsapi.Error{Code: refused.Code, Status: http.StatusBadRequest, Message: refused.Message}
	}
	if err != nil {
		return nil, err
	}
	return id, nil
}

// Allow returns nil if the caller's policy, or that of the resource, allows the action.
func (c *Control) Allow(ctx context.Context, r *http.Request, who awsapi.Caller, action, resource string) error {
	id, ok := who.(sigv4.Identity)
	if !ok || id.AccessKey() == "" {
		return awsapi.Refuse("AccessDeniedException", "Nobody signed this request.")
	}
	request := iam.Request{
		Principal: "arn:aws:iam::" + c.cfg.Account + ":user/" + id.AccessKey(), Account: c.cfg.Account, Action: action, Resource: resource,
		Secure: r.TLS != nil, Time: time.Now(),
	}
	if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		request.SourceIP = at.Addr().Unmap()
	}
	on, err := c.on(ctx, resource)
	if err != nil {
		return err
	}
	if d := iam.Evaluate(request, c.store.Policy(id), on); d != iam.Allowed {
		return awsapi.Refuse("AccessDeniedException", "%s", request.Refusal(d))
	}
	return nil
}

// on is the policy on a resource; nil where there is none.
func (c *Control) on(ctx context.Context, resource string) (*iam.Policy, error) {
	if c.cfg.Policy == nil || !strings.HasPrefix(resource, "arn:") {
		return nil, nil //nolint:nilnil // there is none
	}
	text, err := c.cfg.Policy(ctx, resource)
	if err != nil { // there may be one that denies
		return nil, err
	}
	if text == "" { // where there is no such resource the operation says so, if it is allowed at all
		return nil, nil //nolint:nilnil // there is none
	}
	return c.parsed.parse(text)
}
