package awsapi

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"github.com/penstock/penstock/core/awsapi/wire"
)

const typeEvents = "application/vnd.amazon.eventstream"

// stalled is how long a client may read nothing of a stream of events before it is let go.
const stalled = 30 * time.Second

// Sender sends the events of one answer. It is not safe for concurrent use.
type Sender struct {
	call    *Call
	w       http.ResponseWriter
	control *http.ResponseController
	encoder *eventstream.Encoder
	gone    bool // the client is
}

// settle is how long a stream of events waits before it begins. The SDK for Go closes a request's body when the answer
// begins, and breaks the connection if its transport has not seen the body's end by then, which a server nearby can be
// too fast for.
const settle = 5 * time.Millisecond

// Begin answers that events will come, before there is any. Clients wait for it.
func (s *Sender) Begin() error {
	if s.call.begun {
		return nil
	}
	s.call.begun, s.encoder = true, eventstream.NewEncoder()
	h := s.w.Header()
	h.Set("Content-Type", typeEvents)
	if s.call.Protocol == wire.RPCv2 {
		h.Set("Smithy-Protocol", smithyRPC)
	}
	<-time.After(settle)
	s.w.WriteHeader(http.StatusOK)
	return s.frame("event", ":event-type", "initial-response", &struct{}{})
}

// Send sends one event, whose document is the struct that from points to. It waits while the client does not read; an
// error says that the client is gone.
func (s *Sender) Send(event string, from any) error {
	if err := s.Begin(); err != nil {
		return err
	}
	return s.frame("event", ":event-type", event, from)
}

func (s *Sender) frame(message, typeHeader, name string, from any) error {
	doc, framed := bodies.Get().(*[]byte), bodies.Get().(*[]byte) // between two events nothing is held
	defer giveBack(doc)
	defer giveBack(framed)
	*doc = wire.Append(s.call.Protocol, (*doc)[:0], from)
	m := eventstream.Message{Payload: *doc}
	m.Headers.Set(":message-type", eventstream.StringValue(message))
	m.Headers.Set(typeHeader, eventstream.StringValue(name))
	m.Headers.Set(":content-type", eventstream.StringValue(contentType(s.call.Protocol)))
	buf := bytes.NewBuffer((*framed)[:0])
	if err := s.encoder.Encode(buf, m); err != nil {
		return fmt.Errorf("encode an event of %d bytes: %w", len(*doc), err)
	}
	*framed = buf.Bytes()
	err := s.control.SetWriteDeadline(time.Now().Add(stalled))
	if err == nil {
		_, err = s.w.Write(*framed)
	}
	if err == nil {
		err = s.control.Flush()
	}
	s.gone = err != nil
	return err
}

// end ends the answer with the handler's error, which is an event once others were sent. The context is the request's.
func (s *Sender) end(ctx context.Context, err error) error {
	switch {
	case s.gone || ctx.Err() != nil:
		return nil //nolint:nilerr // nobody is left to be told, and nothing is wrong with the server
	case !s.call.begun && err != nil:
		return err
	case err == nil:
		return s.Begin()
	}
	e := answer(err)
	_ = s.frame("exception", ":exception-type", e.Code, &wire.Failure{Type: e.Code, Message: e.Message}) // the client may be gone
	return err
}
