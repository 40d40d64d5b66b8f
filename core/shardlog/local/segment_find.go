package local

import (
	"context"
	"errors"
	"sort"
	"time"

	"github.com/penstock/penstock/core/shardlog"
)

// Find is the position of the first entry whose last row arrived at or after t. Where entries before it are missing
// that may have arrived then too, it is a position among them, so that a reader is told.
func (e *Engine) Find(_ context.Context, id shardlog.LogID, t time.Time) (shardlog.Pos, error) {
	for {
		pos, r, err := e.lookup(id, t)
		if err != nil || r == nil {
			return pos, err
		}
		pos, prev, err := e.since(*r, t.UnixMilli())
		switch {
		case errors.Is(err, errGone):
			continue
		case errors.Is(err, shardlog.ErrCorrupt):
			return r.first, nil // not later than it; reading there says what is wrong
		case err != nil:
			return 0, err
		}
		return e.notBehindGap(id, pos, prev)
	}
}

// floor is the position behind the last entry before pos, where that one is in a segment; else 0.
func (e *Engine) floor(id shardlog.LogID, pos shardlog.Pos) (shardlog.Pos, error) {
	e.mu.Lock()
	l, err := e.find(id)
	if err != nil || pos > l.base {
		e.mu.Unlock()
		return 0, err
	}
	if pos <= l.trim {
		e.mu.Unlock()
		return 1, nil
	}
	i := sort.Search(len(l.runs), func(i int) bool { return l.runs[i].first >= pos })
	if i == 0 {
		e.mu.Unlock()
		return pos, nil // what is before it is missing
	}
	r := l.runs[i-1]
	e.mu.Unlock()
	last, err := e.before(r, pos)
	if errors.Is(err, shardlog.ErrCorrupt) {
		return pos, nil // a damaged segment must be trimmed like any other
	}
	return last + 1, err
}

// lookup is the position of the first entry in the commit log that arrived at or after t, or the run that holds it.
func (e *Engine) lookup(id shardlog.LogID, t time.Time) (shardlog.Pos, *run, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l, err := e.find(id)
	if err != nil {
		return 0, nil, err
	}
	ms := t.UnixMilli()
	if i := sort.Search(len(l.runs), func(i int) bool { return l.runs[i].arrival >= ms }); i < len(l.runs) {
		r := l.runs[i]
		return 0, &r, nil
	}
	i := l.since(t)
	if i == 0 && l.lost(l.base) {
		return l.base, nil, nil
	}
	if i < len(l.refs) {
		return l.refs[i].pos, nil, nil
	}
	return l.Last + 1, nil, nil
}

// notBehindGap is pos, or prev, the position of the DATA entry before it, if that one is missing; and never a position
// that is trimmed.
func (e *Engine) notBehindGap(id shardlog.LogID, pos, prev shardlog.Pos) (shardlog.Pos, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l, err := e.find(id)
	if err != nil {
		return 0, err
	}
	if l.lost(prev) {
		return prev, nil
	}
	return max(pos, l.trim), nil
}

// lost reports whether the DATA entry at pos, which left the commit log, is neither trimmed nor in a segment.
func (l *logState) lost(pos shardlog.Pos) bool {
	if pos < l.trim {
		return false
	}
	r, ok := l.runAt(pos)
	return !ok || r.first > pos
}
