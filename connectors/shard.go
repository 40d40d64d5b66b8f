package connectors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/memory"
	"github.com/penstock/penstock/core/vfs"
)

// item is what a shard's reader hands to the session: a batch and what became of it, or the end of the reading.
type item struct {
	from    *reading
	raw     core.Batch
	outcome outcome
	room    *memory.Room
	ended   bool // the shard is closed and read to its end
	reached bool // the reader got as far as it was asked to
	err     error
}

func (i item) release() {
	i.raw.Release()
	i.outcome.rows.Release()
	i.room.Give()
}

// reading is a shard that a session reads.
type reading struct {
	shard  Shard
	lease  *lease.Lease
	place  place
	target core.SequenceNumber // read through it, then stop; empty: to the end
	chase  bool                // read what is there, then stop
	live   bool                // its reader runs
	stop   context.CancelFunc  // ends its reader; nil if it never ran

	leaving bool // another worker asks for it
}

// halt ends the shard's reader. What it hands over from now on is not taken.
func (r *reading) halt() {
	r.live = false
	if r.stop != nil {
		r.stop()
	}
}

// lost reports whether the shard's lease is known to be lost.
func (r *reading) lost() bool {
	select {
	case <-r.lease.Lost():
		return true
	default:
		return false
	}
}

// readShard reads one shard from its place on, decodes, sends rows through the stages and hands them over, until the
// shard's end, its target or the end of ctx.
func (s *session) readShard(ctx context.Context, r *reading) {
	err := s.readLoop(ctx, r)
	if ctx.Err() != nil {
		return
	}
	out := item{from: r, err: err}
	switch {
	case errors.Is(err, io.EOF):
		out.ended, out.err = true, nil
	case err == nil, errors.Is(err, ErrCaughtUp):
		out.reached, out.err = true, nil
	}
	s.send(ctx, out)
}

// readLoop returns nil when the target is reached, io.EOF at the shard's end.
func (s *session) readLoop(ctx context.Context, r *reading) error {
	read := s.w.cfg.Source.Read
	if c, ok := s.w.cfg.Source.(Chaser); ok && r.chase {
		read = c.Chase
	}
	var in Reader
	err := s.whenItMay(ctx, func() (err error) {
		in, err = read(ctx, r.shard.ID, r.place.from)
		return err
	})
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // a reader has nothing to lose
	ctx, stop := context.WithCancel(ctx)
	batches := s.readAhead(ctx, r, in)
	defer func() {
		stop()
		for d := range batches { // the reader is not in use any more when they end
			d.drop()
		}
	}()
	for d := range batches {
		if d.err != nil {
			return d.err
		}
		o, err := s.settle(ctx, d)
		if err != nil {
			d.raw.Release()
			d.room.Give()
			return err
		}
		s.w.cfg.Events.read(d.raw, lag(d.raw))
		if !s.send(ctx, item{from: r, raw: d.raw, outcome: o, room: d.room}) {
			return ctx.Err()
		}
	}
	return ctx.Err()
}

const (
	batchRoom = 8 << 20                // taken for a batch that is not read yet: a large one, raw and decoded
	tipWait   = 100 * time.Millisecond // a reader that waits longer has read everything
)

// next reads the next batch. Room for a large one is taken before, so that readers of many shards that are behind do not
// all hold one; it is given back while the reader waits at the tip, where batches are small.
func (s *session) next(ctx context.Context, in Reader) (core.Batch, *memory.Room, error) {
	room, err := s.w.memory.Take(ctx, batchRoom)
	if err != nil {
		return core.Batch{}, nil, err
	}
	t := time.AfterFunc(tipWait, room.Give)
	raw, err := s.read(ctx, in)
	if !t.Stop() {
		room.Give() // now, and not at a later moment, when it is the batch's
	}
	if err != nil {
		room.Give()
		return raw, nil, err
	}
	need := 2*raw.Bytes + 64*raw.NumRows()
	if room.Shrink(need) {
		return raw, room, nil
	}
	room.Give() // before more is taken: who holds must not wait
	if room, err = s.w.memory.Take(ctx, need); err != nil {
		raw.Release()
	}
	return raw, room, err
}

// read is what the reader has next.
func (s *session) read(ctx context.Context, in Reader) (raw core.Batch, err error) {
	err = s.whenItMay(ctx, func() (err error) {
		raw, err = in.Next(ctx)
		return err
	})
	return raw, err
}

// whenItMay calls f, which reads. While something else than records has to be waited for, such as a key service that is
// away or a descriptor, that is told and it is called again.
func (s *session) whenItMay(ctx context.Context, f func() error) (err error) {
	waited := s.w.retry(ctx, "read", func() error {
		if err = f(); errors.Is(err, core.ErrThrottled) || vfs.Scarce(err) {
			return err
		}
		return nil
	})
	if waited != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// send hands an item over; false when ctx ended first, and then the item is released.
func (s *session) send(ctx context.Context, i item) bool {
	select {
	case s.items <- i:
		return true
	case <-ctx.Done():
		i.release()
		return false
	}
}

// lag is how long ago the last record of raw arrived.
func lag(raw core.Batch) time.Duration {
	n := raw.Arrivals().Len()
	if n == 0 {
		return 0
	}
	return max(0, time.Since(time.UnixMilli(int64(raw.Arrivals().Value(n-1)))))
}

// attach finishes the plan that the last holder of a shard left open, and begins to read where it stands. A shard that is
// gone has nothing to read: that is counted as lost.
func (s *session) attach(reading, writing context.Context, shard Shard, l *lease.Lease, gone bool, why string) error {
	s.w.cfg.Events.lease(shard.ID, "held")
	prog, err := s.settled(writing, shard.ID)
	if err != nil {
		return err
	}
	r := newReading(shard, l, s.w.cfg.Source.ID(), prog)
	s.shard[shard.ID] = r
	switch {
	case prog.Ended:
		return nil
	case gone:
		return s.lost(writing, r, Gap{From: r.place.from, Why: why}, true)
	}
	if err := s.pastGap(reading, writing, r); err != nil {
		return err
	}
	s.start(reading, r)
	return nil
}

func newReading(shard Shard, l *lease.Lease, source string, p Progress) *reading {
	return &reading{
		shard: shard, lease: l,
		place: place{source: source, from: p.Checkpoint, proofFrom: p.ProofFrom, carried: p.Carried, lost: p.Unproven()},
	}
}

// settled is how far a shard got, once no plan of it is open.
func (s *session) settled(ctx context.Context, id core.ShardID) (Progress, error) {
	w := s.w
	for {
		row, prog, err := loadRow[Progress](ctx, w.cfg.Store, w.keys.shard(w.incarnation, w.cfg.Source.ID(), id))
		switch {
		case err != nil:
			return prog, err
		case row.Version == 0:
			if err := w.standing(ctx); err != nil {
				return prog, err
			}
			return prog, Permanent(fmt.Errorf("checkpoint of %s is missing from the control store", id))
		case prog.Begin != nil:
			if err := w.arrive(ctx, row, prog); err != nil {
				return prog, err
			}
			continue
		case prog.OpenPlan == 0:
			return prog, nil
		}
		if err := w.resume(ctx, prog.OpenPlan); err != nil {
			return prog, err
		}
	}
}
