package stream

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/sealing"
	"github.com/penstock/penstock/core/shardlog"
)

// Limits of a stream, those of Kinesis Data Streams.
const (
	MinRetention     = 24 * time.Hour
	MaxRetention     = 8760 * time.Hour
	DefaultMaxRecord = 1 << 20
	MaxMaxRecord     = 10 << 20
	MaxInternal      = 16 << 20 // of a stream that holds records in records, such as dead letters
	MaxKey           = 256      // characters of a partition key
	MaxShards        = 10_000
)

// Settings are what a stream is made with; zero means the documented default.
type Settings struct {
	Shards    int           // default 1, on demand 4
	Retention time.Duration // default and least 24 h, at most 8760 h
	MaxRecord int64         // bytes of key and data; default 1 MiB, at most 10 MiB
	Internal  bool          // made by Penstock for its own use: MaxRecord may be MaxInternal
	Delay     time.Duration // how long the stream is Creating
	Mode      Mode          // default Provisioned
	Warm      int           // MiB a second that an on-demand stream has shards for from the beginning
	Tags      map[string]string
}

func (s Settings) withDefaults() Settings {
	if s.Mode == "" {
		s.Mode = Provisioned
	}
	if s.Shards == 0 {
		s.Shards = map[Mode]int{Provisioned: 1, OnDemand: min(max(FirstOnDemand, s.Warm), MaxShards)}[s.Mode]
	}
	if s.Retention == 0 {
		s.Retention = MinRetention
	}
	if s.MaxRecord == 0 {
		s.MaxRecord = DefaultMaxRecord
	}
	return s
}

func (s Settings) validate() error {
	largest := int64(MaxMaxRecord)
	if s.Internal {
		largest = MaxInternal
	}
	switch {
	case s.Warm != 0 && s.Mode != OnDemand || s.Warm < 0 || s.Warm > MaxWarm:
		return &InvalidError{fmt.Sprintf("an on-demand stream, and no other, may have a warm throughput of 0 to %d MiB a second", MaxWarm)}
	case s.Shards < 1 || s.Shards > MaxShards:
		return fmt.Errorf("a stream has 1 to %d shards, not %d: %w", MaxShards, s.Shards, core.ErrInvalid)
	case s.Retention < MinRetention || s.Retention > MaxRetention:
		return fmt.Errorf("retention is 24 to 8760 hours, not %s: %w", s.Retention, core.ErrInvalid)
	case s.MaxRecord < 1 || s.MaxRecord > largest:
		return fmt.Errorf("a record may have 1 byte to %d MiB, not %d: %w", largest>>20, s.MaxRecord, core.ErrInvalid)
	}
	return nil
}

// Store holds the streams of a node. It is safe for concurrent use.
type Store struct {
	engine  shardlog.Engine
	control *control.Store
	by      shardlog.WriterID
	puts    atomic.Pointer[Puts]

	retention *retention
	ring      *sealing.Ring // nil without master keys
	keyLimits KeyLimits
	pinLimits PinLimits

	mu     sync.Mutex // guards what follows
	open   map[string]*Stream
	named  map[core.StreamName]*Stream // those of open that had the name last
	making map[string]bool             // rows of logs that a Create of this process is making
}

// NewStore returns the streams that stand in a control store, over the engine that holds their logs.
func NewStore(engine shardlog.Engine, store *control.Store, by shardlog.WriterID) *Store {
	return &Store{
		engine: engine, control: store, by: by, retention: newRetention(), pinLimits: PinLimits{}.withDefaults(),
		open: map[string]*Stream{}, named: map[core.StreamName]*Stream{}, making: map[string]bool{},
	}
}

// Create makes a stream whose shards share the hash keys evenly. ErrExists if there is one of that name.
func (s *Store) Create(ctx context.Context, name core.StreamName, set Settings) (Info, error) {
	set = set.withDefaults()
	if err := errors.Join(name.Validate(), set.validate(), CheckTags(set.Tags)); err != nil {
		return Info{}, err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	info := Info{Name: name, ID: newID(), Created: now, Retention: set.Retention, MaxRecord: set.MaxRecord, Mode: set.Mode, Warm: set.Warm, Tags: set.Tags}
	info.pass(Creating, now, set.Delay)
	for i, r := range core.EvenRanges(set.Shards) {
		sh := Shard{
			ID: core.NewShardID(i), Index: int64(i), Log: shardlog.LogID(fmt.Sprintf("%s-%d", info.ID, i)), Range: r, Created: now.Unix(),
		}
		sh.Start = sh.numbering().number(0, sh.Created)
		info.Shards = append(info.Shards, sh)
	}
	if _, _, err := load(ctx, s.control, name); !errors.Is(err, ErrNotFound) {
		if err == nil {
			err = fmt.Errorf("stream %s: %w", name, ErrExists)
		}
		return Info{}, err
	}
	return info, s.make(ctx, info)
}

// make makes the logs of a stream and then its row: a stream that can be found is whole. What it leaves when it is cut
// short, Trim deletes.
func (s *Store) make(ctx context.Context, info Info) error {
	intent, settled, err := s.intend(ctx, info)
	defer settled()
	for _, id := range info.logs() {
		if err != nil {
			break
		}
		err = s.engine.Create(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("create stream %s: %w", info.Name, err)
	}
	key := droppedKey(info.ID)
	_, err = s.control.Commit(ctx, control.Txn{
		Checks: []control.Check{{Key: rowKey(info.Name)}, {Key: key, Version: intent}},
		Writes: []control.Write{info.write(), {Key: key}},
	})
	if errors.Is(err, control.ErrConflict) {
		left := control.Row{Key: key, Value: dropped{Logs: info.logs()}.write(key).Value, Version: intent}
		err = errors.Join(fmt.Errorf("stream %s: %w", info.Name, ErrExists), s.clean(ctx, left))
	}
	return err
}

// Delete removes a stream and its records. Once begun it is finished by Trim, whatever becomes of the caller. ErrPinned
// while some of the records may have to be read again.
func (s *Store) Delete(ctx context.Context, name core.StreamName) error {
	_, info, err := load(ctx, s.control, name)
	if err != nil {
		return err
	}
	return s.erase(ctx, info)
}

// erase is Delete of the stream with an id, not of another one that has its name.
func (s *Store) erase(ctx context.Context, info Info) error {
	if err := s.unpinned(ctx, info); err != nil {
		return fmt.Errorf("delete stream %s: %w", info.Name, err)
	}
	name, st := info.Name, s.stream(info)
	if err := st.take(ctx); err != nil { // a split that goes on would make logs that no row names
		return err
	}
	defer st.give()
	key := droppedKey(info.ID)
	for {
		row, now, err := load(ctx, s.control, name)
		if err != nil {
			return err
		}
		if now.ID != info.ID {
			return fmt.Errorf("stream %s: %w", name, ErrNotFound)
		}
		left := dropped{Logs: now.logs()}.write(key)
		writes, err := s.belongings(ctx, info.ID)
		if err != nil {
			return err
		}
		version, err := s.control.Commit(ctx, control.Txn{
			Checks: []control.Check{{Key: row.Key, Version: row.Version}}, Writes: append(writes, control.Write{Key: row.Key}, left),
		})
		if errors.Is(err, control.ErrConflict) {
			continue
		} else if err != nil {
			return fmt.Errorf("delete stream %s: %w", name, err)
		}
		s.mu.Lock()
		if s.named[name] == s.open[info.ID] {
			delete(s.named, name)
		}
		delete(s.open, info.ID)
		s.mu.Unlock()
		if err := s.clean(ctx, control.Row{Key: key, Value: left.Value, Version: version}); err != nil {
			return fmt.Errorf("delete the records of stream %s: %w", name, err)
		}
		return nil
	}
}

// List is every stream, in order of their names.
func (s *Store) List(ctx context.Context) ([]Info, error) {
	rows, err := s.control.List(ctx, rowPrefix)
	if err != nil {
		return nil, fmt.Errorf("list streams: %w", err)
	}
	out := make([]Info, len(rows))
	for i, r := range rows {
		if out[i], err = decode(r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Open returns a stream to put to and read from, once a split or merge that was begun before is finished. ErrNotFound.
func (s *Store) Open(ctx context.Context, name core.StreamName) (*Stream, error) {
	s.mu.Lock()
	st := s.named[name]
	s.mu.Unlock()
	if st != nil { // every request comes by here: the row is not decoded again unless it changed
		if v, err := st.view(ctx); err == nil && v.Intent == nil {
			return st, nil
		}
	}
	_, info, err := load(ctx, s.control, name)
	if err != nil {
		return nil, err
	}
	st = s.stream(info)
	if err := st.settle(ctx); err != nil {
		return nil, fmt.Errorf("finish resharding stream %s: %w", name, err)
	}
	return st, nil
}

// stream is the one of this process.
func (s *Store) stream(info Info) *Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.open[info.ID]
	if st == nil {
		st = newStream(s, info.Name, info.ID)
		s.open[info.ID] = st
	}
	s.named[info.Name] = st
	return st
}

// SetRetention changes how long records are kept. A longer one brings back what expired less than ten minutes ago.
func (s *Store) SetRetention(ctx context.Context, name core.StreamName, d time.Duration) error {
	if err := (Settings{Shards: 1, Retention: d, MaxRecord: 1}).validate(); err != nil {
		return err
	}
	return s.update(ctx, name, func(i *Info) error {
		i.Retention = d
		return nil
	})
}

// SetMaxRecord changes how many bytes of key and data a record may have. What is stored already stays.
func (s *Store) SetMaxRecord(ctx context.Context, name core.StreamName, bytes int64) error {
	if err := (Settings{Shards: 1, Retention: MinRetention, MaxRecord: bytes}).validate(); err != nil {
		return err
	}
	return s.update(ctx, name, func(i *Info) error {
		i.MaxRecord = bytes
		return nil
	})
}

func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
