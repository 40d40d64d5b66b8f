package awsapi

import (
	"context"
	"time"

	"github.com/penstock/penstock/core/awsapi/wire"
)

// Call is what is known of a request beside its document.
type Call struct {
	Operation string
	RequestID string
	Began     time.Time
	Protocol  wire.Protocol
}

// Operation is one of a service.
type Operation struct {
	Name string
	// run reads the document, does what it asks for and appends the answer's document to dst.
	run func(ctx context.Context, c *Call, doc, dst []byte) ([]byte, error)
}

// Op is an operation that answers with a document. handle is only called with documents that keep to the constraints
// of In; its error should be an *Error, and is the server's own failure otherwise.
func Op[In, Out any](name string, handle func(context.Context, *Call, *In) (*Out, error)) Operation {
	return Operation{Name: name, run: func(ctx context.Context, c *Call, doc, dst []byte) ([]byte, error) {
		in := new(In)
		if err := wire.Decode(c.Protocol, doc, in); err != nil {
			return nil, err
		}
		out, err := handle(ctx, c, in)
		if err != nil {
			return nil, err
		}
		return wire.Append(c.Protocol, dst, out), nil
	}}
}

// Void is an operation whose answer has no document.
func Void[In any](name string, handle func(context.Context, *Call, *In) error) Operation {
	return Operation{Name: name, run: func(ctx context.Context, c *Call, doc, dst []byte) ([]byte, error) {
		in := new(In)
		if err := wire.Decode(c.Protocol, doc, in); err != nil {
			return nil, err
		}
		return dst, handle(ctx, c, in)
	}}
}
