package connectors

import (
	"context"
	"errors"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog"
)

// patient is the store of a worker. A commit that the control log has no room for, on a disk that is full or while too much
// else waits for it, waits too: the pipeline goes on when there is room, as puts do.
type patient struct {
	lease.Store
	w *Worker
}

// Commit waits for room.
func (p patient) Commit(ctx context.Context, t control.Txn) (version int64, err error) {
	err = p.w.whenRoom(ctx, func() error {
		version, err = p.Store.Commit(ctx, t)
		return err
	})
	return version, err
}

// whenRoom calls f, which commits, until the control log has room. Nothing was written when it had none.
func (w *Worker) whenRoom(ctx context.Context, f func() error) (err error) {
	_ = w.retry(ctx, "commit", func() error {
		if err = f(); errors.Is(err, shardlog.ErrFull) || errors.Is(err, core.ErrThrottled) {
			return err
		}
		return nil
	})
	return err
}
