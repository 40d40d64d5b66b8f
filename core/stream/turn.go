package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstock/penstock/core/control"
)

// ErrMode says that a stream's mode does not allow what was asked for. Change the mode first.
var ErrMode = errors.New("not in this mode")

// LimitError is an ErrLimit that says which limit it is.
type LimitError struct{ What string }

func (e *LimitError) Error() string { return e.What }

// Is makes it an ErrLimit.
func (e *LimitError) Is(target error) bool { return target == ErrLimit }

func tooMany(format string, args ...any) error { return &LimitError{fmt.Sprintf(format, args...)} }

// turn says when a split or merge may begin.
type turn struct {
	active  bool // only while the stream is Active and provisioned; it is Updating for delay after
	delay   time.Duration
	scaling bool // a step of the scaling that is under way
}

// Option changes how a split or merge is done.
type Option func(*turn)

// WhenActive refuses the change with ErrBusy unless the stream is Active, and with ErrMode where it is on demand; the
// stream is Updating for delay after.
func WhenActive(delay time.Duration) Option {
	return func(t *turn) { t.active, t.delay = true, delay }
}

func newTurn(options []Option) turn {
	var t turn
	for _, o := range options {
		o(&t)
	}
	return t
}

// begin refuses a change whose turn it is not, and notes that it has begun.
func (t turn) begin(i *Info, now time.Time) error {
	if t.scaling {
		return nil
	}
	if t.active {
		return i.begin(now, t.delay, Provisioned)
	}
	if i.Scale != nil {
		return fmt.Errorf("stream %s is being scaled to %d shards: %w", i.Name, i.Scale.Target, ErrBusy)
	}
	return nil
}

// begin refuses a change of a stream that is not Active, or not in the mode that the change needs; any mode if it is
// empty. The stream is Updating for delay from now on.
func (i *Info) begin(now time.Time, delay time.Duration, mode Mode) error {
	if is := i.Status(now); is != Active {
		return fmt.Errorf("stream %s is %s: %w", i.Name, is, ErrBusy)
	}
	if mode != "" && mode != i.Mode {
		return fmt.Errorf("stream %s is %s: %w", i.Name, i.Mode, ErrMode)
	}
	i.pass(Updating, now, delay)
	return nil
}

// change changes the row of an Active stream, which is Updating for delay after; any mode if mode is empty.
func (s *Stream) change(ctx context.Context, delay time.Duration, mode Mode, change func(*Info, time.Time) error) error {
	return s.amend(ctx, func(i *Info) error {
		now := time.Now()
		if err := i.begin(now, delay, mode); err != nil {
			return err
		}
		return change(i, now)
	})
}

// amend changes the row of a stream in whatever state it is.
func (s *Stream) amend(ctx context.Context, change func(*Info) error) error {
	return s.amendWith(ctx, func(i *Info) ([]control.Write, error) { return nil, change(i) })
}

// amendWith is amend of rows that go with the stream's, too.
func (s *Stream) amendWith(ctx context.Context, change func(*Info) ([]control.Write, error)) error {
	return s.store.updateWith(ctx, s.name, func(i *Info) ([]control.Write, error) {
		if i.ID != s.id {
			return nil, fmt.Errorf("stream %s was deleted and made again: %w", s.name, ErrNotFound)
		}
		return change(i)
	})
}

// recent are those of some times that lie within the last day.
func recent(times []time.Time, now time.Time) []time.Time {
	var out []time.Time
	for _, t := range times {
		if now.Sub(t) < 24*time.Hour {
			out = append(out, t)
		}
	}
	return out
}

// replace writes a row in the place of the one that v was made of. control.ErrConflict: somebody changed it meanwhile.
func (s *Stream) replace(ctx context.Context, v *view, info Info) error {
	_, err := s.store.control.Commit(ctx, control.Txn{
		Checks: []control.Check{{Key: rowKey(s.name), Version: v.version}}, Writes: []control.Write{info.write()},
	})
	return err
}
