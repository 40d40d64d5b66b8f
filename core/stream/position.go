package stream

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
)

// Position says where in a shard to begin to read. The zero one is the trim horizon.
type Position struct {
	kind positionKind
	seq  core.SequenceNumber
	at   time.Time
}

type positionKind int

const (
	atHorizon positionKind = iota
	atLatest
	atSequence
	afterSequence
	atTime
)

// TrimHorizon is before the oldest record that is kept.
func TrimHorizon() Position { return Position{} }

// Latest is after the newest record.
func Latest() Position { return Position{kind: atLatest} }

// At is before the record with a sequence number.
func At(seq core.SequenceNumber) Position { return Position{kind: atSequence, seq: seq} }

// After is after the record with a sequence number.
func After(seq core.SequenceNumber) Position { return Position{kind: afterSequence, seq: seq} }

// AtTime is before the first record that arrived at or after t: the horizon for a time before it, the latest for one
// that nothing has reached.
func AtTime(t time.Time) Position { return Position{kind: atTime, at: t} }

// Find fixes a position of a shard, as it is now: it returns the sequence number to read after; empty is the trim
// horizon. core.ErrInvalid says that a sequence number is another shard's, or none.
func (s *Stream) Find(ctx context.Context, id core.ShardID, p Position) (core.SequenceNumber, error) {
	v, sh, err := s.shardNow(ctx, id)
	if err != nil {
		return "", err
	}
	switch p.kind {
	case atHorizon:
		return "", nil
	case atLatest:
		return s.newest(ctx, sh)
	case atSequence, afterSequence:
		i, err := v.parse(sh, p.seq)
		if err != nil || p.kind == afterSequence {
			return p.seq, err
		}
		if i == maxSequence || i == 0 { // after every record, and before every one
			return map[bool]core.SequenceNumber{true: p.seq}[i != 0], nil
		}
		return sh.numbering().number(i-1, 0), nil
	case atTime: // below
	}
	if p.at.Before(s.store.horizon(v.Retention)) {
		return "", nil
	}
	return s.before(ctx, sh, p.at)
}

// parse is the index in a sequence number of a shard; of another shard's, the error names that one.
func (v *view) parse(sh Shard, seq core.SequenceNumber) (int64, error) {
	i, err := sh.numbering().parse(seq)
	if err == nil {
		return i, nil
	}
	for _, other := range v.Shards {
		if _, oerr := other.numbering().parse(seq); oerr == nil {
			return 0, fmt.Errorf("sequence number %s is of %s, not of %s: %w", seq, other.ID, sh.ID, core.ErrInvalid)
		}
	}
	return 0, err
}

// before is where to read after so that the first record read is the first that arrived at or after t.
func (s *Stream) before(ctx context.Context, sh Shard, t time.Time) (core.SequenceNumber, error) {
	pos, err := s.store.engine.Find(ctx, sh.Log, t)
	if err != nil {
		return "", fmt.Errorf("find %s in %s: %w", t, sh.ID, err)
	}
	c, err := s.store.engine.Read(ctx, sh.Log, pos, shardlog.ReadOpts{NoWait: true})
	if err != nil {
		return "", fmt.Errorf("find %s in %s: %w", t, sh.ID, err)
	}
	defer c.Close() //nolint:errcheck // a cursor has nothing to lose
	en, err := c.Next(ctx)
	switch {
	case errors.Is(err, shardlog.ErrTip) || isEnd(err):
		return s.newest(ctx, sh)
	case err != nil:
		return "", fmt.Errorf("find %s in %s: %w", t, sh.ID, err)
	}
	rows, err := rowsOf(en.Rows)
	if err != nil {
		return "", err
	}
	return sh.numbering().number(index(sh.Base, en.Pos, rows.since(t.UnixMilli()))-1, 0), nil
}

// since is the first row that arrived at or after a time; len if none did.
func (r rows) since(ms int64) int {
	return sort.Search(r.len(), func(i int) bool { return r.arrival(i) >= ms })
}

// Last is the sequence number of the shard's last record; empty where it has none that is kept.
func (s *Stream) Last(ctx context.Context, id core.ShardID) (core.SequenceNumber, error) {
	v, sh, err := s.shardNow(ctx, id)
	if err != nil {
		return "", err
	}
	tail, err := s.store.engine.Tail(ctx, sh.Log)
	if err != nil {
		return "", fmt.Errorf("find the end of %s: %w", id, err)
	}
	if tail.Arrival.Before(s.store.horizon(v.Retention)) {
		return "", nil // nobody can read it any more
	}
	return s.newest(ctx, sh)
}

// newest is the sequence number of the last record that is stored; empty where there is none. What was found is kept
// until the log grows: pipelines ask for every shard again and again.
func (s *Stream) newest(ctx context.Context, sh Shard) (core.SequenceNumber, error) {
	tail, err := s.store.engine.Tail(ctx, sh.Log)
	if err != nil {
		return "", fmt.Errorf("find the end of %s: %w", sh.ID, err)
	}
	s.mu.Lock()
	known, ok := s.lasts[sh.ID]
	s.mu.Unlock()
	if ok && known.tail == tail {
		return known.seq, nil
	}
	known = last{tail: tail}
	if known.seq, err = s.lookUp(ctx, sh, tail); err != nil {
		return "", fmt.Errorf("find the end of %s: %w", sh.ID, err)
	}
	s.mu.Lock()
	s.lasts[sh.ID] = known
	s.mu.Unlock()
	return known.seq, nil
}

// last is the last record of a shard whose log ends so.
type last struct {
	tail shardlog.Tail
	seq  core.SequenceNumber
}

// lookUp reads the last record. The last entry of the log may be an OPEN; records are found from the last arrival.
func (s *Stream) lookUp(ctx context.Context, sh Shard, tail shardlog.Tail) (core.SequenceNumber, error) {
	pos, err := s.store.engine.Find(ctx, sh.Log, tail.Arrival)
	if err != nil || tail.Arrival.IsZero() {
		return "", err
	}
	c, err := s.store.engine.Read(ctx, sh.Log, pos, shardlog.ReadOpts{NoWait: true})
	if err != nil {
		return "", err
	}
	defer c.Close() //nolint:errcheck // a cursor has nothing to lose
	var seq core.SequenceNumber
	for {
		en, err := c.Next(ctx)
		if errors.Is(err, shardlog.ErrTip) || isEnd(err) {
			return seq, nil
		} else if err != nil {
			return "", err
		}
		rows, err := rowsOf(en.Rows)
		if err != nil {
			return "", err
		}
		n := rows.len()
		seq = sh.numbering().At(index(sh.Base, en.Pos, n-1), rows.arrival(n-1))
	}
}

// Owns returns nil when a sequence number is one of the stream's shards; else core.ErrInvalid.
func (s *Stream) Owns(ctx context.Context, seq core.SequenceNumber) error {
	v, err := s.view(ctx)
	if err != nil {
		return err
	}
	for _, sh := range v.Shards {
		if _, err := sh.numbering().parse(seq); err == nil {
			return nil
		}
	}
	return fmt.Errorf("sequence number %s is of no shard of stream %s: %w", seq, s.name, core.ErrInvalid)
}

// Behind is how old a record of a shard is that arrived at a time, if others arrived after it; else 0.
func (s *Stream) Behind(ctx context.Context, id core.ShardID, arrived time.Time) (time.Duration, error) {
	_, sh, err := s.shardNow(ctx, id)
	if err != nil {
		return 0, err
	}
	tail, err := s.store.engine.Tail(ctx, sh.Log)
	if err != nil {
		return 0, fmt.Errorf("find the end of %s: %w", id, err)
	}
	if !tail.Arrival.After(arrived) {
		return 0, nil
	}
	return max(0, time.Since(arrived)), nil
}

// Start is the sequence number before every record of a shard.
func (s *Stream) Start(ctx context.Context, id core.ShardID) (core.SequenceNumber, error) {
	_, sh, err := s.shardNow(ctx, id)
	return sh.Start, err
}
