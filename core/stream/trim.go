package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
)

// Trim deletes what has been expired for long enough and is not pinned: entries, and closed shards that have none left.
// It is to be called every minute or so with the time of the wall clock; while that cannot be trusted it deletes nothing.
// It also finishes splits, merges, scalings and deletions that were begun, deletes what a creation that was cut short
// left, and lets on-demand streams grow.
func (s *Store) Trim(ctx context.Context, wall time.Time) error {
	infos, err := s.List(ctx)
	if err != nil {
		return err
	}
	errs := []error{s.sweep(ctx)}
	for _, info := range infos {
		if err := s.trim(ctx, info, wall); err != nil && !errors.Is(err, ErrNotFound) {
			errs = append(errs, fmt.Errorf("trim stream %s: %w", info.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Store) trim(ctx context.Context, info Info, wall time.Time) error {
	if info.Phase == Deleting {
		return s.DeleteRetired(ctx, info)
	}
	return errors.Join(s.advance(ctx, info), s.expire(ctx, info, wall))
}

// advance finishes what was begun with a stream's shards, and lets it grow.
func (s *Store) advance(ctx context.Context, info Info) error {
	if info.Intent != nil || info.Scale != nil {
		st, err := s.Open(ctx, info.Name)
		if err == nil {
			err = st.FinishScaling(ctx)
		}
		return err
	}
	return s.grow(ctx, info, time.Now())
}

// expire deletes what of a stream has expired.
func (s *Store) expire(ctx context.Context, info Info, wall time.Time) error {
	if err := s.drop(ctx, info); err != nil {
		return err
	}
	if !s.retention.agree(wall) {
		return nil
	}
	held, err := s.pinned(ctx, info.ID)
	if err != nil {
		return err
	}
	horizon := wall.Add(-info.Retention)
	gone := map[core.ShardID]bool{}
	for _, sh := range info.Shards {
		now, err := s.expired(ctx, sh, horizon)
		if err != nil {
			return err
		}
		hold, err := s.holding(ctx, info, sh, held, wall, now.before)
		if err != nil {
			return err
		}
		now = expired{min(now.before, hold), now.whole && hold == shardlog.MaxPos}
		due := s.retention.due(sh.Log, now)
		if due.before > 0 {
			if err := s.engine.Trim(ctx, sh.Log, due.before); err != nil && !errors.Is(err, shardlog.ErrNotFound) {
				return fmt.Errorf("%s: %w", sh.ID, err)
			}
		}
		gone[sh.ID] = due.whole
	}
	return s.remove(ctx, info, gone)
}

// expired is what of a shard lies before the horizon. Of a closed shard that is all of it once its closing does too.
func (s *Store) expired(ctx context.Context, sh Shard, horizon time.Time) (expired, error) {
	pos, err := s.engine.Find(ctx, sh.Log, horizon)
	if errors.Is(err, shardlog.ErrNotFound) {
		return expired{}, nil // deleted meanwhile
	} else if err != nil {
		return expired{}, fmt.Errorf("%s: %w", sh.ID, err)
	}
	tail, err := s.engine.Tail(ctx, sh.Log)
	if err != nil {
		return expired{}, fmt.Errorf("%s: %w", sh.ID, err)
	}
	return expired{pos, sh.Closed && pos > tail.Last && sh.ClosedAt.Before(horizon)}, nil
}

// remove takes shards that are gone out of the stream's row, and deletes their logs. Their children keep their names.
func (s *Store) remove(ctx context.Context, info Info, gone map[core.ShardID]bool) error {
	var after Info
	err := s.update(ctx, info.Name, func(i *Info) error {
		if i.ID != info.ID {
			return ErrNotFound
		}
		kept := make([]Shard, 0, len(i.Shards))
		for _, sh := range i.Shards {
			if sh.Closed && gone[sh.ID] {
				i.Drop = append(i.Drop, sh.Log)
			} else {
				kept = append(kept, sh)
			}
		}
		if len(kept) == len(i.Shards) {
			return errSame
		}
		i.Shards, after = kept, *i
		return nil
	})
	if err != nil {
		return err
	}
	return s.drop(ctx, after)
}

// drop deletes the logs of shards that are gone.
func (s *Store) drop(ctx context.Context, info Info) error {
	if len(info.Drop) == 0 {
		return nil
	}
	for _, id := range info.Drop {
		if err := s.engine.Delete(ctx, id); err != nil {
			return fmt.Errorf("delete log %s: %w", id, err)
		}
		s.retention.forget(id)
	}
	return s.update(ctx, info.Name, func(i *Info) error {
		if i.ID != info.ID {
			return ErrNotFound
		}
		i.Drop = slices.DeleteFunc(i.Drop, func(id shardlog.LogID) bool { return slices.Contains(info.Drop, id) })
		return nil
	})
}
