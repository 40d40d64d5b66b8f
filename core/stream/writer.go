package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/penstock/penstock/core/shardlog"
)

// Bounds of one entry of a shard's log.
const (
	maxEntryRows  = 8192
	maxEntryBytes = 1 << 20
)

// shardWriter puts into one open shard: it gathers the records of concurrent puts while an entry is on its way.
type shardWriter struct {
	engine shardlog.Engine
	by     shardlog.WriterID
	shard  Shard

	mu       sync.Mutex      // guards what follows
	log      shardlog.Writer // nil until the log is claimed
	claiming *claim          // under way
	arrival  int64           // of the last record; never falls
	gathers  *entry
	flying   bool
}

// claim is the claiming of a shard's log.
type claim struct {
	done chan struct{}
	err  error
}

// entry is a run of records that become durable together.
type entry struct {
	b    *builder
	done chan struct{}
	pos  shardlog.Pos
	err  error
}

// piece is what one put added to an entry.
type piece struct {
	w       *shardWriter
	entry   *entry
	first   int   // row of its first record
	arrival int64 // of its records
	which   []uint64
}

// claim makes sure that the log is claimed, or begins to; nil when it is. The claim goes on whatever becomes of who
// asked for it: given up half-way, its epoch would be in the way of the next one.
func (w *shardWriter) claim() *claim {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.log != nil {
		return nil
	}
	if w.claiming == nil {
		c := &claim{done: make(chan struct{})}
		w.claiming = c
		go func() {
			log, arrival, err := w.open(context.Background())
			w.mu.Lock()
			w.log, w.arrival, w.claiming = log, max(w.arrival, arrival), nil
			c.err = err
			w.mu.Unlock()
			close(c.done)
		}()
	}
	return w.claiming
}

// claimed waits until the log is claimed.
func (w *shardWriter) claimed(ctx context.Context) error {
	c := w.claim()
	if c == nil {
		return nil
	}
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// open claims the log.
func (w *shardWriter) open(ctx context.Context) (shardlog.Writer, int64, error) {
	tail, err := w.engine.Tail(ctx, w.shard.Log)
	if err != nil {
		return nil, 0, fmt.Errorf("open %s: %w", w.shard.ID, err)
	}
	log, tail, err := w.engine.Claim(ctx, w.shard.Log, tail.Epoch+1, w.by)
	if errors.Is(err, shardlog.ErrSealed) {
		err = ErrShardClosed
	}
	if err != nil {
		return nil, 0, fmt.Errorf("open %s: %w", w.shard.ID, err)
	}
	if tail.Arrival.IsZero() {
		return log, 0, nil
	}
	return log, tail.Arrival.UnixMilli(), nil
}

// seal ends the shard's log after everything that was appended to it. Puts that come later are refused with
// ErrShardClosed.
func (w *shardWriter) seal(ctx context.Context) error {
	err := w.claimed(ctx)
	if errors.Is(err, ErrShardClosed) {
		return nil // whoever sealed it went no further
	}
	if err == nil {
		_, err = w.log.Seal(ctx)
	}
	if err != nil {
		return fmt.Errorf("seal %s: %w", w.shard.ID, err)
	}
	return nil
}

// add adds records, whose places stand in the low half of which, to the entry that gathers. The log must be claimed.
func (w *shardWriter) add(records []Record, which []uint64) piece {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gathers != nil && w.gathers.b.len()+len(which) > maxEntryRows {
		w.send()
	}
	if w.gathers == nil {
		w.gathers = &entry{b: newBuilder(), done: make(chan struct{})}
	}
	en := w.gathers
	w.arrival = max(w.arrival, time.Now().UnixMilli()) // clocks step back; arrival times do not
	p := piece{w: w, entry: en, first: en.b.len(), arrival: w.arrival, which: which}
	for _, i := range which {
		en.b.add(w.arrival, records[place(i)].Key, records[place(i)].Data)
	}
	if !w.flying || en.b.bytes >= maxEntryBytes {
		w.send()
	}
	return p
}

// send appends the entry that gathers. When it is durable, what gathered meanwhile follows. The caller holds w.mu.
func (w *shardWriter) send() {
	en := w.gathers
	w.gathers, w.flying = nil, true
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
		if w.gathers != nil {
			w.send()
		}
	}()
}

// wait waits until the piece is durable or refused, and says so in out.
func (p piece) wait(ctx context.Context, out []Result) error {
	var err error
	select {
	case <-p.entry.done:
		err = p.entry.err
	case <-ctx.Done():
		err = fmt.Errorf("%w: %w", shardlog.ErrUnknown, ctx.Err())
	}
	sh := p.w.shard
	for n, i := range p.which {
		out[place(i)] = Result{Shard: sh.ID, Err: err}
		if err == nil {
			out[place(i)].Seq = sh.numbering().At(index(sh.Base, p.entry.pos, p.first+n), p.arrival)
		}
	}
	return err
}
