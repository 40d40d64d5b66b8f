package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"

	"github.com/penstock/penstock/core/memory"
	"github.com/penstock/penstock/pipelines"
	"github.com/penstock/penstock/pipelines/metrics"
)

// admin answers how the process does. A nil admin is one that was not asked for.
type admin struct {
	server *http.Server
	ready  atomic.Bool
	node   atomic.Pointer[pipelines.Node]
	status atomic.Pointer[status]
}

const maxAdminConns = 32

// openAdmin listens where the flags say; it returns nil where they say nothing.
func openAdmin(ctx context.Context, c runConfig, m *metrics.Metrics) (*admin, error) {
	if c.admin == "" {
		if c.pprof || c.public {
			return nil, errors.New("--pprof and --admin-public need --admin, such as --admin 127.0.0.1:4568")
		}
		return nil, nil
	}
	var cfg net.ListenConfig
	l, err := cfg.Listen(ctx, "tcp", c.admin)
	if err != nil {
		return nil, fmt.Errorf("--admin %s: %w", c.admin, err)
	}
	local := l.Addr().(*net.TCPAddr).IP.IsLoopback()
	if !local && !c.public {
		return nil, errors.Join(fmt.Errorf("--admin %s can be reached from other machines, and asks nobody who they are: use 127.0.0.1, or pass --admin-public", c.admin), l.Close())
	}
	a := &admin{}
	a.show(newStatus())
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler())
	mux.HandleFunc("GET /healthz", a.healthz)
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { a.status.Load().serve(w) })
	if c.pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	}
	a.server = &http.Server{
		Handler: localOnly(local, mux), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 2 * time.Minute,
		IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
	}
	go a.server.Serve(netutil.LimitListener(l, maxAdminConns)) //nolint:errcheck // it ends with Close
	return a, nil
}

// localOnly refuses requests that a browser was led to send here by a name that is not this machine's.
func localOnly(local bool, next http.Handler) http.Handler {
	if !local {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if bySocket(r) { // as no browser comes
			next.ServeHTTP(w, r)
			return
		}
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "this address is for 127.0.0.1 and localhost", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// healthz says whether the process can go on. It cannot once the log has failed; it can while a destination does not answer,
// which starting it again would not cure.
func (a *admin) healthz(w http.ResponseWriter, _ *http.Request) {
	if n := a.node.Load(); n != nil {
		select {
		case <-n.Failed():
			http.Error(w, "the log failed: start penstock again", http.StatusServiceUnavailable)
			return
		default:
		}
	}
	_, _ = fmt.Fprintln(w, "ok")
}

// readyz says whether the pipelines run.
func (a *admin) readyz(w http.ResponseWriter, _ *http.Request) {
	if !a.ready.Load() {
		http.Error(w, "not running", http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, "ok")
}

func (a *admin) setReady(ready bool) {
	if a != nil {
		a.ready.Store(ready)
	}
}

// show makes s what /status says.
func (a *admin) show(s *status) {
	if a != nil {
		a.status.Store(s)
	}
}

// watch makes the health of n that of the process.
func (a *admin) watch(n *pipelines.Node) {
	if a != nil {
		a.node.Store(n)
	}
}

func (a *admin) close() {
	if a != nil {
		_ = a.server.Close() // nothing is asked any more that matters
	}
}

// gauges are the figures of the memory.
func gauges(m *metrics.Metrics, b *memory.Budget) {
	m.Gauge("memory_budget_bytes", "The memory that --memory allows the process.", nil, func() float64 { return float64(b.Total()) })
	const help = "The part of the memory that is used: batches being read, or flushes being gathered and written."
	m.Gauge("memory_used_bytes", help, map[string]string{"part": "reading"}, func() float64 {
		reading, _ := b.Used()
		return float64(reading)
	})
	m.Gauge("memory_used_bytes", help, map[string]string{"part": "staging"}, func() float64 {
		_, staging := b.Used()
		return float64(staging)
	})
}
