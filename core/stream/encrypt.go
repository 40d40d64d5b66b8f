package stream

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
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
	Master string `json:"master"`
	Key    int64  `json:"key"`            // the data key in use
	Uses   int64  `json:"uses,omitempty"` // how often it may have been used, by all processes that there were
}

// usesAtOnce is how many uses of a data key a process takes for itself at one time. What it does not come to is lost.
const usesAtOnce = 1 << 20

// dataKey is the row of a data key.
type dataKey struct {
	Master  string `json:"master"`
	Wrapped []byte `json:"wrapped"`
}

const dataKeyPrefix = "datakeys/"

func dataKeysOf(streamID string) string { return dataKeyPrefix + streamID + "/" }

func dataKeyAt(streamID string, n int64) string {
	return dataKeysOf(streamID) + strconv.FormatInt(n, 10)
}

// SetMasters gives the store the master keys of encrypted streams. It is called before the store is used.
func (s *Store) SetMasters(m sealing.Masters) { s.keys.masters = m }

// dataKeys are those that were unwrapped.
type dataKeys struct {
	masters sealing.Masters
	by      sync.Map // row keys to *usedKey
}

type usedKey struct {
	*sealing.Key
	left atomic.Int64 // uses that this process has taken
}

// Encrypt makes what is put to an Active stream from now on be encrypted, by a new data key that a master key wraps.
// sealing.ErrNoKey says that there is no such master key.
func (s *Stream) Encrypt(ctx context.Context, master string, delay time.Duration) error {
	return s.newKey(ctx, func(i *Info) (string, error) { return master, i.begin(time.Now(), delay, "") })
}

// StopEncryption makes what is put to an Active stream from now on be stored as it is. What is encrypted stays so.
func (s *Stream) StopEncryption(ctx context.Context, delay time.Duration) error {
	return s.change(ctx, delay, "", func(i *Info, _ time.Time) error {
		i.Encryption = nil
		return nil
	})
}

// newKey gives the stream a new data key, wrapped by the master key that change names; errSame leaves it the one it has.
func (s *Stream) newKey(ctx context.Context, change func(*Info) (master string, err error)) error {
	if s.store.keys.masters == nil {
		return fmt.Errorf("encrypt stream %s: no encryption keys are configured: %w", s.name, sealing.ErrNoKey)
	}
	return s.amendWith(ctx, func(i *Info) ([]control.Write, error) {
		master, err := change(i)
		if err != nil {
			return nil, err
		}
		wrapped, err := sealing.NewDataKey(ctx, s.store.keys.masters, master)
		if err != nil {
			return nil, fmt.Errorf("encrypt stream %s: %w", s.name, err)
		}
		i.Keys++
		i.Encryption = &Encryption{Master: master, Key: i.Keys}
		value, err := json.Marshal(dataKey{master, wrapped})
		if err != nil {
			return nil, err
		}
		return []control.Write{{Key: dataKeyAt(i.ID, i.Keys), Value: value}}, nil
	})
}

// use takes n uses of a data key. One that was used as often as it may be is put out of use, unless somebody has already.
func (s *Stream) use(ctx context.Context, number int64, key *usedKey, n int) error {
	if key.left.Add(int64(-n)) >= 0 {
		return nil
	}
	used := false
	err := s.amend(ctx, func(i *Info) error {
		e := i.Encryption
		if used = e != nil && e.Key == number && e.Uses >= sealing.MaxUses; used || e == nil || e.Key != number {
			return errSame
		}
		e.Uses += usesAtOnce
		return nil
	})
	if err == nil && used {
		err = s.newKey(ctx, func(i *Info) (string, error) {
			if i.Encryption == nil || i.Encryption.Key != number {
				return "", errSame
			}
			return i.Encryption.Master, nil
		})
	}
	if err == nil {
		key.left.Add(usesAtOnce)
	}
	return err
}

// dataKey is the n-th data key of a stream.
func (s *Store) dataKey(ctx context.Context, streamID string, n int64) (*usedKey, error) {
	at := dataKeyAt(streamID, n)
	if k, ok := s.keys.by.Load(at); ok {
		return k.(*usedKey), nil
	}
	row, ok, err := s.control.Get(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("read the data key of a stream: %w", err)
	}
	if !ok {
		return nil, fmt.Errorf("data key %d of stream %s is gone: %w", n, streamID, shardlog.ErrCorrupt)
	}
	var stored dataKey
	if err := json.Unmarshal(row.Value, &stored); err != nil {
		return nil, fmt.Errorf("read row %s: %w", at, err)
	}
	if s.keys.masters == nil {
		return nil, fmt.Errorf("the stream is encrypted by key %s, and no encryption keys are configured: %w", stored.Master, sealing.ErrNoKey)
	}
	key, err := sealing.OpenDataKey(ctx, s.keys.masters, stored.Master, stored.Wrapped)
	if err != nil {
		return nil, fmt.Errorf("unwrap data key %d: %w", n, err)
	}
	k, _ := s.keys.by.LoadOrStore(at, &usedKey{Key: key})
	return k.(*usedKey), nil
}

// encrypted are the records that were routed, encrypted for the logs of their shards. The others are left out.
func (s *Stream) encrypted(ctx context.Context, v *view, records []Record, routed []uint64) ([]Record, error) {
	key, err := s.store.dataKey(ctx, v.ID, v.Encryption.Key)
	if err != nil {
		return nil, err
	}
	if err := s.use(ctx, v.Encryption.Key, key, len(routed)); err != nil {
		return nil, err
	}
	size := 0
	for _, r := range routed {
		size += 2*binary.MaxVarintLen64 + len(records[place(r)].Key) + len(records[place(r)].Data) + sealing.Overhead
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
	for i := range n {
		if keys.ValueLen(i) > 0 {
			kb.Append(keys.Value(i))
			db.Append(data.Value(i))
			continue
		}
		if text, err = s.open(ctx, text[:0], sh, data.Value(i)); err != nil {
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

// open appends the text of an encrypted record to dst.
func (s *Stream) open(ctx context.Context, dst []byte, sh Shard, sealed []byte) ([]byte, error) {
	n, at := binary.Uvarint(sealed)
	if at <= 0 || n > 1<<62 {
		return nil, shardlog.ErrCorrupt
	}
	key, err := s.store.dataKey(ctx, s.id, int64(n)) //nolint:gosec // checked above
	if err != nil {
		return nil, err
	}
	out, err := key.Open(dst, sealed[at:], []byte(sh.Log))
	if errors.Is(err, sealing.ErrSealed) {
		return nil, fmt.Errorf("%w: %w", err, shardlog.ErrCorrupt)
	}
	return out, err
}
