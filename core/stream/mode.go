package stream

import (
	"context"
	"time"
)

// Mode says who sees to it that a stream has enough shards.
type Mode string

// The modes of a stream.
const (
	Provisioned Mode = "PROVISIONED" // its user
	OnDemand    Mode = "ON_DEMAND"   // Penstock
)

// Bounds of modes, those of Kinesis Data Streams.
const (
	FirstOnDemand = 4         // shards that an on-demand stream begins with
	MaxOnDemand   = 200       // shards that an on-demand stream grows to by itself
	MaxSwitches   = 2         // of a stream's mode in 24 hours
	MaxWarm       = 10 * 1024 // MiB a second
)

// SetMode changes the mode; the stream keeps its shards. Where warm is not nil and the mode is on demand, WarmUp's work is
// begun with it. ErrBusy unless the stream is Active; ErrLimit after two changes in 24 hours; an InvalidError where warm
// is not allowed.
func (s *Stream) SetMode(ctx context.Context, mode Mode, warm *int, delay time.Duration) error {
	if warm != nil {
		if mode != OnDemand {
			return &InvalidError{"warm throughput is for on-demand streams only"}
		}
		if err := s.store.Committed(ctx); err != nil {
			return err
		}
	}
	return s.change(ctx, delay, "", func(i *Info, now time.Time) error {
		if mode != i.Mode {
			i.Switched = recent(i.Switched, now)
			if len(i.Switched) >= MaxSwitches {
				return tooMany("the mode of a stream can be changed %d times in 24 hours", MaxSwitches)
			}
			i.Mode, i.Switched, i.Warm = mode, append(i.Switched, now.UTC()), 0
		}
		if warm != nil {
			return i.warmUp(*warm, now)
		}
		return nil
	})
}

// WarmUp begins to give an on-demand stream the shards for so many MiB a second, before there is traffic for them; it
// returns how many it was warm for. FinishScaling does the work. ErrMode for a provisioned stream, an InvalidError
// without the account's commitment.
func (s *Stream) WarmUp(ctx context.Context, mib int, delay time.Duration) (was int, err error) {
	if err := s.store.Committed(ctx); err != nil {
		return 0, err
	}
	err = s.change(ctx, delay, OnDemand, func(i *Info, now time.Time) error {
		was = i.WarmNow()
		return i.warmUp(mib, now)
	})
	return was, err
}

func (i *Info) warmUp(mib int, now time.Time) error {
	if mib > MaxWarm {
		return tooMany("warm throughput is at most %d MiB a second", MaxWarm)
	}
	i.Warm = mib
	if shards := min(mib, MaxShards); shards > i.OpenShards() {
		return i.scale(shards, now)
	}
	return nil
}

// WarmNow is how much of the stream's warm throughput, in MiB a second, its open shards take.
func (i Info) WarmNow() int {
	if open := i.OpenShards(); i.Warm > open && open < MaxShards {
		return open
	}
	return i.Warm
}
