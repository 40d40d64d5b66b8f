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

// cursor reads one log: from memory at its tip, from the files behind it.
type cursor struct {
	e        *Engine
	id       shardlog.LogID
	from     shardlog.Pos
	opts     shardlog.ReadOpts
	last     arrow.Record // of the entry handed out
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
		r, wait, err := c.next()
		if err != nil {
			return shardlog.Entry{}, err
		}
		if r != nil {
			return c.entry(r)
		}
		if c.opts.NoWait {
			return shardlog.Entry{}, shardlog.ErrTip
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return shardlog.Entry{}, ctx.Err()
		}
	}
}

// next is where the next entry is stored, its record retained in c.last if it is in memory; or what to wait for.
func (c *cursor) next() (*ref, <-chan struct{}, error) {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	l, err := c.e.find(c.id)
	if err != nil {
		return nil, nil, err
	}
	if c.from < l.trim {
		return nil, nil, trimmed(c.id, c.from, l.trim)
	}
	if i := l.at(c.from); i < len(l.refs) {
		r := *l.refs[i] // a copy: the hot tail may drop the original's record at any time
		if r.hot != nil {
			r.hot.Retain()
			c.last = r.hot
		}
		return &r, nil, nil
	}
	if l.Sealed {
		return nil, nil, io.EOF
	}
	return nil, l.changed, nil
}

// entry reads what r says.
func (c *cursor) entry(r *ref) (shardlog.Entry, error) {
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
	if errors.Is(err, shardlog.ErrTrimmed) {
		return nil, fmt.Errorf("%s at %d: %w", c.id, r.pos, err)
	} else if err != nil {
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
	c.closed = true
	for _, d := range c.decoders {
		d.r.Release()
	}
	c.decoders = nil
	return nil
}
