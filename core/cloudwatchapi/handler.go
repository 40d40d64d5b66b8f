package cloudwatchapi

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
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
	memory *memory.Holder
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
	return &Handler{cfg: cfg, memory: cfg.Memory.Holder()}
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
	sent, release, err := h.body(r)
	if err != nil {
		return 0, err
	}
	defer release()
	who, err := h.cfg.Guard.Verify(r, sent)
	if err != nil {
		return 0, err
	}
	if op, said := p.operation(r); said && op != operation {
		return 0, unknown("there is no other operation than " + operation)
	}
	if err := h.cfg.Guard.Allow(r.Context(), r, who, "cloudwatch:"+operation, "*"); err != nil {
		return 0, err
	}
	doc, err := unpack(r.Header.Get("Content-Encoding"), sent)
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

// body reads what was sent; memory for it and for what it is unpacked to is taken before.
func (h *Handler) body(r *http.Request) (sent []byte, release func(), err error) {
	size := r.ContentLength
	if size < 0 {
		size = maxSent // in chunks: it may become as large
	}
	if size > maxSent {
		return nil, nil, tooLarge()
	}
	waiting, stop := context.WithTimeout(r.Context(), room)
	defer stop()
	taken, err := h.memory.Take(waiting, size+3*unpackedLimit(r.Header.Get("Content-Encoding"), size))
	if err != nil {
		return nil, nil, &awsapi.Error{Code: "ServiceUnavailable", Status: http.StatusServiceUnavailable, Message: "Slow down: no memory is free for another request."}
	}
	sent, err = io.ReadAll(http.MaxBytesReader(nil, r.Body, maxSent))
	if err != nil {
		taken.Give()
		if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
			return nil, nil, tooLarge()
		}
		return nil, nil, awsapi.Refuse("MalformedInput", "The body could not be read to its end.")
	}
	return sent, taken.Give, nil
}
