package connectors

import (
	"context"
	"errors"
	"maps"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
)

// share says which shards may be read now, and has the leases of those taken that fall to this worker.
func (s *session) share(ctx context.Context, shards []Shard, listed map[core.ShardID]bool, gone map[core.ShardID]Gap) error {
	may := s.readable(shards, listed, gone)
	if maps.Equal(may, s.shared) {
		return nil
	}
	s.shared = may
	s.w.leases.Share(may)
	return s.w.whenRoom(ctx, func() error { return s.w.leases.Sync(ctx) })
}

// readable are the shards whose turn has come, of a finite source as many as are read at once, and those whose end is
// delivered, which are not to be read any more.
func (s *session) readable(shards []Shard, listed map[core.ShardID]bool, gone map[core.ShardID]Gap) map[string]bool {
	out := map[string]bool{}
	for id := range s.shard {
		out[string(id)] = !s.progress[id].Ended
	}
	for id := range gone {
		out[string(id)] = true
	}
	room := s.room()
	for _, shard := range shards {
		if room == 0 {
			break
		}
		if _, ok := out[string(shard.ID)]; ok || s.progress[shard.ID].Ended || !turn(shard, listed, s.progress) {
			continue
		}
		out[string(shard.ID)] = true
		room--
	}
	return out
}

// room is how many more shards of a finite source may be read; -1: any number.
func (s *session) room() int {
	if f, ok := s.w.cfg.Source.(Finite); !ok || !f.Finite() {
		return -1
	}
	n := maxReaders()
	for _, r := range s.shard {
		if r.live {
			n--
		}
	}
	return max(0, n)
}

// follow begins to read under the leases that were taken, ends it where one was lost, and gives up those that another
// worker asks for. It returns how many were taken.
func (s *session) follow(reading, writing context.Context, gone map[core.ShardID]Gap) (taken int, err error) {
	for _, l := range s.w.leases.Held() {
		id := core.ShardID(l.Name())
		if r := s.shard[id]; r != nil && r.lease == l {
			continue
		} else if r != nil {
			if err := s.drop(r); err != nil {
				return taken, err
			}
		}
		shard, ok := s.known[id]
		went, vanished := gone[id]
		if vanished {
			shard, ok = Shard{ID: id, Closed: true}, true
		}
		if !ok {
			continue // it is not listed any more; the next sync tells what became of it
		}
		if err := s.attach(reading, writing, shard, l, vanished, went.Why); err != nil {
			return taken, err
		}
		taken++
	}
	for _, r := range s.shard {
		if r.lost() {
			if err := s.drop(r); err != nil {
				return taken, err
			}
		}
	}
	return taken, s.handOver(writing)
}

// drop ends the reading of a shard whose lease is lost, or whose checkpoint is elsewhere. What was gathered of it is not
// planned any more; what was gathered of others stays.
func (s *session) drop(r *reading) error {
	id := r.shard.ID
	r.halt()
	delete(s.shard, id)
	state := "lost"
	if s.progress[id].Ended {
		state = "released"
	}
	s.w.cfg.Events.lease(id, state)
	f := s.flush
	switch {
	case f == nil || f.spans[id] == nil:
		return nil
	case len(f.spans) == 1:
		s.flush = nil
		return f.discard()
	}
	delete(f.spans, id)
	return f.makeStale(s.w)
}

// refused drops the shard that kept a flush from being planned, if it is one shard's fault, so that the rest can be.
func (s *session) refused(err error) error {
	no := (*refusedError)(nil)
	if !errors.As(err, &no) || s.shard[no.shard] == nil {
		return err
	}
	return s.drop(s.shard[no.shard])
}

// handOver stops reading the shards that other workers ask for, and plans what was read of them; they are released when
// that is delivered. It does not wait for a plan in hand.
func (s *session) handOver(ctx context.Context) error {
	for _, r := range s.shard {
		if r.lease.Wanted() && !r.leaving {
			r.leaving = true
			r.halt()
		}
	}
	if s.doing != nil {
		return nil
	}
	for id, r := range s.shard {
		if r.leaving && s.flush != nil && s.flush.spans[id] != nil {
			if err := s.close(ctx, reasonHandOver); err != nil {
				return err
			}
			break // all of them are in the plan now
		}
	}
	s.releaseLeaving(ctx)
	return nil
}

// releaseLeaving releases the shards of which everything that was read is delivered.
func (s *session) releaseLeaving(ctx context.Context) {
	if s.doing != nil {
		return
	}
	var leases []*lease.Lease
	for id, r := range s.shard {
		if !r.leaving || s.flush != nil && s.flush.spans[id] != nil {
			continue
		}
		leases = append(leases, r.lease)
		delete(s.shard, id)
		s.w.cfg.Events.lease(id, "released")
	}
	if len(leases) == 0 {
		return
	}
	if err := s.w.leases.Release(context.WithoutCancel(ctx), leases...); err != nil {
		s.w.cfg.Events.retry("release leases", 1, 0, err) // they are taken by force
	}
}
