package stream

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/sealing"
	"github.com/penstock/penstock/core/shardlog"
)

// An encrypted record is stored with an empty partition key, which no record has, and as data the number of its data key
// and, encrypted and bound to the log that it is in, its key and data. So a shard may hold both kinds, and what a stream
// holds already stays as it is.

// Encryption says by which master key what is put to a stream from now on is encrypted.
type Encryption struct {
	Master string    `json:"master"`         // as it was asked for
	Key    int64     `json:"key"`            // the data key in use
	Since  time.Time `json:"since,omitzero"` // when that was made
	Uses   int64     `json:"uses,omitempty"` // how often it may have been used, by all processes that there were
}

const dataKeyPrefix = "datakeys/"

func dataKeysOf(streamID string) string { return dataKeyPrefix + streamID + "/" }

func dataKeyAt(streamID string, n int64) string {
	return dataKeysOf(streamID) + strconv.FormatInt(n, 10)
}

func writeDataKey(streamID string, n int64, w sealing.Wrapped) (control.Write, error) {
	value, err := json.Marshal(w)
	return control.Write{Key: dataKeyAt(streamID, n), Value: value}, err
}

// KeyLimits say when a stream gets a new data key; zero means the documented default.
type KeyLimits struct {
	Age   time.Duration // default 24 h
	Bytes int64         // of keys and data. Default 256 GiB
}

func (l KeyLimits) withDefaults() KeyLimits {
	if l.Age <= 0 {
		l.Age = 24 * time.Hour
	}
	if l.Bytes <= 0 {
		l.Bytes = 256 << 30
	}
	return l
}

// SetMasters gives the store the master keys of encrypted streams. It is called before the store is used.
func (s *Store) SetMasters(m sealing.Masters, l KeyLimits) {
	s.ring, s.keyLimits = sealing.NewRing(m), l.withDefaults()
}

// masters are the master keys, or sealing.ErrNoKey where there are none.
func (s *Store) masters(of string) (sealing.Masters, error) {
	if s.ring == nil {
		return nil, fmt.Errorf("%s: no encryption keys are configured: %w", of, sealing.ErrNoKey)
	}
	return s.ring.Masters(), nil
}

// Encrypt makes what is put to an Active stream from now on be encrypted, by a new data key that a master key wraps.
// Its errors are those of package sealing: nothing has changed then.
func (s *Stream) Encrypt(ctx context.Context, master string, delay time.Duration) error {
	return s.newKey(ctx, master, func(i *Info) error { return i.begin(time.Now(), delay, "") })
}

// StopEncryption makes what is put to an Active stream from now on be stored as it is. What is encrypted stays so.
func (s *Stream) StopEncryption(ctx context.Context, delay time.Duration) error {
	return s.change(ctx, delay, "", func(i *Info, _ time.Time) error {
		i.Encryption = nil
		return nil
	})
}

// newKey gives the stream a new data key that a master key wraps. change may refuse it, with errSame without an error.
func (s *Stream) newKey(ctx context.Context, master string, change func(*Info) error) error {
	m, err := s.store.masters("encrypt stream " + string(s.name))
	if err != nil {
		return err
	}
	text, wrapped, err := m.Generate(ctx, master, s.id)
	if err != nil {
		return fmt.Errorf("encrypt stream %s: %w", s.name, err)
	}
	key, err := sealing.NewKey(text)
	if err != nil {
		return fmt.Errorf("encrypt stream %s: a new data key: %w", s.name, err)
	}
	n := int64(0)
	err = s.amendWith(ctx, func(i *Info) ([]control.Write, error) {
		n = 0 // of a try that somebody else was before
		if err := change(i); err != nil {
			return nil, err
		}
		i.Keys++
		n, i.Encryption = i.Keys, &Encryption{Master: master, Key: i.Keys, Since: time.Now().UTC()}
		w, err := writeDataKey(i.ID, n, wrapped)
		return []control.Write{w}, err
	})
	if err == nil && n > 0 {
		s.store.ring.Keep(dataKeyAt(s.id, n), key)
	}
	return err
}

// dataKey is the n-th data key of a stream.
func (s *Store) dataKey(ctx context.Context, streamID string, n int64) (*sealing.Key, error) {
	at := dataKeyAt(streamID, n)
	stored := func(ctx context.Context) (sealing.Wrapped, error) { return s.wrapped(ctx, at) }
	if s.ring == nil {
		w, err := stored(ctx)
		if err == nil {
			_, err = s.masters("the stream is encrypted by key " + w.Master)
		}
		return nil, err
	}
	key, err := s.ring.Open(ctx, at, streamID, stored)
	if err != nil {
		return nil, fmt.Errorf("unwrap data key %d: %w", n, err)
	}
	return key, nil
}

// wrapped is a data key as it is stored.
func (s *Store) wrapped(ctx context.Context, at string) (sealing.Wrapped, error) {
	row, ok, err := s.control.Get(ctx, at)
	if err != nil {
		return sealing.Wrapped{}, fmt.Errorf("read the data key of a stream: %w", err)
	}
	if !ok {
		return sealing.Wrapped{}, fmt.Errorf("row %s is gone: %w", at, shardlog.ErrCorrupt)
	}
	var w sealing.Wrapped
	if err := json.Unmarshal(row.Value, &w); err != nil {
		return w, fmt.Errorf("read row %s: %w", at, err)
	}
	return w, nil
}

// encrypted are the records that were routed, encrypted for the logs of their shards. The others are left out.
func (s *Stream) encrypted(ctx context.Context, v *view, records []Record, routed []uint64) ([]Record, error) {
	key, err := s.store.dataKey(ctx, v.ID, v.Encryption.Key)
	if err != nil {
		return nil, err
	}
	size := 0
	for _, r := range routed {
		size += 2*binary.MaxVarintLen64 + len(records[place(r)].Key) + len(records[place(r)].Data) + sealing.Overhead
	}
	if err := s.renew(ctx, v.Encryption, len(routed), size); err != nil {
		return nil, err
	}
	out, buf := make([]Record, len(records)), make([]byte, 0, size)
	var text []byte
	for _, r := range routed {
		rec := &records[place(r)]
		text = append(append(binary.AppendUvarint(text[:0], uint64(len(rec.Key))), rec.Key...), rec.Data...)
		at := len(buf)
		buf = binary.AppendUvarint(buf, uint64(v.Encryption.Key)) //nolint:gosec // counts from 1
		buf = key.Seal(buf, text, []byte(v.open[r>>32].shard.Log))
		out[place(r)].Data = buf[at:len(buf):len(buf)]
	}
	return out, nil
}

// unseal decrypts the rows that are encrypted; columns without any are returned as they are, with one more owner.
func (s *Stream) unseal(ctx context.Context, sh Shard, keys *array.String, data *array.Binary) (k, d arrow.Array, err error) {
	n, found := keys.Len(), false
	for i := 0; i < n && !found; i++ {
		found = keys.ValueLen(i) == 0
	}
	if !found {
		keys.Retain()
		data.Retain()
		return keys, data, nil
	}
	kb, db := array.NewStringBuilder(memory.DefaultAllocator), array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary)
	defer kb.Release()
	defer db.Release()
	var text []byte
	by := opener{stream: s}
	for i := range n {
		if keys.ValueLen(i) > 0 {
			kb.Append(keys.Value(i))
			db.Append(data.Value(i))
			continue
		}
		if text, err = by.open(ctx, text[:0], sh, data.Value(i)); err != nil {
			return nil, nil, fmt.Errorf("%s: an encrypted record: %w", sh.ID, err)
		}
		size, at := binary.Uvarint(text)
		if at <= 0 || size > uint64(len(text)-at) {
			return nil, nil, fmt.Errorf("%s: an encrypted record has no partition key: %w", sh.ID, shardlog.ErrCorrupt)
		}
		kb.BinaryBuilder.Append(text[at : at+int(size)]) //nolint:gosec // within the text
		db.Append(text[at+int(size):])                   //nolint:gosec // within the text
	}
	return kb.NewArray(), db.NewArray(), nil
}

// opener decrypts records, most of which have the data key of the one before.
type opener struct {
	stream *Stream
	n      uint64
	key    *sealing.Key
}

// open appends the text of an encrypted record to dst.
func (o *opener) open(ctx context.Context, dst []byte, sh Shard, sealed []byte) ([]byte, error) {
	n, at := binary.Uvarint(sealed)
	if at <= 0 || n > 1<<62 {
		return nil, shardlog.ErrCorrupt
	}
	if o.key == nil || o.n != n {
		key, err := o.stream.store.dataKey(ctx, o.stream.id, int64(n)) //nolint:gosec // checked above
		if err != nil {
			return nil, err
		}
		o.n, o.key = n, key
	}
	out, err := o.key.Open(dst, sealed[at:], []byte(sh.Log))
	if errors.Is(err, sealing.ErrSealed) {
		return nil, fmt.Errorf("%w: %w", err, shardlog.ErrCorrupt)
	}
	return out, err
}
