package adaptive

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/penstock/penstock/core"
)

// Meaning is what an answer means for a request.
type Meaning int

// Meanings.
const (
	Done      Meaning = iota // also where the error is for whoever asked
	Throttled                // the server has too much to do: less at once, and again
	Again                    // it may succeed if it is tried again
	Final                    // everything ends with this error
)

// Bounds of trying again. Who is throttled waits within its pass, so that even one request at a time is not too much.
const (
	firstWait = 25 * time.Millisecond
	mostWait  = 5 * time.Second
	mostTries = 8               // of errors that are no throttling
	patience  = 5 * time.Minute // of throttling alone
)

// Send calls try for each of the tasks, as many at once as the limit lets, and again as the errors' meaning says. The first
// error that is final, or does not go away, ends it.
func Send[T any](ctx context.Context, l *Limit, tasks iter.Seq2[T, error], meaning func(error) Meaning, try func(context.Context, *T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	defer wg.Wait()
	for task, err := range tasks {
		if err != nil {
			cancel(err)
			break
		}
		p, err := l.enter(ctx)
		if err != nil {
			if p != nil {
				p.leave()
			}
			break
		}
		wg.Go(func() {
			defer p.leave()
			if err := p.carry(ctx, meaning, func() error { return try(ctx, &task) }); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// carry calls try until its error means no more that it be called again.
func (p *pass) carry(ctx context.Context, meaning func(error) Meaning, try func() error) error {
	began, wait := time.Now(), firstWait
	for tries := 1; ; {
		err := try()
		switch m := meaning(err); {
		case m == Done:
			p.succeeded()
			return nil
		case m == Final || ctx.Err() != nil:
			return err
		case m == Throttled:
			p.throttled()
			if time.Since(began) > patience {
				return err
			}
		case tries == mostTries:
			return err
		default:
			tries++
		}
		if core.Pause(ctx, core.Jitter(wait)) != nil {
			return err
		}
		wait = min(2*wait, mostWait)
	}
}
