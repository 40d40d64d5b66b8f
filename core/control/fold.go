package control

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/penstock/penstock/core/shardlog"
)

// fold applies the entries of the control log in order until ctx ends. It closes caughtUp when everything through last
// is folded.
func (s *Store) fold(ctx context.Context, cursor shardlog.Cursor, last shardlog.Pos, caughtUp chan<- struct{}) {
	err := s.foldAll(ctx, cursor, last, caughtUp)
	_ = cursor.Close()
	if errors.Is(err, context.Canceled) {
		err = shardlog.ErrClosed
	}
	s.mu.Lock()
	s.err = err
	close(s.changed)
	s.mu.Unlock()
	close(s.done)
}

func (s *Store) foldAll(ctx context.Context, cursor shardlog.Cursor, last shardlog.Pos, caughtUp chan<- struct{}) error {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	behind := true
	for {
		wait := ctx
		if behind { // what is durable is read whatever the context says; its end stands for the tip
			wait = ended
		}
		en, err := cursor.Next(wait)
		if behind && errors.Is(err, context.Canceled) && ctx.Err() == nil {
			behind = false
			if s.snap.needed {
				return fmt.Errorf("the control log begins at %d without a whole snapshot: %w", last, shardlog.ErrCorrupt)
			}
			close(caughtUp)
			continue
		}
		if err != nil {
			return err
		}
		c, err := decodeCommand(en.Rows)
		if err != nil {
			return fmt.Errorf("%w: %w", err, shardlog.ErrCorrupt)
		}
		s.mu.Lock()
		err = s.foldOne(ctx, c, en)
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// foldOne folds one command. The caller holds s.mu.
func (s *Store) foldOne(ctx context.Context, c command, en shardlog.Entry) error {
	s.snap.grown += int64(len(en.Rows.Column(0).(*array.Binary).Value(0)))
	switch c.Kind {
	case kindTxn:
		if s.snap.needed { // it happened after the snapshot's begin, whose rows are still to come
			s.snap.later = append(s.snap.later, held{c, int64(en.Pos)})
			return nil
		}
		err := s.table.apply(c.Checks, c.Writes, int64(en.Pos))
		s.answer(c.ID, outcome{int64(en.Pos), err})
		if err == nil {
			close(s.changed)
			s.changed = make(chan struct{})
		}
		s.maybeSnapshot(ctx)
		return nil
	case kindBegin:
		s.begun(ctx, c, en.Pos)
		return nil
	case kindRows, kindEnd:
		return s.loaded(ctx, c)
	}
	return fmt.Errorf("the control log has a command %q, which this version does not know: use the version of penstock that wrote it", c.Kind)
}

func (s *Store) answer(id string, o outcome) {
	if ch := s.waiting[id]; ch != nil {
		ch <- o
		delete(s.waiting, id)
	}
}
