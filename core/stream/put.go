package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
)

// Record is a record to put.
type Record struct {
	Key  string // partition key, 1 to 256 characters
	Hash *core.HashKey
	Data []byte
}

// Result is what became of a record.
type Result struct {
	Shard core.ShardID
	Seq   core.SequenceNumber
	Err   error // nil: the record is durable
}

// Put routes records to their shards and waits until each is durable or refused. Results stand in the order of the
// records. Records of one shard keep their order. The error is that of the whole call; nothing was put then.
func (s *Stream) Put(ctx context.Context, records []Record) ([]Result, error) {
	began := time.Now()
	info, err := s.Info(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Result, len(records))
	by := map[int][]int{} // shard -> records
	for i, r := range records {
		if out[i].Err = r.check(info.MaxRecord); out[i].Err != nil {
			continue
		}
		hash := core.HashPartitionKey(r.Key)
		if r.Hash != nil {
			hash = *r.Hash
		}
		n, ok := info.route(hash)
		if !ok {
			return nil, fmt.Errorf("stream %s has no open shard for hash key %s: %w", s.name, hash, shardlog.ErrCorrupt)
		}
		by[n] = append(by[n], i)
	}
	var wg sync.WaitGroup
	for n, which := range by {
		wg.Add(1)
		go func() {
			defer wg.Done()
			s.putShard(ctx, info.Shards[n], records, which, out)
		}()
	}
	wg.Wait()
	s.store.told(s.name, records, out, time.Since(began))
	return out, nil
}

// Puts is told of each Put: how many records became durable, and their bytes of key and data.
type Puts func(stream core.StreamName, records, bytes int64, took time.Duration)

// Observe makes f be told of every Put from now on; it must return quickly.
func (s *Store) Observe(f Puts) { s.puts.Store(&f) }

func (s *Store) told(name core.StreamName, records []Record, results []Result, took time.Duration) {
	f := s.puts.Load()
	if f == nil {
		return
	}
	var n, bytes int64
	for i, r := range records {
		if results[i].Err == nil {
			n++
			bytes += int64(len(r.Key) + len(r.Data))
		}
	}
	(*f)(name, n, bytes, took)
}

func (r Record) check(limit int64) error {
	switch n := utf8.RuneCountInString(r.Key); {
	case n == 0 || n > MaxKey:
		return fmt.Errorf("a partition key has 1 to %d characters, not %d: %w", MaxKey, n, core.ErrInvalid)
	case !utf8.ValidString(r.Key):
		return fmt.Errorf("partition key %q is not UTF-8: %w", r.Key, core.ErrInvalid)
	case int64(len(r.Data)+len(r.Key)) > limit:
		return fmt.Errorf("a record of %d bytes, the stream takes %d: %w", len(r.Data)+len(r.Key), limit, core.ErrInvalid)
	}
	return nil
}

// route is the open shard that owns a hash key.
func (i Info) route(h core.HashKey) (int, bool) {
	for n, sh := range i.Shards {
		if !sh.Closed && sh.Range.Contains(h) {
			return n, true
		}
	}
	return 0, false
}

// putShard puts some of the records to one shard, in entries of bounded size.
func (s *Stream) putShard(ctx context.Context, sh Shard, records []Record, which []int, out []Result) {
	w, err := s.writer(ctx, sh)
	if err != nil {
		for _, i := range which {
			out[i].Err = err
		}
		return
	}
	for len(which) > 0 {
		n, size := 0, 0
		for n < len(which) && n < maxEntryRows && (n == 0 || size < maxEntryBytes) {
			size += len(records[which[n]].Data)
			n++
		}
		w.put(ctx, records, which[:n], out)
		which = which[n:]
	}
}

// Bounds of one entry of a shard's log.
const (
	maxEntryRows  = 8192
	maxEntryBytes = 1 << 20
)

// shardWriter gathers the records of concurrent puts while an entry is on its way.
type shardWriter struct {
	shard Shard
	log   shardlog.Writer

	mu      sync.Mutex
	arrival int64 // of the last record; never falls
	open    *entry
	flying  bool
}

// entry is a run of records that become durable together.
type entry struct {
	b    *builder
	done chan struct{}
	pos  shardlog.Pos
	err  error
}

// writer claims a shard's log on first use.
func (s *Stream) writer(ctx context.Context, sh Shard) (*shardWriter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.writers[sh.ID]; w != nil {
		return w, nil
	}
	tail, err := s.store.engine.Tail(ctx, sh.Log)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", sh.ID, err)
	}
	log, tail, err := s.store.engine.Claim(ctx, sh.Log, tail.Epoch+1, s.store.by)
	if errors.Is(err, shardlog.ErrSealed) {
		err = fmt.Errorf("%s: %w", sh.ID, ErrShardClosed)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", sh.ID, err)
	}
	w := &shardWriter{shard: sh, log: log}
	if !tail.Arrival.IsZero() {
		w.arrival = tail.Arrival.UnixMilli()
	}
	s.writers[sh.ID] = w
	return w, nil
}

// put adds records to the open entry and waits for it.
func (w *shardWriter) put(ctx context.Context, records []Record, which []int, out []Result) {
	w.mu.Lock()
	if w.open != nil && w.open.b.len()+len(which) > maxEntryRows {
		w.send()
	}
	if w.open == nil {
		w.open = &entry{b: newBuilder(), done: make(chan struct{})}
	}
	en, first := w.open, w.open.b.len()
	w.arrival = max(w.arrival, time.Now().UnixMilli()) // clocks step back; arrival times do not
	arrival := w.arrival
	for _, i := range which {
		en.b.add(arrival, records[i].Key, records[i].Data)
	}
	if !w.flying || en.b.bytes >= maxEntryBytes {
		w.send()
	}
	w.mu.Unlock()
	var err error
	select {
	case <-en.done:
		err = en.err
	case <-ctx.Done():
		err = fmt.Errorf("%w: %w", shardlog.ErrUnknown, ctx.Err())
	}
	for n, i := range which {
		out[i] = Result{Shard: w.shard.ID, Err: err}
		if err == nil {
			out[i].Seq = w.shard.numbering().At(index(w.shard.Base, en.pos, first+n), arrival)
		}
	}
}

// send appends the open entry. When it is durable, what gathered meanwhile follows. The caller holds w.mu.
func (w *shardWriter) send() {
	en := w.open
	w.open, w.flying = nil, true
	rec := en.b.record()
	f := w.log.Append(shardlog.Anywhere, shardlog.Batch{Rows: rec, Arrival: time.UnixMilli(w.arrival)})
	rec.Release()
	go func() {
		<-f.Done()
		en.pos, en.err = f.Wait(context.Background())
		if errors.Is(en.err, shardlog.ErrSealed) {
			en.err = fmt.Errorf("%s: %w", w.shard.ID, ErrShardClosed)
		}
		close(en.done)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.flying = false
		if w.open != nil {
			w.send()
		}
	}()
}
