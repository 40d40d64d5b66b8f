package local

import (
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"syscall"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/penstock/penstock/core/shardlog"
)

// block is a block of a segment in memory, with a reader's place in it.
type block struct {
	segBlock
	born  uint64 // of its log
	table []segEntry
	rows  arrow.Record
	i     int // the reader's next entry
	row   int // and its first row
}

// holds reports whether the first entry at or after pos is in b.
func (b *block) holds(born uint64, pos shardlog.Pos) bool {
	return b != nil && b.born == born && b.prev < pos && pos <= b.last
}

// take is the first entry at or after pos, with its rows, which the caller releases. pos must not fall.
func (b *block) take(pos shardlog.Pos) (segEntry, arrow.Record) {
	for b.table[b.i].pos < pos {
		b.row += b.table[b.i].rows
		b.i++
	}
	e := b.table[b.i]
	return e, b.rows.NewSlice(int64(b.row), int64(b.row+e.rows))
}

// located is a block that was found but not read.
type located struct {
	seg *segment
	segBlock
}

// locate finds the block of r with the first entry at or after pos.
func (e *Engine) locate(r run, pos shardlog.Pos) (located, error) {
	var found located
	for _, p := range r.parts {
		if p.log.last < pos {
			continue
		}
		err := e.useSegment(p.seg, func(o *openSegment) error {
			blocks := o.blocksOf(p.log)
			i := blockAt(blocks, pos)
			if i == len(blocks) {
				return errExchanged
			}
			if found.entries == 0 || blocks[i].first < found.first {
				found = located{p.seg, blocks[i]}
			}
			return nil
		})
		if err != nil {
			return located{}, err
		}
	}
	return found, nil
}

var errExchanged = errors.New("the file is not the one that it was")

// readBlock reads the block of r with the first entry at or after pos. errGone: look up again where it is.
func (e *Engine) readBlock(id shardlog.LogID, r run, born uint64, pos shardlog.Pos) (*block, error) {
	k, err := e.locate(r, pos)
	if err != nil {
		return nil, err
	}
	if k.prev >= pos {
		return nil, e.gap(id, pos, k.prev)
	}
	b := &block{segBlock: k.segBlock, born: born}
	err = e.useSegment(k.seg, func(o *openSegment) error {
		if b.table, err = o.entries(k.segBlock); err != nil {
			return placedError{k.offset, err}
		}
		if b.rows, err = o.block(k.segBlock); err != nil {
			return placedError{k.offset, err}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// placedError is an error with its place in a segment.
type placedError struct {
	offset int64
	err    error
}

func (d placedError) Error() string { return d.err.Error() }
func (d placedError) Unwrap() error { return d.err }

// useSegment calls f with an open segment. Damage is ErrCorrupt; errGone says that the segment is needed no more.
func (e *Engine) useSegment(seg *segment, f func(*openSegment) error) error {
	err := e.segs.use(seg, f)
	if err == nil || errors.Is(err, shardlog.ErrClosed) {
		return err
	}
	e.mu.Lock()
	gone := seg.live == 0
	e.mu.Unlock()
	if gone {
		return errGone
	}
	return segmentError(seg.name, err)
}

// segmentError is ErrCorrupt for damage, the error itself where the file system refused.
func segmentError(name string, err error) error {
	if errno := syscall.Errno(0); errors.As(err, &errno) && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read %s: %w", name, err)
	}
	var d placedError
	errors.As(err, &d)
	return fmt.Errorf("%s at byte %d: %w: %w. Restore it and its %s file from a copy; until then only reads of these "+
		"entries fail, and they go on behind them", name, d.offset, err, shardlog.ErrCorrupt, indexSuffix)
}

// gap is the error for entries from pos to last that must be there and are not.
func (e *Engine) gap(id shardlog.LogID, pos, last shardlog.Pos) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.gapLocked(id, pos, last)
}

func (e *Engine) gapLocked(id shardlog.LogID, pos, last shardlog.Pos) error {
	err := fmt.Errorf("entries of log %s from %d through %d are missing", id, pos, last)
	if l := e.logs[id]; l != nil && len(l.damage) > 0 {
		return fmt.Errorf("%w: %w", err, errors.Join(l.damage...))
	}
	if len(e.damage) > 0 {
		return fmt.Errorf("%w: %w", err, errors.Join(e.damage...))
	}
	return fmt.Errorf("%s at byte 0: %w: %w. Restore the segments in this folder, or the %s files beside it, from a copy; until "+
		"then only reads of these entries fail, and they go on behind them", segName(e.dir, id, pos), err, shardlog.ErrCorrupt, sharedPrefix+"*")
}

// runAt is the run with the first entry at or after pos that left the commit log.
func (l *logState) runAt(pos shardlog.Pos) (run, bool) {
	i := sort.Search(len(l.runs), func(i int) bool { return l.runs[i].last >= pos })
	if i == len(l.runs) {
		return run{}, false
	}
	return l.runs[i], true
}

// before is the position of the last DATA entry of r before pos, which is after r's first.
func (e *Engine) before(r run, pos shardlog.Pos) (shardlog.Pos, error) {
	if pos > r.last {
		return r.last, nil
	}
	k, err := e.locate(r, pos)
	if err != nil {
		return 0, err
	}
	if k.first >= pos {
		return k.prev, nil
	}
	table, err := e.table(k)
	if err != nil {
		return 0, err
	}
	return table[sort.Search(len(table), func(i int) bool { return table[i].pos >= pos })-1].pos, nil
}

func (e *Engine) table(k located) (table []segEntry, err error) {
	err = e.useSegment(k.seg, func(o *openSegment) error {
		if table, err = o.entries(k.segBlock); err != nil {
			return placedError{k.offset, err}
		}
		return nil
	})
	return table, err
}

// since is the position of the first entry of r that arrived at or after ms, and of the DATA entry before it. r's last
// entry did.
func (e *Engine) since(r run, ms int64) (pos, prev shardlog.Pos, err error) {
	var found located
	for _, p := range r.parts {
		if p.log.arrival < ms {
			continue
		}
		err := e.useSegment(p.seg, func(o *openSegment) error {
			blocks := o.blocksOf(p.log)
			i := sort.Search(len(blocks), func(i int) bool { return blocks[i].arrival >= ms })
			if i == len(blocks) {
				return errExchanged
			}
			if found.entries == 0 || blocks[i].first < found.first {
				found = located{p.seg, blocks[i]}
			}
			return nil
		})
		if err != nil {
			return 0, 0, err
		}
	}
	table, err := e.table(found)
	if err != nil {
		return 0, 0, err
	}
	i := sort.Search(len(table), func(i int) bool { return table[i].arrival >= ms })
	if i == len(table) {
		return 0, 0, segmentError(found.seg.name, placedError{found.offset, errIndex})
	}
	if i == 0 {
		return table[0].pos, found.prev, nil
	}
	return table[i].pos, table[i-1].pos, nil
}
