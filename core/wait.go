package core

import (
	"context"
	"math/rand/v2"
	"time"
)

// Pause waits for d or until ctx ends, which is its error.
func Pause(ctx context.Context, d time.Duration) error {
	if d <= 0 { // a timer that is due at once can crash the runtime of Go 1.26 under synctest with the race detector
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Jitter is a random time between half of d and d, so that those who wait for one thing do not all come back at once.
func Jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2) //nolint:gosec // jitter
}

// Asking is how a server that may be away is asked: again and again, each time after a longer wait.
type Asking struct {
	First, Most time.Duration                                       // waits
	Final       func(err error) bool                                // asking again does not help
	Told        func(attempt int, wait time.Duration, failed error) // of each try that is made again
}

// Ask calls f until it succeeds, its error is final, or ctx ends.
func (a Asking) Ask(ctx context.Context, f func() error) error {
	for attempt, wait := 1, a.First; ; attempt, wait = attempt+1, min(2*wait, a.Most) {
		err := f()
		if err == nil || ctx.Err() != nil || a.Final(err) {
			return err
		}
		d := Jitter(wait)
		a.Told(attempt, d, err)
		if Pause(ctx, d) != nil {
			return err
		}
	}
}
