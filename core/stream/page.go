package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
)

// Page is what one look at a shard found.
type Page struct {
	Rows   core.Batch          // raw records, in order; none when nothing is there. The caller releases it
	Sealed []bool              // which of them are stored encrypted; those behind its end are not
	Next   core.SequenceNumber // to read after next; empty is the trim horizon
	Behind time.Duration       // how old the last record of the page is, while there are others after it; 0 at the tip
	Ended  bool                // the shard is closed and this is its end: its children are there
}

// Page returns what is durable after a sequence number, at most so many records and bytes of keys and data, but one
// record however large. It does not wait. Records that were trimmed or have expired are passed over.
func (s *Stream) Page(ctx context.Context, id core.ShardID, after core.SequenceNumber, records int, bytes int64) (Page, error) {
	p, err := s.page(ctx, id, after, records, bytes)
	if errors.Is(err, shardlog.ErrTrimmed) {
		p, err = s.page(ctx, id, "", records, bytes)
	}
	return p, err
}

func (s *Stream) page(ctx context.Context, id core.ShardID, after core.SequenceNumber, records int, bytes int64) (Page, error) {
	r, err := s.reader(ctx, id, after, after == "", shardlog.ReadOpts{NoWait: true})
	if err != nil {
		return Page{}, err
	}
	defer r.Close() //nolint:errcheck // a cursor has nothing to lose
	g := r.gather(ctx)
	defer g.release()
	p := Page{Next: after}
	tip := false
	for g.rows < int64(records) && g.bytes < bytes {
		en, err := r.cursor.Next(ctx)
		if errors.Is(err, shardlog.ErrTip) {
			tip = true
			break
		}
		if isEnd(err) {
			p.Ended = true
			break
		}
		if err == nil {
			err = g.add(en, r.skip)
		}
		if err != nil && g.rows == 0 {
			return Page{}, fmt.Errorf("read %s: %w", id, err)
		}
		if err != nil {
			break // after what was gathered
		}
	}
	if !tip && !p.Ended { // a bound was reached, maybe with the last record
		_, err := r.cursor.Next(ctx)
		tip = errors.Is(err, shardlog.ErrTip)
	}
	if p.Ended {
		if err := s.closed(ctx, id); err != nil {
			return Page{}, err
		}
	}
	if g.rows == 0 {
		return p, nil
	}
	whole, err := g.batch()
	if err != nil {
		return Page{}, err
	}
	p.Rows, p.Sealed = firstRows(whole, records, bytes), g.sealed
	n := int(p.Rows.NumRows())
	cut := p.Rows.NumRows() < whole.NumRows()
	whole.Release()
	p.Next = p.Rows.SequenceOf(n - 1)
	p.Ended = p.Ended && !cut
	if cut || !tip && !p.Ended {
		p.Behind = max(0, time.Since(time.UnixMilli(int64(p.Rows.Arrivals().Value(n-1)))))
	}
	return p, nil
}

// firstRows are as many rows of a raw batch as the bounds allow, and one at least.
func firstRows(b core.Batch, records int, bytes int64) core.Batch {
	keys, data := b.Keys(), b.Rows.Column(core.HiddenColumns).(*array.Binary)
	n, size := 0, int64(0)
	for n < min(int(b.NumRows()), records) {
		more := int64(keys.ValueLen(n) + data.ValueLen(n))
		if n > 0 && size+more > bytes {
			break
		}
		size += more
		n++
	}
	out := b.WithRows(b.Rows.NewSlice(0, int64(n)))
	out.Records, out.Bytes = int64(n), size
	out.Span = core.Span{First: out.SequenceOf(0), Last: out.SequenceOf(n - 1)}
	return out
}
