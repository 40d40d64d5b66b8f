package local

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
)

// writer appends to one log under one epoch.
type writer struct {
	e      *Engine
	id     shardlog.LogID
	epoch  shardlog.Epoch
	closed atomic.Bool
}

var _ shardlog.Writer = (*writer)(nil)

// Append encodes b at once, in the caller's goroutine, and queues it.
func (w *writer) Append(expect shardlog.Pos, b shardlog.Batch) *shardlog.Future {
	if err := w.check(b); err != nil {
		return refused(err)
	}
	s, payload, err := w.e.codecs.encode(b.Rows)
	if err != nil {
		return refused(err)
	}
	if payload.size > maxPayload {
		return refused(fmt.Errorf("a batch of %d bytes, the log takes %d: %w", payload.size, maxPayload, core.ErrInvalid))
	}
	b.Rows.Retain()
	return w.e.submit(&op{
		kind: shardlog.KindData, id: w.id, epoch: w.epoch, expect: expect, batch: b, schema: s, payload: payload,
	})
}

// maxPayload leaves a group room for the states and schemas that may stand before an entry.
const maxPayload = maxGroup / 2

func (w *writer) check(b shardlog.Batch) error {
	switch {
	case w.closed.Load():
		return shardlog.ErrClosed
	case b.Rows == nil || b.Rows.NumRows() == 0:
		return fmt.Errorf("a batch without rows: %w", core.ErrInvalid)
	case b.Rows.NumRows() > shardlog.MaxRows:
		return fmt.Errorf("a batch of %d rows, the log takes %d: %w", b.Rows.NumRows(), shardlog.MaxRows, core.ErrInvalid)
	}
	return nil
}

func refused(err error) *shardlog.Future {
	f := shardlog.NewFuture()
	f.Resolve(0, err)
	return f
}

// Seal ends the log.
func (w *writer) Seal(ctx context.Context) (shardlog.Pos, error) {
	if w.closed.Load() {
		return 0, shardlog.ErrClosed
	}
	return w.e.submit(&op{kind: shardlog.KindSeal, id: w.id, epoch: w.epoch}).Wait(ctx)
}

// Close gives the writer up; what is queued completes.
func (w *writer) Close() error {
	w.closed.Store(true)
	return nil
}
