package awsapi

import (
	"context"
	"net/http"
)

// Guard says who sent a request, and whether they may do what it asks for. A server has exactly one; no operation runs
// that it did not let through.
type Guard interface {
	// Verify says who sent r with the body doc. It is asked before anything else is done with the body.
	Verify(r *http.Request, doc []byte) (Caller, error)
	// Allow returns nil if the caller may do an action, such as kinesis:PutRecord, to the thing with an ARN; * stands
	// for an action on nothing in particular.
	Allow(ctx context.Context, r *http.Request, who Caller, action, resource string) error
}

// Caller is who sent a request.
type Caller interface{ AccessKey() string }

// Anyone lets everything through. It is for servers that only their own machine can reach.
var Anyone Guard = anyone{}

type anyone struct{}

func (anyone) Verify(*http.Request, []byte) (Caller, error) { return nobody{}, nil }

func (anyone) Allow(context.Context, *http.Request, Caller, string, string) error { return nil }

type nobody struct{}

func (nobody) AccessKey() string { return "" }
