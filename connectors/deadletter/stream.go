package deadletter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/stream"
)

// Stream keeps dead letters in a stream, which is made with one shard when the first letter comes.
type Stream struct {
	store *stream.Store
	name  core.StreamName

	mu   sync.Mutex // guards what follows
	open *stream.Stream
	room int64 // bytes of key and data that a record of it may have
}

var _ connectors.DeadLetters = (*Stream)(nil)

// New returns dead letters kept in the stream of that name.
func New(store *stream.Store, name core.StreamName) (*Stream, error) {
	if err := name.Validate(); err != nil {
		return nil, err
	}
	return &Stream{store: store, name: name}, nil
}

// to is the stream, made if it is not there, and how large its records may be.
func (s *Stream) to(ctx context.Context) (*stream.Stream, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open != nil {
		return s.open, s.room, nil
	}
	_, err := s.store.Create(ctx, s.name, stream.Settings{
		MaxRecord: stream.MaxInternal, Internal: true, Retention: stream.MaxRetention, // people come to look at them late
	})
	if err != nil && !errors.Is(err, stream.ErrExists) {
		return nil, 0, fmt.Errorf("make the dead-letter stream: %w", err)
	}
	open, err := s.store.Open(ctx, s.name)
	if err != nil {
		return nil, 0, err
	}
	info, err := open.Info(ctx)
	if err != nil {
		return nil, 0, err
	}
	s.open, s.room = open, info.MaxRecord
	return s.open, s.room, nil
}

// Put returns nil once every letter is durable.
func (s *Stream) Put(ctx context.Context, letters []connectors.DeadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	to, room, err := s.to(ctx)
	if err != nil {
		return err
	}
	records := make([]stream.Record, len(letters))
	for i, l := range letters {
		if records[i], err = record(l, room); err != nil {
			return err
		}
		if int64(len(records[i].Key)+len(records[i].Data)) > room {
			return connectors.Permanent(fmt.Errorf("stream %s takes records of %d bytes, too few for a dead letter: name another stream in dead_letter", s.name, room))
		}
	}
	results, err := to.Put(ctx, records)
	if err != nil {
		return fmt.Errorf("put %d dead letters: %w", len(letters), err)
	}
	for i, r := range results {
		if r.Err != nil {
			return fmt.Errorf("put dead letter %s: %w", letters[i].Identity(), r.Err)
		}
	}
	return nil
}

// envelope is how many bytes a letter has at most besides its raw record, key and reason.
const envelope = 4096

// record is a letter as a record of at most room bytes. A raw record that has no room as base64 is cut, and the reason
// says so: a line of a file, which may be longer than any record, and is still there; or any where a user made the stream.
func record(l connectors.DeadLetter, room int64) (stream.Record, error) {
	if most := max(0, (int(room)-envelope-len(l.Key)*6-len(l.Reason)*6)/4*3); len(l.Raw) > most {
		l.Reason = fmt.Sprintf("%s (the raw record of %d bytes is cut to %d)", l.Reason, len(l.Raw), most)
		l.Raw = l.Raw[:most]
	}
	data, err := json.Marshal(l)
	if err != nil {
		return stream.Record{}, fmt.Errorf("write dead letter %s: %w", l.Identity(), err)
	}
	key := l.Identity()
	if len(key) > stream.MaxKey {
		key = key[len(key)-stream.MaxKey:]
	}
	return stream.Record{Key: key, Data: data}, nil
}

// List calls f with each letter of the stream, the first of each identity, in order; f returns false to stop.
func (s *Stream) List(ctx context.Context, f func(connectors.DeadLetter) bool) error {
	from, err := s.store.Open(ctx, s.name)
	if errors.Is(err, stream.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	info, err := from.Info(ctx)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, sh := range info.Shards {
		if more, err := s.listShard(ctx, from, sh.ID, seen, f); err != nil || !more {
			return err
		}
	}
	return nil
}

func (s *Stream) listShard(ctx context.Context, from *stream.Stream, id core.ShardID, seen map[string]bool, f func(connectors.DeadLetter) bool) (bool, error) {
	last, err := from.Last(ctx, id)
	if err != nil || last == "" {
		return true, err
	}
	r, err := from.Read(ctx, id, "")
	if err != nil {
		return false, err
	}
	defer r.Close() //nolint:errcheck // a reader has nothing to lose
	for {
		b, err := r.Next(ctx)
		if err != nil {
			return false, fmt.Errorf("read the dead letters in %s: %w", s.name, err)
		}
		more, err := each(b, seen, f)
		end := b.Span.Last.Compare(last) >= 0
		b.Release()
		if err != nil || !more || end {
			return more, err
		}
	}
}

func each(b core.Batch, seen map[string]bool, f func(connectors.DeadLetter) bool) (bool, error) {
	data := b.Rows.Column(core.HiddenColumns).(*array.Binary)
	for i := range data.Len() {
		var l connectors.DeadLetter
		if err := json.Unmarshal(data.Value(i), &l); err != nil {
			return false, fmt.Errorf("record %s is no dead letter: %w", b.SequenceOf(i), err)
		}
		if id := l.Identity(); !seen[id] {
			seen[id] = true
			if !f(l) {
				return false, nil
			}
		}
	}
	return true, nil
}
