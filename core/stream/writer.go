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
	parts                     []part // nil once it is sent; shardWriter.mu guards it and what follows
	rows, keyBytes, dataBytes int

	done chan struct{}
	pos  shardlog.Pos
	err  error
}

// piece is what one put added to an entry.
type piece struct {
	w     *shardWriter
	entry *entry
	part
	at    int // its place in the entry's parts
	first int // row of its first record
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

// add adds records, whose places stand in the low half of which, to the entry that gathers; what they are made of is used
// until the piece was waited for. The log must be claimed. Entries that are sent are added to sent, which is to land.
func (w *shardWriter) add(sent []flight, records []Record, which []uint64) (piece, []flight) {
	var keyBytes, dataBytes int
	for _, i := range which {
		keyBytes, dataBytes = keyBytes+len(records[place(i)].Key), dataBytes+len(records[place(i)].Data)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gathers != nil && w.gathers.rows+len(which) > maxEntryRows {
		sent = w.send(sent)
	}
	if w.gathers == nil {
		w.gathers = &entry{done: make(chan struct{})}
	}
	en := w.gathers
	w.arrival = max(w.arrival, time.Now().UnixMilli()) // clocks step back; arrival times do not
	p := piece{w: w, entry: en, part: part{records, which, w.arrival}, at: len(en.parts), first: en.rows}
	en.parts = append(en.parts, p.part)
	en.rows, en.keyBytes, en.dataBytes = en.rows+len(which), en.keyBytes+keyBytes, en.dataBytes+dataBytes
	if !w.flying || en.keyBytes+en.dataBytes >= maxEntryBytes {
		sent = w.send(sent)
	}
	return p, sent
}

// flight is an entry that was sent.
type flight struct {
	w     *shardWriter
	entry *entry
	done  *shardlog.Future
}

// send appends the entry that gathers and adds it to sent. The caller holds w.mu.
func (w *shardWriter) send(sent []flight) []flight {
	en := w.gathers
	w.gathers, w.flying = nil, true
	rec := rowsAs(en.parts, en.rows, en.keyBytes, en.dataBytes)
	en.parts = nil
	f := w.log.Append(shardlog.Anywhere, shardlog.Batch{Rows: rec, Arrival: time.UnixMilli(w.arrival)})
	rec.Release()
	return append(sent, flight{w, en, f})
}

// land waits for entries, which become durable about in the order in which they were sent, and sends what gathered
// meanwhile for their shards, until there is no more. One goroutine does so for all shards of a put.
func land(sent []flight) {
	for len(sent) > 0 {
		fl := sent[0]
		sent[0] = flight{}
		sent = fl.land(sent[1:])
	}
}

func (fl flight) land(sent []flight) []flight {
	w, en := fl.w, fl.entry
	en.pos, en.err = fl.done.Wait(context.Background())
	if errors.Is(en.err, shardlog.ErrSealed) {
		en.err = fmt.Errorf("%s: %w", w.shard.ID, ErrShardClosed)
	}
	close(en.done)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flying = false
	if w.gathers != nil {
		sent = w.send(sent)
	}
	return sent
}

// wait waits until the piece is durable or refused, and says so in out.
func (p piece) wait(ctx context.Context, out []Result) {
	var err error
	select {
	case <-p.entry.done:
		err = p.entry.err
	case <-ctx.Done():
		err = fmt.Errorf("%w: %w", shardlog.ErrUnknown, ctx.Err())
		p.leave()
	}
	sh := p.w.shard
	for n, i := range p.which {
		out[place(i)] = Result{Shard: sh.ID, Err: err}
		if err == nil {
			out[place(i)].Seq = sh.numbering().At(index(sh.Base, p.entry.pos, p.first+n), p.arrival)
		}
	}
}

// leave lets go of the records, which their owner may change when the put has returned.
func (p piece) leave() {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.entry.parts != nil {
		p.entry.parts[p.at].own()
	}
}
