package awsapi

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/penstock/penstock/core/awsapi/wire"
	"github.com/penstock/penstock/core/memory"
)

// Service is what is served.
type Service struct {
	Name       string // in ARNs and signatures, such as kinesis
	Target     string // the prefix of X-Amz-Target, such as Kinesis_20131202
	Operations []Operation
}

// Config has a server's settings; zero means the documented default.
type Config struct {
	MaxBody   int64          // bytes of a request. Default 15 MiB: 10 MiB of records in base64, with names and keys
	MaxAnswer int64          // bytes that an answer's making is counted as. Default 256 KiB
	Guard     Guard          // decides who may do what. There is no default
	Memory    *memory.Budget // of the process; nil: without bounds
	Log       *slog.Logger   // failures of the server, and at debug level every request. Default: none
	Observe   func(Outcome)  // told of every request. May be nil
}

// Outcome is what became of a request.
type Outcome struct {
	Call
	Code  string // of the error; empty if there was none
	In    int    // bytes of the request's document
	Out   int
	Took  time.Duration
	Agent string
}

func (c Config) withDefaults() Config {
	if c.MaxBody == 0 {
		c.MaxBody = 15 << 20
	}
	if c.MaxAnswer == 0 {
		c.MaxAnswer = 256 << 10
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Observe == nil {
		c.Observe = func(Outcome) {}
	}
	return c
}

// Server serves one service. It is an http.Handler.
type Server struct {
	service    Service
	cfg        Config
	operations map[string]*Operation
	bodies     *Bodies
}

// New returns the server of a service. It panics if two operations have one name, or there is no guard.
func New(service Service, cfg Config) *Server {
	s := &Server{service: service, cfg: cfg.withDefaults(), operations: map[string]*Operation{}}
	s.bodies = NewBodies(s.cfg.Memory)
	if cfg.Guard == nil {
		panic("awsapi: a server without a guard")
	}
	for i := range service.Operations {
		op := &service.Operations[i]
		if s.operations[op.Name] != nil {
			panic("awsapi: two operations " + op.Name)
		}
		s.operations[op.Name] = op
	}
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &Call{RequestID: requestID(), Began: time.Now()}
	h := w.Header()
	h["X-Amzn-Requestid"] = []string{c.RequestID}
	h.Set("X-Amz-Id-2", extendedID())
	o := Outcome{Agent: r.UserAgent()}
	out := bodies.Get().(*[]byte)
	defer giveBack(out)
	err := s.serve(w, r, c, out, &o)
	defer c.release()
	status := http.StatusOK
	if err != nil {
		e := answer(err)
		if e.Status >= http.StatusInternalServerError && e.Code == codeInternal && r.Context().Err() == nil { // the client is there
			s.cfg.Log.Error("request failed", "request", c.RequestID, "operation", c.Operation, "error", err)
		}
		o.Code, status = e.Code, e.Status
		*out = wire.Append(c.Protocol, (*out)[:0], &wire.Failure{Type: e.Code, Message: e.Message})
	}
	if c.begun { // it was answered by events
		s.told(r, c, o)
		return
	}
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	h["Content-Type"] = []string{contentType(c.Protocol)}
	if c.Protocol == wire.RPCv2 {
		h.Set("Smithy-Protocol", smithyRPC)
	}
	h["Content-Length"] = []string{strconv.Itoa(len(*out))}
	w.WriteHeader(status)
	_, _ = w.Write(*out) // the caller may be gone
	o.Out = len(*out)
	s.told(r, c, o)
}

// release gives back what memory the request holds.
func (c *Call) release() {
	if c.body != nil {
		c.body.Release()
	}
}

// told tells of a request that was answered.
func (s *Server) told(r *http.Request, c *Call, o Outcome) {
	o.Call, o.Took = *c, time.Since(c.Began)
	key := ""
	if c.Caller != nil {
		key = c.Caller.AccessKey()
	}
	s.cfg.Log.Debug("request", "request", c.RequestID, "operation", c.Operation, "code", o.Code, "key", key, "in", o.In, "out", o.Out, "took", o.Took, "remote", r.RemoteAddr)
	s.cfg.Observe(o)
}

// serve does what a request asks for, and puts the answer's document in out.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, c *Call, out *[]byte, o *Outcome) (err error) {
	*out = (*out)[:0]
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if c.Protocol, c.Operation, err = s.identify(r); err != nil {
		return err
	}
	op := s.operations[c.Operation]
	name := c.Operation
	if op == nil {
		c.Operation = "" // a client's word, of any length
	}
	body, err := s.body(r)
	if err != nil {
		return err
	}
	c.body = body
	o.In = len(body.Doc)
	if c.Caller, err = s.cfg.Guard.Verify(r, body.Doc); err != nil {
		return err
	}
	if op == nil {
		return Refuse(codeUnknown, "%s has no operation %.100q.", s.service.Name, name)
	}
	resource, do, err := op.prepare(c, body.Doc)
	if err != nil {
		return err
	}
	if err := s.cfg.Guard.Allow(r.Context(), r, c.Caller, s.service.Name+":"+op.Name, resource); err != nil {
		return err
	}
	if op.events {
		body.Release()
		_, err = do(r.Context(), w, nil)
		return err
	}
	ctx, stop := context.WithTimeout(r.Context(), longest)
	defer stop()
	*out, err = do(ctx, w, *out)
	body.keep(int64(len(*out)))
	return err
}

// share is what a byte of a body takes: itself, what it is decoded to, the batch.
const share = 3

// body reads a request's body, which is released by the caller.
func (s *Server) body(r *http.Request) (*Body, error) {
	b, err := s.bodies.Read(r.Context(), r, Charge{Most: s.cfg.MaxBody, Share: share, With: s.cfg.MaxAnswer})
	switch {
	case err == nil:
		return b, nil
	case errors.Is(err, ErrNoRoom):
		return nil, noRoom()
	case errors.Is(err, ErrLargeBody):
		return nil, &Error{codeTooLarge, http.StatusRequestEntityTooLarge, "A request may have at most " + mib(s.cfg.MaxBody) + "."}
	}
	return nil, Refuse(codeSerialization, "The body could not be read to its end.")
}

// longest is how long an operation may take. Clients of AWS give up after a minute at most.
const longest = 50 * time.Second

// requestID is a new one, in the form of a UUID.
func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	var t [36]byte
	hex.Encode(t[:8], b[:4])
	hex.Encode(t[9:13], b[4:6])
	hex.Encode(t[14:18], b[6:8])
	hex.Encode(t[19:23], b[8:10])
	hex.Encode(t[24:], b[10:])
	t[8], t[13], t[18], t[23] = '-', '-', '-', '-'
	return string(t[:])
}

// extendedID is what AWS's support asks for beside the request's id; it says nothing here, and clients print it.
func extendedID() string {
	var b [48]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.StdEncoding.EncodeToString(b[:])
}

func mib(n int64) string { return strconv.FormatInt(n>>20, 10) + " MiB" }
