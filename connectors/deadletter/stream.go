package deadletter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/stream"
)

// Stream keeps dead letters in a stream, which is made with one shard when the first letter comes.
type Stream struct {
	store *stream.Store
	name  core.StreamName

	mu   sync.Mutex // guards open
	open *stream.Stream
}

var _ connectors.DeadLetters = (*Stream)(nil)

// New returns dead letters kept in the stream of that name.
func New(store *stream.Store, name core.StreamName) (*Stream, error) {
	if err := name.Validate(); err != nil {
		return nil, err
	}
	return &Stream{store: store, name: name}, nil
}

// to is the stream, made if it is not there or was deleted, and how large its records may be.
func (s *Stream) to(ctx context.Context) (*stream.Stream, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open != nil {
		if info, err := s.open.Info(ctx); !errors.Is(err, stream.ErrNotFound) {
			return s.open, info.MaxRecord, err
		}
	}
	_, err := s.store.Create(ctx, s.name, stream.Settings{
		MaxRecord: stream.MaxInternal, Internal: true, Retention: stream.MaxRetention, // people come to look at them late
	})
	if err != nil && !errors.Is(err, stream.ErrExists) {
		return nil, 0, fmt.Errorf("make the dead-letter stream: %w", err)
	}
	if s.open, err = s.store.Open(ctx, s.name); err != nil {
		return nil, 0, err
	}
	info, err := s.open.Info(ctx)
	return s.open, info.MaxRecord, err
}

// putBytes is about how much is put at a time. All at once, the log would refuse what its queue has no room for, and it
// would do so again when everything is put again.
const putBytes = 1 << 20

// Put returns nil once every letter is durable.
func (s *Stream) Put(ctx context.Context, letters []connectors.DeadLetter) error {
	for len(letters) > 0 {
		n, err := s.putSome(ctx, letters)
		if err != nil {
			return err
		}
		letters = letters[n:]
	}
	return nil
}

// putSome puts the first letters, and returns how many.
func (s *Stream) putSome(ctx context.Context, letters []connectors.DeadLetter) (int, error) {
	to, room, err := s.to(ctx)
	if err != nil {
		return 0, err
	}
	var records []stream.Record
	for size := int64(0); len(records) < len(letters) && size < putBytes; {
		r, err := record(letters[len(records)], room)
		if err != nil {
			return 0, err
		}
		bytes := int64(len(r.Key) + len(r.Data))
		if bytes > room {
			return 0, connectors.Permanent(fmt.Errorf("stream %s takes records of %d bytes, too few for a dead letter: name another stream in dead_letter", s.name, room))
		}
		records, size = append(records, r), size+bytes
	}
	results, err := to.Put(ctx, records)
	if err != nil {
		return 0, fmt.Errorf("put %d dead letters: %w", len(records), err)
	}
	for i, r := range results {
		if r.Err != nil {
			return 0, fmt.Errorf("put dead letter %s: %w", letters[i].Identity(), r.Err)
		}
	}
	return len(records), nil
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

// List calls f with each letter that is in the stream that source reads, the first of each identity, in order; f returns false
// to stop.
func List(ctx context.Context, source connectors.Source, f func(connectors.DeadLetter) bool) error {
	return list(ctx, source, connectors.Start{Kind: connectors.StartTrimHorizon}, f)
}

// ListSince is List of the letters that were put at a time or later.
func ListSince(ctx context.Context, source connectors.Source, t time.Time, f func(connectors.DeadLetter) bool) error {
	return list(ctx, source, connectors.Start{Kind: connectors.StartAt, At: t}, f)
}

func list(ctx context.Context, source connectors.Source, start connectors.Start, f func(connectors.DeadLetter) bool) error {
	shards, err := source.Shards(ctx)
	if err != nil {
		return err
	}
	seen, more := map[string]bool{}, true
	for _, sh := range shards {
		after, err := source.Resolve(ctx, sh.ID, start)
		if err != nil {
			return err
		}
		err = connectors.ReadThere(ctx, source, sh, after, func(b core.Batch) (_ bool, err error) {
			more, err = each(b, seen, f)
			return more, err
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func each(b core.Batch, seen map[string]bool, f func(connectors.DeadLetter) bool) (bool, error) {
	data := b.Rows.Column(core.HiddenColumns).(*array.Binary)
	for i := range data.Len() {
		var l connectors.DeadLetter
		if err := json.Unmarshal(data.Value(i), &l); err != nil || l.Pipeline == "" || l.Seq == "" {
			return false, fmt.Errorf("record %s is no dead letter, so this is no stream of them: %w", b.SequenceOf(i), errors.Join(core.ErrInvalid, err))
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
