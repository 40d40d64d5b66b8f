package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// progress counts what workers do and prints a line now and then.
type progress struct {
	out     io.Writer
	began   time.Time
	records atomic.Int64
	bytes   atomic.Int64
	dead    atomic.Int64
	written atomic.Int64
	files   atomic.Int64

	mu   sync.Mutex // guards out
	last string
}

func newProgress(out io.Writer) *progress { return &progress{out: out, began: time.Now()} }

func (p *progress) printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = fmt.Fprintf(p.out, format+"\n", args...)
}

// events tells the progress what a worker does.
func (p *progress) events() *connectors.Events {
	return &connectors.Events{
		Read: func(b core.Batch, _ time.Duration) {
			p.records.Add(b.Records)
			p.bytes.Add(b.Bytes)
		},
		Resumed: func(plan connectors.Plan) {
			p.printf("resumed    plan=%d, which an earlier run left open", plan.Number)
		},
		Retry: func(what string, attempt int, wait time.Duration, err error) {
			p.printf("retry      %s attempt=%d in=%s: %v", what, attempt, wait.Round(time.Millisecond), err)
		},
		Checkpoint: func(plan connectors.Plan, took time.Duration) {
			var c connectors.Counts
			for _, s := range plan.Spans {
				c = c.Add(s.Counts)
			}
			p.written.Add(c.Written)
			p.dead.Add(c.Dead)
			p.files.Add(int64(len(plan.Outputs)))
			p.printf("flushed    plan=%d reason=%s files=%d rows=%s dead=%d took=%s", plan.Number, plan.Reason, len(plan.Outputs),
				humanize.Comma(c.Written), c.Dead, took.Round(time.Millisecond))
		},
	}
}

// watch prints how far things are, every few seconds, until ctx ends.
func (p *progress) watch(ctx context.Context) {
	t := time.NewTicker(2 * time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if line := p.line(); line != p.last {
				p.last = line
				p.printf("%s", line)
			}
		}
	}
}

func (p *progress) line() string {
	s := time.Since(p.began).Seconds()
	return fmt.Sprintf("read       records=%s MB/s=%.1f written=%s files=%d dead=%d", humanize.Comma(p.records.Load()),
		float64(p.bytes.Load())/1e6/s, humanize.Comma(p.written.Load()), p.files.Load(), p.dead.Load())
}
