package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/stream/limit"
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

// rerouting is how long a put whose shard was closed under it looks for the children.
const rerouting = 2 * time.Second

// Put routes records to their shards and waits until each is durable or refused. Results stand in the order of the
// records. Records of one shard keep their order. The error is that of the whole call; nothing was put then.
//
// Records whose shard is closed under them go to its children; ErrResharding where those do not open in time. An
// outcome that is not known is answered as shardlog.ErrUnknown, and never tried again: the record may be there.
func (s *Stream) Put(ctx context.Context, records []Record) ([]Result, error) {
	return s.PutWithin(ctx, nil, records)
}

// PutWithin is Put of what the limits of the records' shards leave room for. The results of the others have a
// limit.ExceededError, and their shards.
func (s *Stream) PutWithin(ctx context.Context, l *limit.Limiter, records []Record) ([]Result, error) {
	began := time.Now()
	if r, ok := s.store.engine.(shardlog.Roomer); ok {
		if err := r.Room(ctx); err != nil {
			return nil, fmt.Errorf("wait for the log: %w: %w", core.ErrThrottled, err)
		}
	}
	v, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Result, len(records))
	refused, err := s.round(ctx, l, v, records, admit(v, records, out), out)
	if err != nil {
		return nil, err
	}
	defer func() {
		s.store.told(s.name, records, out, time.Since(began))
		s.measure(v, records, out)
	}()
	if len(refused) == 0 {
		return out, nil
	}
	waiting, stop := context.WithTimeoutCause(ctx, rerouting, ErrResharding)
	defer stop()
	for len(refused) > 0 {
		// Invariant 3: none of them is in the parents, so they follow everything that is, in their order.
		next, err := s.moved(waiting, v)
		if err == nil {
			v = next
			refused, err = s.round(ctx, l, v, records, refused, out)
		}
		if err != nil {
			for _, i := range refused {
				out[i].Err = fmt.Errorf("%w: %w", ErrResharding, err)
			}
			break
		}
	}
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

// admit are the places of the records that the stream takes; the others' results say why not.
func admit(v *view, records []Record, out []Result) []int {
	which := make([]int, 0, len(records))
	for i := range records {
		if out[i].Err = records[i].check(v.MaxRecord); out[i].Err == nil {
			which = append(which, i)
		}
	}
	return which
}

func (r *Record) check(limit int64) error {
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

// place is that of a record, in the low half of what round sorts.
func place(routed uint64) int { return int(routed & (1<<32 - 1)) } //nolint:gosec // 32 bits

// round puts the records at some places to the shards of v, as far as the limits allow, and waits for them. It returns
// the places of those that were refused because their shard is closed.
func (s *Stream) round(ctx context.Context, l *limit.Limiter, v *view, records []Record, which []int, out []Result) (refused []int, err error) {
	routed := make([]uint64, 0, len(which)) // shard, place
	for _, i := range which {
		hash := records[i].Hash
		if hash == nil {
			h := core.HashPartitionKey(records[i].Key)
			hash = &h
		}
		shard, err := v.route(*hash)
		if err != nil {
			return which, err
		}
		if id := v.open[shard].shard.ID; !l.Write(limit.Shard{Stream: s.id, ID: id}, len(records[i].Key)+len(records[i].Data)) {
			out[i] = Result{Shard: id, Err: &limit.ExceededError{Shard: id}}
			continue
		}
		routed = append(routed, uint64(shard)<<32|uint64(i)) //nolint:gosec // both are places in slices
	}
	if v.Encryption != nil {
		if records, err = s.encrypted(ctx, v, records, routed); err != nil {
			return which, err
		}
	}
	slices.Sort(routed) // by shard, and within one in the order of the call
	runs := make([][]uint64, 0, min(len(routed), len(v.open)))
	for len(routed) > 0 {
		n := 1
		for n < len(routed) && routed[n]>>32 == routed[0]>>32 {
			n++
		}
		v.open[routed[0]>>32].claim() // those of all shards at once
		runs, routed = append(runs, routed[:n]), routed[n:]
	}
	runs = claimed(ctx, v, runs, out)
	pieces, sent := make([]piece, 0, len(runs)), make([]flight, 0, len(runs))
	for _, run := range runs {
		pieces, sent = v.open[run[0]>>32].addAll(pieces, sent, records, run)
	}
	if len(sent) > 0 {
		go land(sent)
	}
	for _, p := range pieces {
		p.wait(ctx, out)
	}
	for _, i := range which {
		if errors.Is(out[i].Err, ErrShardClosed) {
			refused = append(refused, i)
		}
	}
	return refused, nil
}

// claimed waits until the logs of all runs are claimed, and returns the runs without those where that failed.
func claimed(ctx context.Context, v *view, runs [][]uint64, out []Result) [][]uint64 {
	return slices.DeleteFunc(runs, func(run []uint64) bool {
		w := v.open[run[0]>>32]
		err := w.claimed(ctx)
		if err != nil {
			for _, i := range run {
				out[place(i)] = Result{Shard: w.shard.ID, Err: err}
			}
		}
		return err != nil
	})
}

// addAll adds the records of one run in pieces of bounded size.
func (w *shardWriter) addAll(pieces []piece, sent []flight, records []Record, run []uint64) ([]piece, []flight) {
	for len(run) > 0 {
		n, size := 0, 0
		for n < len(run) && n < maxEntryRows && (n == 0 || size < maxEntryBytes) {
			size += len(records[place(run[n])].Data)
			n++
		}
		var p piece
		p, sent = w.add(sent, records, run[:n])
		pieces, run = append(pieces, p), run[n:]
	}
	return pieces, sent
}
