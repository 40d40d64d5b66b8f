package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// How often the state of things is shown: on a terminal in one line that is written again and again, else in a line each
// time that it changed.
const (
	liveEvery  = 250 * time.Millisecond
	plainEvery = 2 * time.Second
	clearLine  = "\r\x1b[K"
	maxLags    = 4 // shards whose lag is shown, those furthest behind
)

// progress counts what workers do, and shows it.
type progress struct {
	out    io.Writer
	quiet  bool // only what goes wrong is shown
	silent bool // nothing is: a log tells it
	began  time.Time
	text   func(sum runSummary, rate float64) string // what a line says

	mu     sync.Mutex // guards what follows, and writes to out
	live   bool       // out is a terminal
	width  int        // of it
	shown  string     // the live line that stands at the end of out
	sum    runSummary
	lag    map[core.ShardID]time.Duration // of the last batch read
	before time.Time                      // when the rate was taken
	bytes  int64                          // read by then
}

// runSummary is what a run did.
type runSummary struct {
	Records int64   `json:"records"`
	Bytes   int64   `json:"bytes"`
	Written int64   `json:"written"`
	Dead    int64   `json:"dead"`
	Files   int64   `json:"files"`
	Seconds float64 `json:"seconds"`
}

func (a *app) newProgress() *progress {
	now := time.Now()
	p := &progress{out: a.err, quiet: a.quiet, began: now, text: runSummary.text, before: now, lag: map[core.ShardID]time.Duration{}}
	if f, ok := a.err.(*os.File); ok && !a.quiet && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" { //nolint:gosec // a descriptor
		if width, _, err := term.GetSize(int(f.Fd())); err == nil { //nolint:gosec // a descriptor
			p.live, p.width = true, width
		}
	}
	return p
}

// printf prints a line above the live one, unless nothing is to be shown.
func (p *progress) printf(format string, args ...any) {
	if !p.quiet {
		p.warnf(format, args...)
	}
}

// warnf prints a line in any case.
func (p *progress) warnf(format string, args ...any) {
	if !p.silent {
		_, _ = fmt.Fprintf(p, format+"\n", args...)
	}
}

// Write prints whole lines above the live one: a log shares the terminal.
func (p *progress) Write(lines []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := string(lines)
	if p.shown != "" {
		text = clearLine + text + p.shown
	}
	_, err := io.WriteString(p.out, text)
	return len(lines), err
}

// events tells the progress what a worker does.
// name is the pipeline's where there are several.
func (p *progress) events(name string) *connectors.Events {
	if name != "" {
		name = " pipeline=" + name
	}
	return &connectors.Events{
		Read: func(b core.Batch, lag time.Duration) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.sum.Records += b.Records
			p.sum.Bytes += b.Bytes
			p.lag[b.Shard] = lag
		},
		Lease: func(shard core.ShardID, state string) {
			if state == "released" {
				p.mu.Lock()
				defer p.mu.Unlock()
				delete(p.lag, shard)
			}
		},
		Resumed: func(plan connectors.Plan) {
			p.printf("resumed   %s plan=%d, which an earlier run left open", name, plan.Number)
		},
		Retry: func(what string, attempt int, wait time.Duration, err error) {
			p.warnf("retry     %s %s attempt=%d in=%s: %v", name, what, attempt, wait.Round(time.Millisecond), err)
		},
		Checkpoint: func(plan connectors.Plan, took time.Duration) {
			var c connectors.Counts
			for _, s := range plan.Spans {
				c = c.Add(s.Counts)
			}
			p.mu.Lock()
			p.sum.Written += c.Written
			p.sum.Dead += c.Dead
			p.sum.Files += int64(len(plan.Outputs))
			p.mu.Unlock()
			p.printf("flushed   %s plan=%d reason=%s files=%d rows=%s dead=%d took=%s", name, plan.Number, plan.Reason, len(plan.Outputs),
				humanize.Comma(c.Written), c.Dead, took.Round(time.Millisecond))
		},
	}
}

// watch shows how far things are until ctx ends.
func (p *progress) watch(ctx context.Context) {
	if p.quiet || p.silent {
		return
	}
	p.mu.Lock()
	live, every := p.live, plainEvery
	p.mu.Unlock()
	if live {
		every = liveEvery
	}
	t := time.NewTicker(every)
	defer t.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			if live {
				p.redraw(now)
			} else if line := p.line(now); line != last {
				last = line
				p.printf("%s", line)
			}
		}
	}
}

// redraw writes the live line anew.
func (p *progress) redraw(now time.Time) {
	line := p.line(now)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.live {
		return // finished meanwhile
	}
	if r := []rune(line); len(r) >= p.width && p.width > 0 {
		line = string(r[:p.width-1]) // a longer one would wrap, and not be cleared whole
	}
	p.shown = line
	_, _ = io.WriteString(p.out, clearLine+line)
}

// line is how far things are, with the rate since the line before.
func (p *progress) line(now time.Time) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := max(now.Sub(p.before).Seconds(), 1e-3)
	rate := float64(p.sum.Bytes-p.bytes) / 1e6 / s
	p.before, p.bytes = now, p.sum.Bytes
	return p.text(p.sum, rate) + p.lags()
}

// lags are the shards furthest behind.
func (p *progress) lags() string {
	shards := slices.Collect(maps.Keys(p.lag))
	slices.SortFunc(shards, func(a, b core.ShardID) int {
		return cmp.Or(cmp.Compare(p.lag[b], p.lag[a]), cmp.Compare(a, b))
	})
	var out strings.Builder
	for i, id := range shards {
		if i == maxLags {
			fmt.Fprintf(&out, " and %d shards more", len(shards)-i)
			break
		}
		fmt.Fprintf(&out, " %s:%s", shortShard(id), p.lag[id].Round(100*time.Millisecond))
	}
	if out.Len() == 0 {
		return ""
	}
	return " lag" + out.String()
}

// shortShard is a shard's number, or the beginning of a name that has none.
func shortShard(id core.ShardID) string {
	if number, ok := strings.CutPrefix(string(id), "shardId-"); ok {
		return cmp.Or(strings.TrimLeft(number, "0"), "0")
	}
	return string(id)[:min(len(id), 8)]
}

func (s runSummary) text(rate float64) string {
	return fmt.Sprintf("read       records=%s MB/s=%.1f written=%s files=%d dead=%d", humanize.Comma(s.Records), rate, humanize.Comma(s.Written), s.Files, s.Dead)
}

// add counts records that were put.
func (p *progress) add(records, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sum.Records += records
	p.sum.Bytes += bytes
}

// clear takes the live line away for good.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown != "" {
		_, _ = io.WriteString(p.out, clearLine)
	}
	p.shown, p.live = "", false
}

// finish takes the live line away, shows what was done in all and returns it.
func (p *progress) finish() runSummary {
	p.clear()
	p.mu.Lock()
	p.sum.Seconds = time.Since(p.began).Seconds()
	sum := p.sum
	p.mu.Unlock()
	p.printf("%s", p.text(sum, float64(sum.Bytes)/1e6/max(sum.Seconds, 1e-3)))
	return sum
}
