package connectors

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/memory"
	"github.com/penstock/penstock/core/shardlog"
)

// session is one run of the worker, until a checkpoint turns out to be elsewhere than it should. Readers, one a shard, hand batches to one goroutine
// that gathers flushes; one plan at a time is carried out beside it.
type session struct {
	w        *Worker
	items    chan item
	known    map[core.ShardID]Shard
	shard    map[core.ShardID]*reading // attached
	progress map[core.ShardID]Progress // at the last sync
	shared   map[string]bool           // what the leases' manager was told
	flush    *flush
	doing    *execution
	failed   int64 // number of the plan that could not be carried out, which ends the session

	readers sync.WaitGroup
}

// execution is a plan being carried out.
type execution struct {
	number  int64
	staging Staging
	memory  *memory.Account
	done    chan error
}

// session reads, gathers and flushes until the source ends, ctx ends or something cannot go on.
func (w *Worker) session(ctx context.Context) error {
	s := &session{
		w: w, items: make(chan item, 2), known: map[core.ShardID]Shard{}, shard: map[core.ShardID]*reading{},
	}
	reading, stopReading := context.WithCancel(ctx)
	writing, stopWriting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWriting()
	unhook := context.AfterFunc(ctx, func() {
		t := time.NewTimer(w.cfg.Drain)
		defer t.Stop()
		select {
		case <-t.C:
			stopWriting()
		case <-writing.Done():
		}
	})
	defer unhook()
	err := s.run(reading, writing)
	stopReading()
	s.readers.Wait()
	s.dropItems()
	left := s.left()
	paused := errors.Is(err, ErrPaused)
	switch {
	case paused:
		w.tell(Pausing)
		err = s.close(writing, reasonPaused)
	case ctx.Err() != nil && (err == nil || errors.Is(err, ctx.Err()) && s.failed == 0):
		err = s.close(writing, reasonShutdown)
	}
	if err = s.end(writing, left, err); err == nil && paused {
		err = ErrPaused
	}
	return err
}

// ErrNotDrained says that the drain time ended before what was gathered was delivered. Nothing is lost: the next run
// finishes the open plan, and reads the rest again from the checkpoints.
var ErrNotDrained = errors.New("the drain time ended before everything was delivered; the next run delivers it")

// end waits for the plan in hand and drops what was not planned. left is what was not delivered when
// the end began.
func (s *session) end(writing context.Context, left string, err error) error {
	if werr := s.wait(writing); err == nil {
		err = werr
	}
	if err != nil && writing.Err() != nil && !IsPermanent(err) {
		err = fmt.Errorf("%w (%s): %w", ErrNotDrained, left, err)
	}
	if s.flush != nil {
		err = errors.Join(err, s.flush.discard())
	}
	return err
}

// left says what is not delivered yet.
func (s *session) left() string {
	out := "no plan is open"
	if s.doing != nil {
		out = fmt.Sprintf("plan %d is open", s.doing.number)
	} else if s.failed != 0 {
		out = fmt.Sprintf("plan %d is open", s.failed)
	}
	if s.flush != nil {
		out += fmt.Sprintf(", %d records are gathered", s.flush.records)
	}
	return out
}

func (s *session) dropItems() {
	for {
		select {
		case i := <-s.items:
			i.release()
		default:
			return
		}
	}
}

// run is the session's loop. It returns nil when the source ends or the worker has caught up.
func (s *session) run(reading, writing context.Context) error {
	if err := s.sync(reading, writing); err != nil {
		return err
	}
	tick := time.NewTicker(s.w.cfg.ShardSync)
	defer tick.Stop()
	for {
		if done, err := s.finished(reading, writing); done || err != nil {
			return err
		}
		var executed chan error
		if s.doing != nil {
			executed = s.doing.done
		}
		age, stop := s.age()
		select {
		case <-reading.Done():
			stop()
			return reading.Err()
		case i := <-s.items:
			stop()
			if err := s.take(reading, writing, i); err != nil {
				return err
			}
			if i.ended {
				if err := s.sync(reading, writing); err != nil {
					return err
				}
			}
		case <-age:
			if err := s.close(writing, reasonAge); err != nil {
				return err
			}
		case <-s.full():
			stop()
			if err := s.relieve(writing); err != nil {
				return err
			}
		case err := <-executed:
			stop()
			if err := s.executed(writing, err); err != nil {
				return err
			}
			if err := s.sync(reading, writing); err != nil {
				return err
			}
		case <-s.w.leases.Changed():
			stop()
			if _, err := s.follow(reading, writing, nil); err != nil {
				return err
			}
		case <-tick.C:
			stop()
			if err := s.sync(reading, writing); err != nil {
				return err
			}
		}
	}
}

// age fires when the flush is as old as it may become.
func (s *session) age() (<-chan time.Time, func()) {
	if s.flush == nil {
		return nil, func() {}
	}
	t := time.NewTimer(time.Until(s.flush.opened.Add(time.Duration(s.w.cfg.Buffer.MaxAge))))
	return t.C, func() { t.Stop() }
}

// full fires when the process needs the memory of the flush.
func (s *session) full() <-chan struct{} {
	if s.flush == nil {
		return nil
	}
	return s.flush.memory.Full()
}

// finished reports whether nothing is left to do, flushing what is gathered once no reader runs.
func (s *session) finished(reading, writing context.Context) (bool, error) {
	finite, ok := s.w.cfg.Source.(Finite)
	if !s.w.cfg.UntilCaughtUp && (!ok || !finite.Finite()) {
		return false, nil
	}
	for _, settle := range []func() error{
		func() error { return s.sync(reading, writing) },
		func() error { return s.close(writing, reasonEnd) },
		func() error { return s.wait(writing) },
		func() error { return s.sync(reading, writing) },
	} {
		if s.reading() {
			return false, nil
		}
		if err := settle(); err != nil {
			return false, err
		}
	}
	return !s.reading() && !s.waiting(), nil
}

// reading reports whether a reader runs, or handed over what is not taken yet.
func (s *session) reading() bool {
	for _, r := range s.shard {
		if r.live {
			return true
		}
	}
	return false
}

// waiting reports whether a shard that should be read is held by another worker, or waits for its parents. Where it cannot be
// known how far a shard goes, one that another worker holds is left to that, if it lives.
func (s *session) waiting() bool {
	_, chases := s.w.cfg.Source.(Chaser)
	for id, shard := range s.known {
		p := s.progress[id]
		if s.shard[id] != nil || p.Ended {
			continue
		}
		if tip := s.w.tips[id]; s.w.cfg.UntilCaughtUp && !shard.Closed && (tip == "" || tip.Compare(p.Checkpoint) <= 0) && (!chases || s.w.leases.Watched()) {
			continue
		}
		return true
	}
	return false
}

// take adds an item to the flush, and closes the flush when it is full.
func (s *session) take(reading, writing context.Context, i item) error {
	defer i.release()
	r := i.from
	id := r.shard.ID
	switch {
	case s.shard[id] != r || r.leaving: // it was read for nothing
		return nil
	case errors.Is(i.err, shardlog.ErrTrimmed):
		return s.skip(reading, writing, r, fmt.Errorf("read %s: %w", id, i.err))
	case i.err != nil:
		return fmt.Errorf("read %s: %w", id, i.err)
	case i.reached:
		r.live = false
		return nil
	case i.ended:
		return s.ended(writing, r)
	}
	r.lease.Count(i.raw.Bytes)
	return s.gather(writing, r, i.raw, i.outcome)
}

// gather adds a batch of r to the flush, and closes the flush when it is full.
func (s *session) gather(ctx context.Context, r *reading, raw core.Batch, o outcome) error {
	if err := s.open(ctx, o.bound); err != nil {
		return err
	}
	err := s.flush.add(ctx, s.w, raw, o, r.place)
	if full := (*OutputsError)(nil); errors.As(err, &full) {
		return s.divide(ctx, r, raw, o, full.Rows)
	}
	if err != nil {
		return err
	}
	switch why := s.flush.full(&s.w.cfg); why {
	case "":
		return nil
	case reasonMemory:
		return s.relieve(ctx)
	default:
		return s.close(ctx, why)
	}
}

// divide gathers a batch of which only the first n rows fit into the flush: the records of these now, the others into the
// next flush. What becomes of records does not depend on their batch, so each part is run anew.
func (s *session) divide(ctx context.Context, r *reading, raw core.Batch, o outcome, n int) error {
	if n == 0 {
		if len(s.flush.spans) == 0 {
			return Permanent(fmt.Errorf("a record of %s after %q needs more outputs than a plan may have", raw.Shard, r.place.from))
		}
		if err := s.close(ctx, reasonOutputs); err != nil || s.shard[raw.Shard] != r {
			return err
		}
		return s.gather(ctx, r, raw, o)
	}
	last := o.rows.SequenceOf(n - 1)
	for _, cut := range []func(core.Batch, core.SequenceNumber) core.Batch{through, after} {
		if s.shard[raw.Shard] != r {
			return nil
		}
		if err := s.gatherPart(ctx, r, cut(raw, last), o.bound); err != nil {
			return err
		}
	}
	return nil
}

// gatherPart runs a part of a batch, which it takes over, and gathers it.
func (s *session) gatherPart(ctx context.Context, r *reading, part core.Batch, b *bound) error {
	defer part.Release()
	o, err := b.run(ctx, part)
	if err != nil {
		return err
	}
	defer o.rows.Release()
	return s.gather(ctx, r, part, o)
}

// relieve gives up memory because the process needs it: rows go to disk; if that is not enough the plan before is waited
// for, as a close would; and only then the flush is closed.
func (s *session) relieve(ctx context.Context) error {
	if s.flush.held < maxLetterBytes {
		if err := s.flush.spill(ctx, s.w); err != nil || !s.flush.memory.IsFull() {
			return err
		}
	}
	if s.doing != nil && s.flush.held < maxLetterBytes {
		if err := s.wait(ctx); err != nil {
			return err
		}
		s.flush.memory.Reconsider()
		if !s.flush.memory.IsFull() {
			return nil
		}
	}
	return s.close(ctx, reasonMemory)
}

// open makes sure that there is a flush to add to.
func (s *session) open(ctx context.Context, b *bound) (err error) {
	if s.flush == nil {
		s.flush, err = s.w.newFlush(ctx, b)
	}
	return err
}

// ended notes that a shard was read to its end. Its children may begin only when its rows are durable, so a shard that
// has any ends the flush.
func (s *session) ended(ctx context.Context, r *reading) error {
	r.live = false
	if s.flush != nil && s.flush.spans[r.shard.ID] != nil {
		s.flush.spans[r.shard.ID].End = true
	} else {
		span := PlanSpan{
			Source: r.place.source, Shard: r.shard.ID, From: r.place.from, Through: r.place.from, ProofFrom: r.place.proofFrom,
			Counts: r.place.carried, End: true,
		}
		if err := s.wait(ctx); err != nil { // an open plan of this shard must be done first
			return err
		}
		if err := s.w.planner.carry(ctx, []PlanSpan{span}, s.held()); err != nil {
			return s.refused(err)
		}
	}
	if f, ok := s.w.cfg.Source.(Finite); ok && f.Finite() {
		return nil
	}
	return s.close(ctx, reasonShardEnd)
}

// held are the leases of the attached shards.
func (s *session) held() map[core.ShardID]*lease.Lease {
	out := map[core.ShardID]*lease.Lease{}
	for id, r := range s.shard {
		out[id] = r.lease
	}
	return out
}
