package connectors

import (
	"context"
	"errors"
	"io"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
)

// ReadThere calls f with what is there of a shard after a sequence number, which f borrows, until f returns false. It waits
// for nothing that comes later. What is gone is passed over.
func ReadThere(ctx context.Context, source Source, s Shard, after core.SequenceNumber, f func(core.Batch) (more bool, err error)) error {
	read, chases := source.Read, false
	if c, ok := source.(Chaser); ok {
		read, chases = c.Chase, true
	} else if s.Last == "" || after != "" && s.Last.Compare(after) <= 0 {
		return nil
	}
	for {
		if !chases && after != "" && s.Last.Compare(after) <= 0 {
			return nil // the last of what was there has expired meanwhile
		}
		more, err := readThere(ctx, func() (Reader, error) { return read(ctx, s.ID, after) }, s, chases, &after, f)
		if !errors.Is(err, shardlog.ErrTrimmed) || !more {
			return err
		}
		gaps, ok := source.(Expiring)
		if !ok {
			return err
		}
		gap, gerr := gaps.Gap(ctx, s.ID, after)
		if gerr != nil || gap.Through == "" || gap.Through == after {
			return err
		}
		after = gap.Through
	}
}

// readThere reads until there is no more, and moves after along.
func readThere(ctx context.Context, open func() (Reader, error), s Shard, chases bool, after *core.SequenceNumber, f func(core.Batch) (bool, error)) (more bool, err error) {
	r, err := open()
	if err != nil {
		return true, err
	}
	defer r.Close() //nolint:errcheck // a reader has nothing to lose
	for {
		b, err := r.Next(ctx)
		if errors.Is(err, io.EOF) || errors.Is(err, ErrCaughtUp) {
			return false, nil
		}
		if err != nil {
			return true, err
		}
		last := !chases && b.Span.Last.Compare(s.Last) >= 0
		*after = b.Span.Last
		more, err := f(b)
		b.Release()
		if err != nil || !more || last {
			return false, err
		}
	}
}
