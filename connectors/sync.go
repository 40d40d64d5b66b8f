package connectors

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
)

// sync looks for shards, makes the rows of new ones, and reads those whose turn has come and whose leases fall to this worker.
func (s *session) sync(reading, writing context.Context) error {
	shards, err := s.w.cfg.Source.Shards(reading)
	if err != nil {
		return fmt.Errorf("list shards: %w", err)
	}
	s.takeTips(shards)
	progress, err := s.w.register(writing, shards)
	if err != nil {
		return err
	}
	s.progress = progress
	listed := make(map[core.ShardID]bool, len(shards))
	clear(s.known)
	for _, shard := range shards {
		listed[shard.ID] = true
		s.known[shard.ID] = shard
	}
	gone, err := s.vanished(writing, listed)
	if err != nil {
		return err
	}
	for { // a shard of a finite source that has nothing to read leaves its place to another
		if err := s.share(writing, shards, listed, gone); err != nil {
			return err
		}
		if taken, err := s.follow(reading, writing, gone); err != nil || taken == 0 || s.room() <= 0 {
			return err
		}
	}
}

// takeTips remembers, once, where each shard ends now: how far a run until caught up has to go.
func (s *session) takeTips(shards []Shard) {
	if s.w.tips != nil {
		return
	}
	s.w.tips = map[core.ShardID]core.SequenceNumber{}
	for _, shard := range shards {
		s.w.tips[shard.ID] = shard.Last
	}
}

// start starts the reader of an attached shard, unless it is caught up already. A closed shard is read to its end, not
// to its tip: its children wait for that.
func (s *session) start(ctx context.Context, r *reading) {
	_, chases := s.w.cfg.Source.(Chaser)
	r.chase = chases && s.w.cfg.UntilCaughtUp && !r.shard.Closed
	if s.w.cfg.UntilCaughtUp && !r.shard.Closed && !r.chase {
		tip := s.w.tips[r.shard.ID]
		if tip == "" || tip.Compare(r.place.from) <= 0 {
			return
		}
		r.target = tip
	}
	r.live = true
	ctx, r.stop = context.WithCancel(ctx)
	s.readers.Add(1)
	go func() {
		defer s.readers.Done()
		s.readShard(ctx, r)
	}()
}

// turn reports whether every parent of the shard that can still be read was read to its end.
func turn(shard Shard, listed map[core.ShardID]bool, progress map[core.ShardID]Progress) bool {
	for _, parent := range shard.Parents {
		if p, ok := progress[parent]; ok && listed[parent] && !p.Ended {
			return false
		}
	}
	return true
}

// register makes the rows of shards that have none, with the checkpoints where the pipeline's start puts them, before
// anything is read. The start is resolved once: one commit makes the rows of every shard of the first start, so that a
// crash leaves all of them or none, and shards that are found when there are rows begin at their beginning: what is gone
// of them by then is missed. Of a source whose records stay, the beginning can be looked up at any time, so rows that begin
// there are made some at a time.
func (w *Worker) register(ctx context.Context, shards []Shard) (map[core.ShardID]Progress, error) {
	_, expires := w.cfg.Source.(Expiring)
	if _, notes := w.cfg.Source.(Noting); notes {
		expires = false
	}
	for {
		have, err := w.progress(ctx)
		if err != nil {
			return nil, err
		}
		first, err := w.firstStart(ctx, shards, have)
		if err != nil {
			return nil, err
		}
		start, most, later := w.cfg.Start, first.most, len(have) > 0 && !first.marked()
		if later || !expires && (start.Kind == StartTrimHorizon || start.Kind == "") {
			start, most = Start{Kind: StartTrimHorizon}, mostShards(w.cfg.Store)
		}
		t, lost, err := w.rows(ctx, shards, have, start, most, later && expires)
		if err != nil {
			return nil, err
		}
		if len(t.Writes) == 0 {
			return have, nil
		}
		if !later {
			first.mark(&t)
		}
		_, err = w.cfg.Store.Commit(ctx, t)
		for _, l := range lost {
			if err == nil {
				w.cfg.Events.lost(l)
			}
		}
		if err != nil && !errors.Is(err, control.ErrConflict) && !errors.Is(err, control.ErrUnknown) {
			return nil, fmt.Errorf("commit the start of %d shards: %w", len(t.Writes), err)
		}
	}
}

// rows is the transaction that makes the rows of shards that are not there yet, of so many at most. late says that they
// begin at their beginning, and what of their parents was never seen is lost.
func (w *Worker) rows(ctx context.Context, shards []Shard, have map[core.ShardID]Progress, start Start, most int, late bool) (t control.Txn, lost []Loss, err error) {
	passed := passed(shards, have)
	for _, shard := range shards {
		if _, ok := have[shard.ID]; ok {
			continue
		}
		if len(t.Writes) >= most {
			break
		}
		if passed[shard.ID] {
			w.begin(&t, Progress{Source: w.cfg.Source.ID(), Shard: shard.ID, Ended: true, Parents: shard.Parents})
			continue
		}
		at := core.SequenceNumber("")
		if late {
			lost = w.unseen(shard, shards, have, &t, lost)
		} else if at, err = w.cfg.Source.Resolve(ctx, shard.ID, start); err != nil {
			return t, nil, fmt.Errorf("find the start of %s: %w", shard.ID, err)
		}
		w.begin(&t, Progress{Source: w.cfg.Source.ID(), Shard: shard.ID, Checkpoint: at, ProofFrom: at, Parents: shard.Parents})
	}
	return t, lost, nil
}

// begin adds to t the row of a shard that has none.
func (w *Worker) begin(t *control.Txn, p Progress) {
	key := w.keys.shard(w.incarnation, p.Source, p.Shard)
	t.Checks = append(t.Checks, control.Check{Key: key})
	t.Writes = append(t.Writes, jsonRow(key, p))
}

// unseen adds to t the rows of a shard's parents that came and went while the pipeline did not run: all of them is lost.
func (w *Worker) unseen(shard Shard, listed []Shard, have map[core.ShardID]Progress, t *control.Txn, lost []Loss) []Loss {
	for _, parent := range shard.Parents {
		_, ok := have[parent]
		if ok || slices.ContainsFunc(listed, func(s Shard) bool { return s.ID == parent }) {
			continue
		}
		p := Progress{Source: w.cfg.Source.ID(), Shard: parent, Ended: true}
		p.lose(Gap{})
		w.begin(t, p)
		have[parent] = p // another of its children is not to name it again
		lost = append(lost, Loss{p.Source, parent, p.Lost[0]})
	}
	return lost
}

// progress reads the rows of the source's shards. Its error is ErrPaused or errReset where the worker is to read nothing, or
// no more of this incarnation.
func (w *Worker) progress(ctx context.Context) (map[core.ShardID]Progress, error) {
	if err := w.standing(ctx); err != nil {
		return nil, err
	}
	all, err := listRows[Progress](ctx, w.cfg.Store, w.keys.all(w.incarnation)+"shards/"+w.cfg.Source.ID()+"/")
	if err != nil {
		return nil, err
	}
	out := map[core.ShardID]Progress{}
	for _, p := range all {
		out[p.Shard] = p
	}
	return out, nil
}
