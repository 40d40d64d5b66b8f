package awsapi

import (
	"context"
	"net/http"
	"time"

	"github.com/penstock/penstock/core/awsapi/wire"
)

// Call is what is known of a request beside its document.
type Call struct {
	Operation string
	RequestID string
	Began     time.Time
	Protocol  wire.Protocol
	Caller    Caller // nil until it is known

	begun bool  // the answer was, with events
	body  *Body // nil until it was read
}

// answerShare is what a byte of an answer's data takes: itself, what it is gathered from, the document.
const answerShare = 4

// Room takes memory for an answer with up to n bytes of data, until it is sent, and returns how many it may have: where
// memory is short not n but least, which is waited for.
func (c *Call) Room(n, least int64) (int64, error) {
	if c.body == nil || c.body.takeNow(answerShare*n) {
		return n, nil
	}
	if err := c.body.Take(answerShare * least); err != nil {
		return 0, noRoom()
	}
	return least, nil
}

// Operation is one of a service.
type Operation struct {
	Name   string
	events bool // it answers with a stream of them
	// prepare reads the document. It returns the ARN of what the request is about and what does what it asks for.
	prepare func(c *Call, doc []byte) (resource string, do work, err error)
}

// work does what a request asks for and appends the answer's document to dst.
type work func(ctx context.Context, w http.ResponseWriter, dst []byte) ([]byte, error)

// read is the document of a request as a struct.
func read[In any](c *Call, doc []byte) (*In, error) {
	in := new(In)
	return in, wire.Decode(c.Protocol, doc, in)
}

// On says what a request is about: its ARN, or * for nothing in particular.
type On[In any] func(*In) string

// Op is an operation that answers with a document. handle is only called with documents that keep to the constraints
// of In; its error should be an *Error, and is the server's own failure otherwise.
func Op[In, Out any](name string, on On[In], handle func(context.Context, *Call, *In) (*Out, error)) Operation {
	return Operation{Name: name, prepare: func(c *Call, doc []byte) (string, work, error) {
		in, err := read[In](c, doc)
		if err != nil {
			return "", nil, err
		}
		return on(in), func(ctx context.Context, _ http.ResponseWriter, dst []byte) ([]byte, error) {
			out, err := handle(ctx, c, in)
			if err != nil {
				return nil, err
			}
			return wire.Append(c.Protocol, dst, out), nil
		}, nil
	}}
}

// Void is an operation whose answer has no document.
func Void[In any](name string, on On[In], handle func(context.Context, *Call, *In) error) Operation {
	return Operation{Name: name, prepare: func(c *Call, doc []byte) (string, work, error) {
		in, err := read[In](c, doc)
		if err != nil {
			return "", nil, err
		}
		return on(in), func(ctx context.Context, _ http.ResponseWriter, dst []byte) ([]byte, error) {
			return dst, handle(ctx, c, in)
		}, nil
	}}
}

// Events is an operation that answers with a stream of events for as long as handle takes. An error before the first
// event is answered as that of any operation, one after it as an event. The struct of the request must have no blobs.
func Events[In any](name string, on On[In], handle func(context.Context, *Call, *In, *Sender) error) Operation {
	return Operation{Name: name, events: true, prepare: func(c *Call, doc []byte) (string, work, error) {
		in, err := read[In](c, doc)
		if err != nil {
			return "", nil, err
		}
		return on(in), func(ctx context.Context, w http.ResponseWriter, dst []byte) ([]byte, error) {
			s := &Sender{call: c, w: w, control: http.NewResponseController(w)}
			return dst, s.end(ctx, handle(ctx, c, in, s))
		}, nil
	}}
}
