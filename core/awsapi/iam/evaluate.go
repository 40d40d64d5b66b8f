package iam

import (
	"fmt"
	"net/netip"
	"time"
)

// Request is what is asked. A field that is left empty is a condition key that is not there.
type Request struct {
	Principal string // the ARN of who asks
	Account   string // the account of who asks
	Action    string // such as kinesis:PutRecord
	Resource  string // an ARN, or * for an action on nothing in particular
	SourceIP  netip.Addr
	Secure    bool // it came over TLS
	Time      time.Time
}

// Decision is what policies say to a request. The zero Decision is a denial.
type Decision int

// What policies can say.
const (
	ImplicitlyDenied Decision = iota // nothing allows it
	ExplicitlyDenied                 // a Deny applies
	Allowed
)

func (d Decision) String() string {
	switch d {
	case Allowed:
		return "allowed"
	case ExplicitlyDenied:
		return "explicitly denied"
	case ImplicitlyDenied:
	}
	return "implicitly denied"
}

// Evaluate decides as IAM does. A Deny anywhere wins, and what nothing allows is denied. Within an account the policy of
// who asks or the one on the resource must allow; where the two are of different accounts both must. Each policy in
// within is a bound: it must allow as well, whatever the others say, and nil bounds everything away.
func Evaluate(r Request, identity, resource *Policy, within ...*Policy) Decision {
	by, on := identity.judge(&r, false), resource.judge(&r, true)
	denied, bounded := by.denies || on.denies, false
	for _, p := range within {
		bound := p.judge(&r, false)
		denied, bounded = denied || bound.denies, bounded || !bound.allows
	}
	allowed := by.allows && on.allows
	if account := accountOf(r.Resource); account == "" || account == r.Account {
		allowed = by.allows || on.direct
	}
	switch {
	case denied:
		return ExplicitlyDenied
	case allowed && !bounded:
		return Allowed
	}
	return ImplicitlyDenied
}

// Refusal is AWS's message for a decision that is not Allowed.
func (r Request) Refusal(d Decision) string {
	why := fmt.Sprintf("because no policy allows the %s action", r.Action)
	if d == ExplicitlyDenied {
		why = "with an explicit deny in a policy"
	}
	return fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s %s", r.Principal, r.Action, r.Resource, why)
}

// verdict is what one policy says. Direct is an Allow that does not go to a whole account.
type verdict struct{ allows, direct, denies bool }

func (p *Policy) judge(r *Request, onResource bool) (v verdict) {
	if p == nil {
		return v
	}
	for i := range p.statements {
		s := &p.statements[i]
		to, direct := !onResource, !onResource
		for _, who := range s.principals {
			ok, d := who.match(r)
			to, direct = to || ok, direct || d
		}
		switch {
		case !to || !s.applies(r):
		case s.deny:
			v.denies = true
		default:
			v.allows, v.direct = true, v.direct || direct
		}
	}
	return v
}

func (s *statement) applies(r *Request) bool {
	if matchAny(s.actions, r.Action) == s.notAction || matchAny(s.resources, r.Resource) == s.notResource {
		return false
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(r) {
			return false
		}
	}
	return true
}
