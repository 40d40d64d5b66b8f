package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/stream"
)

// tailer reads shards beside each other.
type tailer struct {
	stream *stream.Stream
	print  func(b core.Batch, i int) error
	follow bool
	left   int64 // records that are still wanted; negative: without bound
}

// errEnough ends the reading: as many records as were wanted are printed.
var errEnough = errors.New("enough")

// maxMerged bounds the shards that are merged at once: each holds a batch.
const maxMerged = 64

// lane is the reading of one shard up to its present end.
type lane struct {
	shard core.ShardID
	after core.SequenceNumber // printed through it
	last  core.SequenceNumber // where to stop

	in *stream.Reader
	b  core.Batch
	i  int // the next row of b
}

func (t *tailer) run(ctx context.Context, shards []core.ShardID, start tailStart) error {
	lanes := make([]*lane, len(shards))
	for i, id := range shards {
		var err error
		if lanes[i], err = t.lane(ctx, id, start); err != nil {
			return err
		}
	}
	for some := range slices.Chunk(lanes, maxMerged) {
		if err := t.merge(ctx, some); errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return err
		}
	}
	if !t.follow {
		return nil
	}
	err := t.following(ctx, lanes)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return err
}

func (t *tailer) lane(ctx context.Context, id core.ShardID, start tailStart) (*lane, error) {
	last, err := t.stream.Last(ctx, id)
	if err != nil {
		return nil, err
	}
	l := &lane{shard: id, last: last}
	switch {
	case start.latest:
		l.after = last
	case !start.at.IsZero():
		l.after, err = t.stream.Find(ctx, id, stream.AtTime(start.at))
	}
	return l, err
}

// merge prints what the lanes hold up to their present ends, in order of arrival.
func (t *tailer) merge(ctx context.Context, lanes []*lane) error {
	defer func() {
		for _, l := range lanes {
			l.close()
		}
	}()
	for {
		var next *lane
		for _, l := range lanes {
			more, err := l.fill(ctx, t.stream)
			if err != nil {
				return err
			}
			if more && (next == nil || l.b.Arrivals().Value(l.i) < next.b.Arrivals().Value(next.i)) {
				next = l
			}
		}
		if next == nil {
			return nil
		}
		if err := t.printOne(next.b, next.i); err != nil {
			return err
		}
		next.after = next.b.SequenceOf(next.i)
		next.i++
	}
}

// fill makes sure that the lane has a row to print; false at its end.
func (l *lane) fill(ctx context.Context, s *stream.Stream) (bool, error) {
	if l.last == "" || l.after != "" && l.after.Compare(l.last) >= 0 {
		return false, nil
	}
	if l.in == nil {
		var err error
		if l.in, err = s.Read(ctx, l.shard, l.after); err != nil {
			return false, err
		}
	}
	for l.b.Rows == nil || l.i == int(l.b.NumRows()) {
		l.b.Release()
		l.b, l.i = core.Batch{}, 0
		var err error
		if l.b, err = l.in.Next(ctx); errors.Is(err, io.EOF) {
			l.last = l.after // it is closed, and its end was trimmed meanwhile
			return false, nil
		} else if err != nil {
			return false, fmt.Errorf("read %s: %w", l.shard, err)
		}
	}
	return true, nil
}

func (l *lane) close() {
	l.b.Release()
	l.b = core.Batch{}
	if l.in != nil {
		_ = l.in.Close() // a reader has nothing to lose
		l.in = nil
	}
}

func (t *tailer) printOne(b core.Batch, i int) error {
	if err := t.print(b, i); err != nil {
		return err
	}
	if t.left--; t.left == 0 {
		return errEnough
	}
	return nil
}

// following prints what comes, shard by shard as it comes, and goes on with the children of shards that end.
func (t *tailer) following(ctx context.Context, lanes []*lane) error {
	group, ctx := errgroup.WithContext(ctx)
	items := make(chan core.Batch)
	known := map[core.ShardID]bool{}
	ended := make(chan core.ShardID)
	start := func(id core.ShardID, after core.SequenceNumber) {
		known[id] = true
		group.Go(func() error { return t.readOn(ctx, id, after, items, ended) })
	}
	for _, l := range lanes {
		start(l.shard, l.after)
	}
	group.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case b := <-items:
				err := t.printBatch(b)
				b.Release()
				if err != nil {
					return err
				}
			case parent := <-ended:
				info, err := t.stream.Info(ctx)
				if err != nil {
					return err
				}
				for _, sh := range info.Shards {
					if slices.Contains(sh.Parents, parent) && !known[sh.ID] {
						start(sh.ID, "")
					}
				}
			}
		}
	})
	return group.Wait()
}

func (t *tailer) printBatch(b core.Batch) error {
	for i := range int(b.NumRows()) {
		if err := t.printOne(b, i); err != nil {
			return err
		}
	}
	return nil
}

// readOn reads a shard to its end, which an open one does not have.
func (t *tailer) readOn(ctx context.Context, id core.ShardID, after core.SequenceNumber, items chan<- core.Batch, ended chan<- core.ShardID) error {
	in, err := t.stream.Read(ctx, id, after)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // a reader has nothing to lose
	for {
		b, err := in.Next(ctx)
		if errors.Is(err, io.EOF) {
			select {
			case ended <- id:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		} else if err != nil {
			return fmt.Errorf("read %s: %w", id, err)
		}
		select {
		case items <- b:
		case <-ctx.Done():
			b.Release()
			return ctx.Err()
		}
	}
}
