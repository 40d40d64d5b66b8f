package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog"
)

// Pin keeps the records of a shard that may have to be read again, though they expire meanwhile.
type Pin struct {
	Stream  string              `json:"stream"` // Stream.ID
	Shard   core.ShardID        `json:"shard"`
	From    core.SequenceNumber `json:"from"`    // excluded; empty is the beginning
	Through core.SequenceNumber `json:"through"` // included
}

const pinPrefix = "pins/"

// PinRow is the row that holds pins for as long as it stands in the control store: commit it in the transaction with what
// needs them. by names who that is; a row of the same name takes its place.
func PinRow(by string, pins []Pin) control.Write {
	b, err := json.Marshal(pins)
	if err != nil {
		panic(err) // strings always marshal
	}
	return control.Write{Key: pinPrefix + by, Value: b}
}

// Unpin removes the row of PinRow, if there is one.
func Unpin(by string) control.Write { return control.Write{Key: pinPrefix + by} }

// Defaults of PinLimits.
const (
	DefaultPinAge   = 24 * time.Hour
	DefaultPinBytes = 8 << 30
)

// PinLimits bound what pins keep. Zero means the documented default.
type PinLimits struct {
	Age   time.Duration // for how long after a record's retention a pin keeps it. Default 24 h
	Bytes int64         // that they keep past their retention, each pinned shard an equal share; the oldest go first. Default 8 GiB
}

func (l PinLimits) withDefaults() PinLimits {
	if l.Age == 0 {
		l.Age = DefaultPinAge
	}
	if l.Bytes == 0 {
		l.Bytes = DefaultPinBytes
	}
	return l
}

// LimitPins sets the bounds of what pins keep. It is to be called before anything is trimmed.
func (s *Store) LimitPins(l PinLimits) { s.pinLimits = l.withDefaults() }

// pins are those of a stream.
type pins struct {
	of    map[core.ShardID][]Pin
	bytes int64 // that those of one shard may keep
}

// pinned are the pins of a stream.
func (s *Store) pinned(ctx context.Context, id string) (pins, error) {
	rows, err := s.control.List(ctx, pinPrefix)
	if err != nil {
		return pins{}, fmt.Errorf("list pins: %w", err)
	}
	type place struct {
		stream string
		shard  core.ShardID
	}
	all, of := map[place]bool{}, map[core.ShardID][]Pin{}
	for _, row := range rows {
		var list []Pin
		if err := json.Unmarshal(row.Value, &list); err != nil {
			return pins{}, fmt.Errorf("read row %s: %w", row.Key, err)
		}
		for _, p := range list {
			all[place{p.Stream, p.Shard}] = true
			if p.Stream == id {
				of[p.Shard] = append(of[p.Shard], p)
			}
		}
	}
	return pins{of, s.pinLimits.Bytes / int64(max(1, len(all)))}, nil
}

// holding is the position from which on pins keep a shard's entries at a time, whatever else wants them gone before the
// position want: MaxPos where they keep none.
func (s *Store) holding(ctx context.Context, info Info, sh Shard, held pins, wall time.Time, want shardlog.Pos) (shardlog.Pos, error) {
	if len(held.of[sh.ID]) == 0 {
		return shardlog.MaxPos, nil
	}
	first, end := shardlog.MaxPos, shardlog.Pos(0)
	for _, p := range held.of[sh.ID] {
		first, end = min(first, sh.position(p.From)), max(end, sh.position(p.Through)+1)
	}
	limit, err := s.engine.Find(ctx, sh.Log, wall.Add(-info.Retention-s.pinLimits.Age))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", sh.ID, err)
	}
	first = max(first, limit)
	if z, ok := s.engine.(shardlog.Sizer); ok && first < want {
		room, err := z.Within(ctx, sh.Log, want, held.bytes)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", sh.ID, err)
		}
		first = max(first, room)
	}
	if first >= end {
		return shardlog.MaxPos, nil
	}
	return first, nil
}

// unpinned is ErrPinned while pins keep records of a stream.
func (s *Store) unpinned(ctx context.Context, info Info) error {
	held, err := s.pinned(ctx, info.ID)
	if err != nil {
		return err
	}
	for _, sh := range info.Shards {
		hold, err := s.holding(ctx, info, sh, held, time.Now(), 0)
		switch {
		case errors.Is(err, shardlog.ErrNotFound): // its deletion was cut short
		case err != nil:
			return err
		case hold != shardlog.MaxPos:
			return ErrPinned
		}
	}
	return nil
}

// position is that of the entry with a record of the shard; 0 for what is before every record, or no number of it.
func (s Shard) position(seq core.SequenceNumber) shardlog.Pos {
	if i, err := s.numbering().parse(seq); err == nil {
		return max(0, shardlog.Pos(i>>rowBits-s.Base))
	}
	return 0
}

// Gap is a run of records that are gone or have expired, so that nobody can read them.
type Gap struct {
	Through core.SequenceNumber // of the last of them; empty: there are none
	Records int64               // how many there are; 0 where that is not known
}

// Gap is what cannot be read any more of the records after a sequence number; the empty one is before every record.
func (s *Stream) Gap(ctx context.Context, id core.ShardID, after core.SequenceNumber) (Gap, error) {
	v, sh, err := s.shardNow(ctx, id)
	if err != nil {
		return Gap{}, err
	}
	if after == "" {
		after = sh.Start
	}
	horizon := s.store.horizon(v.Retention)
	if pos, err := s.store.engine.Find(ctx, sh.Log, horizon); err != nil {
		return Gap{}, fmt.Errorf("find the trim horizon of %s: %w", id, err)
	} else if pos < sh.position(after) {
		return Gap{}, nil
	}
	gap, err := s.expired(ctx, id, after, horizon)
	if !errors.Is(err, shardlog.ErrTrimmed) {
		return gap, err
	}
	through, err := s.lastExpired(ctx, sh, horizon)
	return Gap{Through: through}, err
}

// lastExpired is where to read after so that the first record is the first that has not expired, or the next that is put.
func (s *Stream) lastExpired(ctx context.Context, sh Shard, horizon time.Time) (core.SequenceNumber, error) {
	tail, err := s.store.engine.Tail(ctx, sh.Log) // first: what is put from here on has not expired
	if err != nil {
		return "", fmt.Errorf("find the end of %s: %w", sh.ID, err)
	}
	pos, err := s.store.engine.Find(ctx, sh.Log, horizon)
	if err != nil {
		return "", fmt.Errorf("find the trim horizon of %s: %w", sh.ID, err)
	}
	if pos > tail.Last {
		return sh.numbering().number(index(sh.Base, tail.Last+1, 0)-1, 0), nil
	}
	return s.before(ctx, sh, horizon)
}

// expired counts the records after a sequence number that are stored and have expired. ErrTrimmed: some are not.
func (s *Stream) expired(ctx context.Context, id core.ShardID, after core.SequenceNumber, horizon time.Time) (gap Gap, err error) {
	r, err := s.Reread(ctx, id, after)
	if err != nil {
		return gap, err
	}
	defer r.Close() //nolint:errcheck // a reader has nothing to lose
	for {
		b, err := r.Next(r.ended) // only what is there
		if errors.Is(err, context.Canceled) || isEnd(err) {
			return gap, ctx.Err()
		} else if err != nil {
			return gap, err
		}
		n := 0
		for n < int(b.NumRows()) && int64(b.Arrivals().Value(n)) < horizon.UnixMilli() { // arrival times never fall
			n++
		}
		if n > 0 {
			gap.Through = b.SequenceOf(n - 1)
			gap.Records += int64(n)
		}
		all := n == int(b.NumRows())
		b.Release()
		if !all {
			return gap, nil
		}
	}
}
