package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
)

// Scaling is a change of the number of shards that was begun and will be finished: splits and merges, one after the
// other, until the open shards share the hash keys evenly.
type Scaling struct {
	Target int       `json:"target"` // shards
	Began  time.Time `json:"began"`
}

const (
	// MaxScalings is how often a day a stream's shards may be scaled.
	MaxScalings = 10
	// stepParents bounds the shards that one step seals: puts to them wait for its end.
	stepParents = 32
)

// Scale begins to change the number of open shards to target, at most twice as many and at least half; it returns how
// many are open now. The stream is Updating for delay at least, and until FinishScaling has done the work. ErrBusy
// unless it is Active; ErrMode where it is on demand; ErrLimit.
func (s *Stream) Scale(ctx context.Context, target int, delay time.Duration) (open int, err error) {
	err = s.change(ctx, delay, Provisioned, func(i *Info, now time.Time) error {
		open = i.OpenShards()
		i.Scaled = recent(i.Scaled, now)
		switch {
		case target < 1 || target > MaxShards:
			return tooMany("a stream has 1 to %d shards, not %d", MaxShards, target)
		case target > 2*open:
			return tooMany("the target of %d shards is more than double the %d open shards", target, open)
		case 2*target < open:
			return tooMany("the target of %d shards is less than half of the %d open shards", target, open)
		case len(i.Scaled) >= MaxScalings:
			return tooMany("the shards of a stream can be scaled %d times in 24 hours", MaxScalings)
		}
		i.Scaled = append(i.Scaled, now.UTC())
		return i.scale(target, now)
	})
	return open, err
}

// scale notes that the stream is to have so many shards.
func (i *Info) scale(target int, now time.Time) error {
	splits, merges := i.away(target)
	if known := len(i.Shards) + 2*splits + merges; known > MaxKnownShards {
		return tooMany("stream %s would have %d shards with the closed ones, of %d; wait until some are trimmed", i.Name, known, MaxKnownShards)
	}
	if splits+merges > 0 {
		i.Scale = &Scaling{Target: target, Began: now.UTC()}
	}
	return nil
}

// OpenShards is how many shards take records.
func (i Info) OpenShards() int {
	n := 0
	for _, sh := range i.Shards {
		if !sh.Closed {
			n++
		}
	}
	return n
}

// away is how many splits and merges lie between what is and even shards.
func (i Info) away(target int) (splits, merges int) {
	begins := map[core.HashKey]bool{}
	for _, sh := range i.Shards {
		if !sh.Closed {
			begins[sh.Range.Start] = true
		}
	}
	merges = len(begins)
	for _, r := range core.EvenRanges(target) {
		if begins[r.Start] {
			merges--
		} else {
			splits++
		}
	}
	return splits, merges
}

// FinishScaling does what Scale began, and returns when it is done; at once where nothing was begun. It may be called
// again, and beside itself. After a crash, Trim calls it.
func (s *Stream) FinishScaling(ctx context.Context) error {
	for {
		v, err := s.view(ctx)
		if err != nil || v.Scale == nil || v.Phase == Deleting {
			return err
		}
		made, err := s.reshard(ctx, turn{scaling: true}, func(v *view) ([]Shard, error) {
			if v.Scale == nil || v.Phase == Deleting {
				return nil, nil
			}
			return v.towards(v.Scale.Target), nil
		})
		if err == nil && len(made) == 0 {
			err = s.scaled(ctx)
		}
		if err != nil && !errors.Is(err, control.ErrConflict) {
			return fmt.Errorf("scale stream %s: %w", s.name, err)
		}
	}
}

// scaled notes that scaling has reached its target, if it has.
func (s *Stream) scaled(ctx context.Context) error {
	return s.amend(ctx, func(i *Info) error {
		if i.Scale == nil || i.Intent != nil {
			return errSame
		}
		if splits, merges := i.away(i.Scale.Target); splits+merges > 0 {
			return errSame // another scaling began meanwhile
		}
		i.Scale = nil
		return nil
	})
}

// towards are the children of the next splits and merges on the way to even shards. Each of them takes one boundary
// between shards away that is not to be, or makes one that is, so there is an end; none of them has a parent in common
// with another.
func (v *view) towards(target int) []Shard {
	want := core.EvenRanges(target)
	var out []Shard
	parents := 0
	child := func(r core.HashRange, of ...core.ShardID) { out = append(out, v.child(int64(len(out)), r, of...)) }
	for i := 0; i < len(v.open) && parents < stepParents; i++ {
		sh := v.open[i].shard
		for len(want) > 0 && want[0].Start.Compare(sh.Range.Start) <= 0 {
			want = want[1:]
		}
		inside := 0
		for inside < len(want) && want[inside].Start.Compare(sh.Range.End) <= 0 {
			inside++
		}
		switch {
		case inside > 0:
			at := want[inside/2].Start
			child(core.HashRange{Start: sh.Range.Start, End: at.Prev()}, sh.ID)
			child(core.HashRange{Start: at, End: sh.Range.End}, sh.ID)
			parents++
		case i+1 < len(v.open) && (len(want) == 0 || want[0].Start != sh.Range.End.Next()):
			next := v.open[i+1].shard
			child(core.HashRange{Start: sh.Range.Start, End: next.Range.End}, sh.ID, next.ID)
			parents += 2
			i++
		}
	}
	return out
}
