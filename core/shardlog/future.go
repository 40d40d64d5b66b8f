package shardlog

import "context"

// Future is the outcome of an append, later.
type Future struct {
	done chan struct{}
	pos  Pos
	err  error
}

// NewFuture returns a future to be resolved once, by an engine.
func NewFuture() *Future { return &Future{done: make(chan struct{})} }

// Resolve sets the outcome. An engine calls it exactly once.
func (f *Future) Resolve(pos Pos, err error) {
	f.pos, f.err = pos, err
	close(f.done)
}

// Done is closed when the outcome is known.
func (f *Future) Done() <-chan struct{} { return f.done }

// Wait returns the entry's position once it is durable, the append's error, or ctx's; after ctx's the outcome may
// still come.
func (f *Future) Wait(ctx context.Context) (Pos, error) {
	select {
	case <-f.done:
		return f.pos, f.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
