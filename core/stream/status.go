package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstock/penstock/core"
)

// Status is what a stream says of itself. A change is made at once; the phases after it are for clients that were
// written for a service that takes its time.
type Status string

// The states of a stream.
const (
	Active   Status = "ACTIVE"
	Creating Status = "CREATING"
	Updating Status = "UPDATING"
	Deleting Status = "DELETING"
)

// ErrBusy says that a stream is being changed. Wait until it is Active.
var ErrBusy = errors.New("stream is being changed")

// Status is the stream's at a time.
func (i Info) Status(now time.Time) Status {
	if i.Phase == Deleting || i.Phase != "" && now.Before(i.Until) {
		return i.Phase
	}
	if i.Scale != nil {
		return Updating
	}
	return Active
}

// within reports whether a phase goes on. It is over for a clock that stepped back behind its beginning, or it would go on
// for as long as the clock was wrong.
func within(now, since, until time.Time) bool { return !now.Before(since) && now.Before(until) }

// resume gives the phase of a row that was just read an end on the monotonic clock, so that what the wall clock does from
// now on neither keeps it from ending nor has it begin again.
func (i *Info) resume(now time.Time) {
	switch {
	case within(now, i.Since, i.Until):
		i.Until = now.Add(i.Until.Sub(now)) // UTC would strip the monotonic clock
	case i.Phase == Deleting: // until it is gone
		i.Until = time.Time{}
	default:
		i.Phase, i.Since, i.Until = "", time.Time{}, time.Time{}
	}
}

// pass makes the stream be in a phase for a while.
func (i *Info) pass(phase Status, now time.Time, delay time.Duration) {
	i.Phase, i.Since, i.Until = "", time.Time{}, time.Time{}
	if delay > 0 {
		i.Phase, i.Since, i.Until = phase, now.UTC(), now.Add(delay).UTC()
	}
}

// Retire makes a stream Deleting: it takes no more records, and Trim deletes it once the delay is over. Consumers go
// with it if force is set; else ErrConsumers while it has any. ErrPinned as Delete.
func (s *Store) Retire(ctx context.Context, name core.StreamName, delay time.Duration, force bool) error {
	_, info, err := load(ctx, s.control, name)
	if err == nil {
		err = s.unpinned(ctx, info)
	}
	if err != nil {
		return fmt.Errorf("delete stream %s: %w", name, err)
	}
	return s.update(ctx, name, func(i *Info) error {
		if i.Phase == Deleting {
			return fmt.Errorf("stream %s: %w", name, ErrBusy)
		}
		if !force {
			have, err := newStream(s, i.Name, i.ID).Consumers(ctx)
			if err != nil {
				return err
			}
			if len(have) > 0 {
				return fmt.Errorf("stream %s has %d: %w", name, len(have), ErrConsumers)
			}
		}
		now := time.Now()
		i.Phase, i.Since, i.Until = Deleting, now.UTC(), now.Add(delay).UTC()
		return nil
	})
}

// DeleteRetired deletes a stream that was retired, if its delay is over.
func (s *Store) DeleteRetired(ctx context.Context, info Info) error {
	if info.Phase != Deleting || time.Now().Before(info.Until) {
		return nil
	}
	return s.erase(ctx, info)
}
