package local

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/penstock/penstock/core/shardlog"
)

// cursor reads one log: from memory at its tip, from the commit log behind it, from segments behind that.
type cursor struct {
	e        *Engine
	id       shardlog.LogID
	from     shardlog.Pos
	opts     shardlog.ReadOpts
	last     arrow.Record // of the entry handed out
	block    *block       // of the segment that it reads
	decoders map[*schema]*decoder
	closed   bool
}

var _ shardlog.Cursor = (*cursor)(nil)

// Read returns a cursor over the entries at or after from.
func (e *Engine) Read(_ context.Context, id shardlog.LogID, from shardlog.Pos, opts shardlog.ReadOpts) (shardlog.Cursor, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l, err := e.find(id)
	if err != nil {
		return nil, err
	}
	if from <= 0 {
		from = l.trim
	}
	if from < l.trim {
		return nil, trimmed(id, from, l.trim)
	}
	return &cursor{e: e, id: id, from: from, opts: opts, decoders: map[*schema]*decoder{}}, nil
}

func trimmed(id shardlog.LogID, from, first shardlog.Pos) error {
	return fmt.Errorf("%s at %d, its first entry is at %d: %w", id, from, first, shardlog.ErrTrimmed)
}

// Next returns the next entry.
func (c *cursor) Next(ctx context.Context) (shardlog.Entry, error) {
	c.drop()
	for {
		if c.closed {
			return shardlog.Entry{}, shardlog.ErrClosed
		}
		p, err := c.next()
		if err != nil {
			return shardlog.Entry{}, err
		}
		switch {
		case p.block:
			return c.stored(), nil
		case p.run != nil:
			if err := c.open(p); err != nil {
				return shardlog.Entry{}, err
			}
		case p.ref != nil:
			en, err := c.entry(p.ref)
			if errors.Is(err, errGone) {
				continue
			}
			return en, err
		case c.opts.NoWait:
			return shardlog.Entry{}, shardlog.ErrTip
		default:
			select {
			case <-p.wait:
			case <-ctx.Done():
				return shardlog.Entry{}, ctx.Err()
			}
		}
	}
}

// place is where the next entry is: in the cursor's block, in a segment, in the commit log, or nowhere yet.
type place struct {
	block bool
	run   *run
	born  uint64 // of the log, with run
	ref   *ref   // its record is retained in the cursor's last if it is in memory
	wait  <-chan struct{}
}

// next is where the next entry is.
func (c *cursor) next() (place, error) {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	l, err := c.e.find(c.id)
	if err != nil {
		return place{}, err
	}
	if c.from < l.trim {
		return place{}, trimmed(c.id, c.from, l.trim)
	}
	if c.block.holds(l.born, c.from) {
		return place{block: true}, nil
	}
	if r, ok := l.runAt(c.from); ok {
		return place{run: &r, born: l.born}, nil
	}
	if l.base >= c.from {
		return place{}, c.e.gapLocked(c.id, c.from, l.base)
	}
	if i := l.at(c.from); i < len(l.refs) {
		r := *l.refs[i] // a copy: the hot tail may drop the original's record at any time
		if r.hot != nil {
			r.hot.Retain()
			c.last = r.hot
		}
		return place{ref: &r}, nil
	}
	if l.Sealed {
		return place{}, io.EOF
	}
	return place{wait: l.wait()}, nil
}

// open reads the next block of a segment.
func (c *cursor) open(p place) error {
	c.forget()
	b, err := c.e.readBlock(c.id, *p.run, p.born, c.from)
	if errors.Is(err, errGone) {
		return nil
	}
	c.block = b
	return err
}

// stored is the next entry of the block.
func (c *cursor) stored() shardlog.Entry {
	e, rows := c.block.take(c.from)
	c.last, c.from = rows, e.pos+1
	return shardlog.Entry{Pos: e.pos, Epoch: e.epoch, Batch: shardlog.Batch{Rows: rows, Arrival: time.UnixMilli(e.arrival)}}
}

// forget gives up the block.
func (c *cursor) forget() {
	if c.block != nil {
		c.block.rows.Release()
		c.block = nil
	}
}

// entry reads what r says.
func (c *cursor) entry(r *ref) (shardlog.Entry, error) {
	c.forget()
	if r.hot == nil {
		rec, err := c.load(r)
		if err != nil {
			return shardlog.Entry{}, err
		}
		c.last = rec
	}
	c.from = r.pos + 1
	return shardlog.Entry{
		Pos: r.pos, Epoch: r.epoch, Batch: shardlog.Batch{Rows: c.last, Arrival: time.UnixMilli(r.arrival)},
	}, nil
}

// load reads an entry from its file and checks it against the log's chain.
func (c *cursor) load(r *ref) (arrow.Record, error) {
	b, err := r.file.read(r.offset, r.size)
	if err != nil {
		return nil, err
	}
	if shardlog.Chain(r.prev, crc32.Checksum(b, castagnoli)) != r.chain {
		return nil, corrupt(r.file.name, r.offset, fmt.Sprintf("entry %d of log %s does not match its checksum", r.pos, c.id))
	}
	d := c.decoders[r.schema]
	if d == nil {
		if d, err = newDecoder(r.schema.bytes); err != nil {
			return nil, corrupt(r.file.name, r.offset, err.Error())
		}
		c.decoders[r.schema] = d
	}
	rec, err := d.decode(b)
	if err != nil {
		delete(c.decoders, r.schema)
		return nil, corrupt(r.file.name, r.offset, err.Error())
	}
	return rec, nil
}

func (c *cursor) drop() {
	if c.last != nil {
		c.last.Release()
		c.last = nil
	}
}

// Close gives up the entry handed out.
func (c *cursor) Close() error {
	c.drop()
	c.forget()
	c.closed = true
	for _, d := range c.decoders {
		d.r.Release()
	}
	c.decoders = nil
	return nil
}
