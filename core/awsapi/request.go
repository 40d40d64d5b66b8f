package awsapi

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/core/awsapi/wire"
	"github.com/penstock/penstock/core/memory"
)

// Content types of the protocols.
const (
	typeJSON  = "application/x-amz-json-1.1"
	typeCBOR  = "application/x-amz-cbor-1.1"
	typeRPCv2 = "application/cbor"
	smithyRPC = "rpc-v2-cbor" // the value of the header Smithy-Protocol
)

func contentType(p wire.Protocol) string {
	return [...]string{wire.JSON: typeJSON, wire.CBOR: typeCBOR, wire.RPCv2: typeRPCv2}[p]
}

// identify finds the protocol and the operation of a request. Beside RPC v2, the path says nothing.
func (s *Server) identify(r *http.Request) (wire.Protocol, string, error) {
	if r.Method != http.MethodPost {
		return wire.JSON, "", &Error{codeUnknown, http.StatusNotFound, "Requests are sent with POST, not " + r.Method + "."}
	}
	if p := r.Header.Get("Smithy-Protocol"); p != "" {
		op, ok := strings.CutPrefix(r.URL.Path, "/service/"+s.service.Target+"/operation/")
		if p != smithyRPC || !ok {
			return wire.RPCv2, "", &Error{codeUnknown, http.StatusNotFound, "Smithy protocol " + p + " with path " + r.URL.Path + " is not known here."}
		}
		return wire.RPCv2, op, nil
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	p := wire.JSON
	switch {
	case err == nil && kind == typeCBOR:
		p = wire.CBOR
	case err == nil && (kind == typeJSON || kind == "application/json"):
	default:
		return wire.JSON, "", &Error{codeUnknown, http.StatusNotFound, "The content type has to be " + typeJSON + ", " + typeCBOR + " or that of Smithy RPC v2 CBOR."}
	}
	op, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), s.service.Target+".")
	if !ok {
		return p, "", Refuse(codeUnknown, "The header X-Amz-Target has to name an operation as %s.Operation.", s.service.Target)
	}
	return p, op, nil
}

// room is how long a request waits for memory before it is turned away.
const room = 3 * time.Second

// body reads a request's body. Memory for it is taken from the process's budget as it comes, so one who promises a large
// body and does not send it keeps nobody waiting. The caller gives both back.
func (s *Server) body(ctx context.Context, r *http.Request) (*[]byte, *charged, error) {
	if r.ContentLength > s.cfg.MaxBody {
		return nil, nil, tooLarge(s.cfg.MaxBody)
	}
	c := &charged{from: http.MaxBytesReader(nil, r.Body, s.cfg.MaxBody), most: r.ContentLength}
	c.room = func(n int64) (*memory.Room, error) {
		waiting, stop := context.WithTimeout(ctx, room)
		defer stop()
		return s.memory.Take(waiting, n)
	}
	if c.most < 0 {
		c.most = s.cfg.MaxBody // sent in chunks
	}
	buf := bodies.Get().(*[]byte)
	var err error
	if *buf, err = readAll((*buf)[:0], c, r.ContentLength); err == nil {
		err = c.take(s.cfg.MaxAnswer)
	}
	if err == nil {
		return buf, c, nil
	}
	c.give()
	giveBack(buf)
	var e *Error
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &e):
		return nil, nil, e
	case errors.As(err, &large):
		return nil, nil, tooLarge(s.cfg.MaxBody)
	}
	return nil, nil, Refuse(codeSerialization, "The body could not be read to its end.")
}

// charged is a body whose memory is taken as it comes.
type charged struct {
	from  io.Reader
	room  func(n int64) (*memory.Room, error)
	rooms []*memory.Room
	most  int64 // bytes that may come
	read  int64
	paid  int64 // for so many bytes of the body
}

// share is what a byte of a body takes: itself, what it is decoded to, the batch.
const share = 3

func (c *charged) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.read += int64(n)
	if c.read > c.paid {
		more := max(c.read-c.paid, min(c.paid, c.most-c.paid)) // twice as much, so few times
		if terr := c.take(share * more); terr != nil {
			return n, terr
		}
		c.paid += more
	}
	return n, err
}

func (c *charged) take(n int64) error {
	taken, err := c.room(n)
	if err != nil {
		return unavailable("no memory is free for another request")
	}
	c.rooms = append(c.rooms, taken)
	return nil
}

func (c *charged) give() {
	for _, r := range c.rooms {
		r.Give()
	}
}

func tooLarge(limit int64) error {
	return &Error{codeTooLarge, http.StatusRequestEntityTooLarge, "A request may have at most " + mib(limit) + "."}
}

// bodies are buffers for bodies and answers.
var bodies = sync.Pool{New: func() any { return new([]byte) }}

// keep is the largest buffer that is kept for the next request.
const keep = 4 << 20

func giveBack(buf *[]byte) {
	if cap(*buf) <= keep {
		bodies.Put(buf)
	}
}

// readAll appends all of r to buf. Where the length is said, that much is read; it is allocated as it comes, with room
// for the blobs of a document.
func readAll(buf []byte, r io.Reader, length int64) ([]byte, error) {
	const first = 1 << 20
	whole := int(max(length+1, 512))
	whole += wire.BlobRoom(whole)
	if want := min(whole, first); cap(buf) < want {
		buf = make([]byte, 0, want)
	}
	for {
		if len(buf) == cap(buf) {
			more := make([]byte, len(buf), max(whole, 2*cap(buf))) // the first of it came; what does not come takes no memory
			copy(more, buf)
			buf = more
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}
