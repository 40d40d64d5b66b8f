// Package adaptive sends as many requests at once as a server takes, and finds out how many that are.
//
// The one idea is that of TCP: each answer lets a little more be under way, and one that says "too much" cuts it, once for all
// that were under way then. It knows no destination: whoever sends says what an error means.
package adaptive

import (
	"context"
	"sync"
)

// Bounds of how many requests are under way.
const (
	begin = 8.0
	cut   = 0.7 // of what was under way
)

// Limit is how many requests a server takes at once. It is safe for concurrent use.
type Limit struct {
	most float64

	mu      sync.Mutex // guards what follows
	allowed float64
	active  int
	cuts    int           // so far
	freed   chan struct{} // closed when somebody may enter
}

// New returns a limit that grows to most at the highest.
func New(most int) *Limit {
	return &Limit{most: float64(most), allowed: min(begin, float64(most)), freed: make(chan struct{})}
}

// Allowed is how many requests may be under way now.
func (l *Limit) Allowed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int(l.allowed)
}

// pass is the right of one request to be under way.
type pass struct {
	limit *Limit
	cuts  int // when it began
}

// enter waits until another request may be under way.
func (l *Limit) enter(ctx context.Context) (*pass, error) {
	for {
		l.mu.Lock()
		if l.active < int(l.allowed) {
			l.active++
			p := &pass{l, l.cuts}
			l.mu.Unlock()
			return p, ctx.Err()
		}
		freed := l.freed
		l.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (p *pass) leave() {
	p.limit.mu.Lock()
	defer p.limit.mu.Unlock()
	p.limit.active--
	p.limit.free()
}

// free has those who wait look again. l.mu is held.
func (l *Limit) free() {
	close(l.freed)
	l.freed = make(chan struct{})
}

// succeeded lets one more request be under way for each round of them that succeeds.
func (p *pass) succeeded() {
	l := p.limit
	l.mu.Lock()
	defer l.mu.Unlock()
	l.allowed = min(l.most, l.allowed+1/l.allowed)
	l.free()
}

// throttled cuts what may be under way, unless that was done since the request began.
func (p *pass) throttled() {
	l := p.limit
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.cuts == l.cuts {
		l.allowed = max(1, l.allowed*cut)
		l.cuts++
	}
	p.cuts = l.cuts
}
