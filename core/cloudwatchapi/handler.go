package cloudwatchapi

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/memory"
)

// target names the service, in X-Amz-Target and in paths of RPC v2.
const target = "GraniteServiceVersion20100801"

// operation is the one that there is.
const operation = "PutMetricData"

// Config has the handler's settings; zero means the documented default.
type Config struct {
	Guard   awsapi.Guard   // decides who may do what. There is no default
	Memory  *memory.Budget // of the process; nil: without bounds
	Log     *slog.Logger   // failures of the server. Default: none
	Observe func(Outcome)  // told of every request. May be nil
}

// Outcome is what became of a request.
type Outcome struct {
	Code    string // of the error; empty if there was none
	Metrics int    // data that were taken, and dropped
	Took    time.Duration
}

// Handler answers requests of CloudWatch's. It is safe for concurrent use.
type Handler struct {
	cfg    Config
	bodies *awsapi.Bodies
}

// New returns a handler. It panics without a guard.
func New(cfg Config) *Handler {
	if cfg.Guard == nil {
		panic("cloudwatchapi: a handler without a guard")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Observe == nil {
		cfg.Observe = func(Outcome) {}
	}
	return &Handler{cfg: cfg, bodies: awsapi.NewBodies(cfg.Memory)}
}

// Match reports whether a request is one of CloudWatch's: by its target, its path, or by a form in the body, which no
// other service of this endpoint takes.
func Match(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("X-Amz-Target"), target+".") || strings.HasPrefix(r.URL.Path, "/service/"+target+"/") || kind(r) == typeForm
}

func kind(r *http.Request) string {
	k, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return k
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began, id := time.Now(), rand.Text()
	p := protocolOf(r)
	n, err := h.serve(r, p)
	o := Outcome{Metrics: n}
	w.Header().Set("X-Amzn-Requestid", id)
	if err == nil {
		p.succeed(w, id)
	} else {
		e := failureOf(err)
		if e.Status >= http.StatusInternalServerError {
			h.cfg.Log.Error("request failed", "request", id, "operation", operation, "error", err)
		}
		o.Code = e.Code
		p.fail(w, id, e)
	}
	o.Took = time.Since(began)
	h.cfg.Observe(o)
}

// serve takes a request and says how many data it has.
func (h *Handler) serve(r *http.Request, p protocol) (int, error) {
	if r.Method != http.MethodPost {
		return 0, unknown("requests are sent with POST, not " + r.Method)
	}
	encoding := r.Header.Get("Content-Encoding")
	body, err := h.bodies.Read(r.Context(), r, awsapi.Charge{Most: maxSent, Share: 1, More: unpacking(encoding, maxSent)})
	if err != nil {
		return 0, unread(err)
	}
	defer body.Release()
	who, err := h.cfg.Guard.Verify(r, body.Doc)
	if err != nil {
		return 0, err
	}
	if op, said := p.operation(r); said && op != operation {
		return 0, unknown("there is no other operation than " + operation)
	}
	if err := h.cfg.Guard.Allow(r.Context(), r, who, "cloudwatch:"+operation, "*"); err != nil {
		return 0, err
	}
	if err := body.Take(unpacking(encoding, int64(len(body.Doc)))); err != nil { // not before it is known who asks for it
		return 0, unread(err)
	}
	doc, err := unpack(encoding, body.Doc)
	if err != nil {
		return 0, err
	}
	in, err := p.read(doc)
	if err != nil {
		return 0, err
	}
	return in.check()
}

func unknown(what string) error { return awsapi.Refuse("InvalidAction", "Not known here: %s.", what) }

// unpacking is the memory that it takes to unpack and read a body.
func unpacking(encoding string, sent int64) int64 { return 3 * unpackedLimit(encoding, sent) }

// unread is why a body was not read.
func unread(err error) error {
	switch {
	case errors.Is(err, awsapi.ErrNoRoom):
		return &awsapi.Error{Code: "ServiceUnavailable", Status: http.StatusServiceUnavailable, Message: "Slow down: no memory is free for another request."}
	case errors.Is(err, awsapi.ErrLargeBody):
		return tooLarge()
	}
	return awsapi.Refuse("MalformedInput", "The body could not be read to its end.")
}
