package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
)

// op is something that the committer is asked to do.
type op struct {
	kind    shardlog.Kind // of the entry that it becomes
	id      shardlog.LogID
	epoch   shardlog.Epoch
	expect  shardlog.Pos // of DATA
	before  shardlog.Pos // of a trim
	floor   shardlog.Pos // of a trim within segments: behind the last entry that goes; 0 if it was not looked up
	batch   shardlog.Batch
	schema  *schema
	payload payload
	future  *shardlog.Future

	// What the committer decided.
	pos    shardlog.Pos
	prev   uint32
	header shardlog.Header
	offset int64 // of the payload in the group
	err    error
	noop   bool // it is so already
}

// cost is about how many bytes an op adds to its group.
func (o *op) cost() int64 { return entryFixed + int64(len(o.id)+o.payload.size) }

// submit queues an op. Its future may be resolved already.
func (e *Engine) submit(o *op) *shardlog.Future {
	o.future = shardlog.NewFuture()
	e.mu.Lock()
	err := e.poison
	switch {
	case err != nil:
	case e.closing:
		err = shardlog.ErrClosed
	case o.kind == shardlog.KindData && !e.vital(o) && e.logBytes > e.cfg.LogSize+4*e.cfg.Queue+e.cfg.FileSize:
		err = fmt.Errorf("%d bytes wait to leave the log for segments: %w", e.logBytes, core.ErrThrottled)
	case e.queued+o.cost() > e.cfg.Queue && len(e.queue) > 0:
		err = fmt.Errorf("%d bytes wait for the log already: %w", e.queued, core.ErrThrottled)
	default:
		e.queue = append(e.queue, o)
		e.queued += o.cost()
	}
	e.mu.Unlock()
	if err != nil {
		o.release()
		o.future.Resolve(0, err)
		return o.future
	}
	e.kick()
	return o.future
}

// roomPoll is how often a writer that waits for room looks again.
const roomPoll = 5 * time.Millisecond

// Room waits until half of the queue is free and the log is far from the size at which it refuses entries.
func (e *Engine) Room(ctx context.Context) error {
	for {
		e.mu.Lock()
		full := e.queued > e.cfg.Queue/2 || e.logBytes > e.cfg.LogSize+2*e.cfg.Queue
		room := !full || e.poison != nil || e.closing
		e.mu.Unlock()
		if room {
			return nil
		}
		select {
		case <-time.After(roomPoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (o *op) release() {
	if o.batch.Rows != nil {
		o.batch.Rows.Release()
		o.batch.Rows = nil
	}
}

// take removes from the queue as many ops as fit into a group, at least one if there is any.
func (e *Engine) take() (ops []*op, closing bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var size int64
	n := 0
	for n < len(e.queue) && (n == 0 || size+e.queue[n].cost() <= e.cfg.GroupSize) {
		size += e.queue[n].cost()
		n++
	}
	ops = e.queue[:n:n]
	e.queue = e.queue[n:]
	if len(e.queue) == 0 {
		e.queue = nil
	}
	e.queued -= size
	return ops, e.closing
}

// Create makes an empty log.
func (e *Engine) Create(ctx context.Context, id shardlog.LogID) error {
	if !validID(id) {
		return fmt.Errorf("log id %q must be 1 to 64 of the characters a-z 0-9 -: %w", id, core.ErrInvalid)
	}
	_, err := e.submit(&op{kind: kindCreate, id: id}).Wait(ctx)
	return err
}

// Delete removes a log.
func (e *Engine) Delete(ctx context.Context, id shardlog.LogID) error {
	_, err := e.submit(&op{kind: kindDelete, id: id}).Wait(ctx)
	return err
}

// Trim forgets the entries before pos; files that hold nothing else are deleted.
func (e *Engine) Trim(ctx context.Context, id shardlog.LogID, before shardlog.Pos) error {
	for {
		floor, err := e.floor(id, before)
		if err == nil {
			_, err = e.submit(&op{kind: kindTrim, id: id, before: before, floor: floor}).Wait(ctx)
		}
		if !errors.Is(err, errMoved) && !errors.Is(err, errGone) {
			return err
		}
	}
}

// errMoved says that entries left the commit log since they were looked up there.
var errMoved = errors.New("the entries were moved to a segment")

// Claim makes the caller the log's only writer.
func (e *Engine) Claim(ctx context.Context, id shardlog.LogID, epoch shardlog.Epoch, by shardlog.WriterID) (shardlog.Writer, shardlog.Tail, error) {
	if _, err := e.submit(&op{kind: shardlog.KindOpen, id: id, epoch: epoch}).Wait(ctx); err != nil {
		return nil, shardlog.Tail{}, fmt.Errorf("claim %s for %s: %w", id, by, err)
	}
	tail, err := e.Tail(ctx, id)
	return &writer{e: e, id: id, epoch: epoch}, tail, err
}

func validID(id shardlog.LogID) bool {
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return len(id) > 0 && len(id) <= 64
}
