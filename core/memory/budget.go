package memory

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/penstock/penstock/core"
)

// Bounds of a budget.
const (
	Min     = 128 << 20
	Default = 512 << 20

	// program is the part of the resident memory that the runtime does not know of: the pages of the executable itself.
	program = 48 << 20
)

// Budget is the memory of one process. It is safe for concurrent use; a nil Budget has no bounds.
type Budget struct {
	total int64

	mu       sync.Mutex // guards what follows, and what is in accounts and holders
	read     int64      // taken by readers
	waiting  []*waiter  // in the order of their coming
	staged   int64      // in accounts
	accounts map[*Account]bool
}

// New returns a budget of total bytes, or an error if that is less than a process can do with.
func New(total int64) (*Budget, error) {
	if total < Min {
		return nil, fmt.Errorf("memory of %d bytes, a process needs at least %d MiB: %w", total, Min>>20, core.ErrInvalid)
	}
	return &Budget{total: total, accounts: map[*Account]bool{}}, nil
}

// Limit makes the runtime collect garbage rather than grow past the budget.
func (b *Budget) Limit() { debug.SetMemoryLimit(b.heap()) }

// heap is what the runtime may have.
func (b *Budget) heap() int64 { return b.total - program }

// Total is the size of the budget.
func (b *Budget) Total() int64 { return b.total }

// The parts of a budget, of what the program itself leaves. What is left of that, an eighth, is for the runtime, encoders at
// work and everything small; the append queue is seldom full.

// HotTail is for the recent entries of the log.
func (b *Budget) HotTail() int64 { return b.heap() / 8 }

// Queue is for appends that wait for their group.
func (b *Budget) Queue() int64 { return b.heap() / 8 }

// Reading is for batches between a source and a flush.
func (b *Budget) Reading() int64 { return b.heap() / 8 }

// Staging is for flushes that are gathered or written.
func (b *Budget) Staging() int64 {
	if b == nil {
		return 0
	}
	return b.heap() / 2
}

// Used is what readers and flushes hold now.
func (b *Budget) Used() (reading, staging int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.read, b.staged
}

// Holder is one pipeline among those that share a budget.
type Holder struct {
	b    *Budget
	read int64
}

// waiter is a reader that waits for room.
type waiter struct {
	h    *Holder
	n    int64
	room chan struct{}
}

// Holder returns a new sharer of the budget.
func (b *Budget) Holder() *Holder { return &Holder{b: b} }

// Take waits until there is room for n bytes, or for as much as there can ever be. A holder that has nothing gets it at
// once, so one whose batches stand still does not keep the others from going on.
func (h *Holder) Take(ctx context.Context, n int64) (*Room, error) {
	if h == nil || h.b == nil {
		return &Room{}, nil
	}
	b := h.b
	n = min(n, b.Reading())
	b.mu.Lock()
	if len(b.waiting) == 0 && b.fits(n) || h.read == 0 {
		b.hold(h, n)
		b.mu.Unlock()
		return &Room{h: h, n: n}, nil
	}
	w := &waiter{h, n, make(chan struct{})}
	b.waiting = append(b.waiting, w)
	b.mu.Unlock()
	select {
	case <-w.room:
		return &Room{h: h, n: n}, nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, other := range b.waiting {
		if other == w {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			b.admit() // it may have stood before others that fit
			return nil, ctx.Err()
		}
	}
	b.hold(h, -n) // the room came at the same moment
	b.admit()
	return nil, ctx.Err()
}

// The callers of what follows hold b.mu.

func (b *Budget) fits(n int64) bool { return b.read+n <= b.Reading() }

func (b *Budget) hold(h *Holder, n int64) {
	h.read += n
	b.read += n
}

// admit lets those in who wait, in order: as long as there is room, and anyone who has nothing.
func (b *Budget) admit() {
	kept := b.waiting[:0]
	full := false
	for _, w := range b.waiting {
		if full = full || !b.fits(w.n); full && w.h.read > 0 {
			kept = append(kept, w)
			continue
		}
		b.hold(w.h, w.n)
		close(w.room)
	}
	clear(b.waiting[len(kept):])
	b.waiting = kept
}

// Room is bytes that were taken.
type Room struct {
	h *Holder
	n int64 // guarded by the budget's mutex
}

// Shrink gives back what is more than n bytes, and reports whether n bytes or more were held.
func (r *Room) Shrink(n int64) bool {
	if r.h == nil {
		return true
	}
	b := r.h.b
	b.mu.Lock()
	defer b.mu.Unlock()
	n = min(n, b.Reading())
	if r.n < n {
		return false
	}
	b.hold(r.h, n-r.n)
	r.n = n
	b.admit()
	return true
}

// Give gives everything back. It may be called more than once.
func (r *Room) Give() {
	if r != nil {
		r.Shrink(0)
	}
}
