package local

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/vfs"
)

const (
	segFolder    = "segments"
	segSuffix    = ".arrow"
	indexSuffix  = ".index"
	sharedPrefix = "shared-"
)

// segment is a file of entries that left the commit log. What it holds of a log is known by the log's runs; the rest
// of its index is read when it is needed.
type segment struct {
	name string
	id   shardlog.LogID // whose it is; empty if logs share it
	live int            // logs that read from it; Engine.mu guards it
}

// run is what one commit-log file held of a log, in one segment for each of its schemas. The runs of a log are in
// order and do not overlap.
type run struct {
	source  uint64
	first   shardlog.Pos
	last    shardlog.Pos
	prev    shardlog.Pos // of the DATA entry before the first one
	arrival int64        // of the last one
	parts   []part
}

// part is a log's share of one segment.
type part struct {
	seg *segment
	log segLog
}

// add makes p a part of r.
func (r *run) add(p part) {
	if len(r.parts) == 0 || p.log.first < r.first {
		r.first, r.prev = p.log.first, p.log.prev
	}
	r.last, r.arrival = max(r.last, p.log.last), max(r.arrival, p.log.arrival)
	r.parts = append(r.parts, p)
}

func segName(dir string, id shardlog.LogID, first shardlog.Pos) string {
	return filepath.Join(dir, segFolder, string(id), fmt.Sprintf("%016x%s", uint64(first), segSuffix)) //nolint:gosec // positions are not negative
}

func sharedName(dir string, source uint64, n int) string {
	return filepath.Join(dir, segFolder, fmt.Sprintf("%s%016x-%d%s", sharedPrefix, source, n, segSuffix))
}

// parseSegName is the first position that a log's own segment has by its name.
func parseSegName(name string) (shardlog.Pos, bool) {
	pos, err := strconv.ParseInt(strings.TrimSuffix(filepath.Base(name), segSuffix), 16, 64)
	return shardlog.Pos(pos), err == nil && strings.HasSuffix(name, segSuffix)
}

// openSegment is a segment whose files are open and whose index is read. Safe for concurrent use.
type openSegment struct {
	seg    *segment
	data   vfs.File
	size   int64    // of data
	side   vfs.File // the index file; nil when all of the index is in memory
	index  *segIndex
	schema []byte // its message

	mu    sync.Mutex
	whole []byte // the index from the footer, read where the index file is damaged
}

var errShort = errors.New("the file is shorter than it was")

// openSeg opens a segment. Errors that are not the file system's say what is damaged.
func openSeg(fs vfs.FS, seg *segment) (*openSegment, error) {
	data, err := fs.Open(seg.name)
	if err != nil {
		return nil, err
	}
	o := &openSegment{seg: seg, data: data}
	if o.size, err = data.Size(); err != nil {
		return nil, errors.Join(err, data.Close())
	}
	if o.side, err = fs.Open(indexName(seg.name)); err == nil {
		if o.index, err = readIndex(o.side); err == nil {
			err = o.misnamed()
		}
	}
	if err != nil { // the footer has it too
		if err = o.useFooter(); err == nil {
			err = o.misnamed()
		}
	}
	if err == nil {
		err = o.readSchema()
	}
	if err != nil {
		return nil, errors.Join(err, o.close())
	}
	return o, nil
}

// misnamed says whether the index is another segment's.
func (o *openSegment) misnamed() error {
	if o.seg.id == "" {
		if want := fmt.Sprintf("%s%016x-", sharedPrefix, o.index.source); !strings.HasPrefix(filepath.Base(o.seg.name), want) {
			return errors.New("the file was renamed: its name began with " + want)
		}
		return nil
	}
	first, _ := parseSegName(o.seg.name)
	if logs := o.index.logs; len(logs) != 1 || logs[0].id != o.seg.id || logs[0].first != first {
		return errors.New("the file was renamed: it holds other entries than its name says")
	}
	return nil
}

// readIndex reads an index file but for its entry tables.
func readIndex(f vfs.File) (*segIndex, error) {
	b := make([]byte, 4096)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	s, err := decodeIndexHeader(b[:n])
	if err != nil {
		return nil, err
	}
	if int64(n) < s.tables {
		size, err := f.Size()
		if err != nil {
			return nil, err
		}
		if size < s.tables {
			return nil, errIndex
		}
		b = make([]byte, s.tables)
		if err := readFull(f, b, 0); err != nil {
			return nil, err
		}
	}
	return decodeIndex(b[:s.tables])
}

// useFooter takes the index from the segment's footer.
func (o *openSegment) useFooter() error {
	b, err := footerIndex(o.data)
	if err != nil {
		return fmt.Errorf("%w, and %w", errIndex, err)
	}
	if o.index, err = decodeIndex(b); err != nil {
		return fmt.Errorf("%w in the footer too", err)
	}
	o.whole = b
	return nil
}

func (o *openSegment) readSchema() error {
	if o.index.head < 16 || int64(o.index.head) > o.index.size {
		return errIndex
	}
	if int64(o.index.head) > o.size {
		return errShort
	}
	b := make([]byte, o.index.head)
	if err := readFull(o.data, b, 0); err != nil {
		return err
	}
	if crc32.Checksum(b, castagnoli) != o.index.headCRC {
		return errors.New("the schema does not match its checksum")
	}
	o.schema = b[16:]
	return nil
}

func (o *openSegment) close() error {
	if o.side == nil {
		return o.data.Close()
	}
	return errors.Join(o.data.Close(), o.side.Close())
}

// entries reads the entry table of a block.
func (o *openSegment) entries(k segBlock) ([]segEntry, error) {
	if out, err := o.sideEntries(k); err == nil {
		return out, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.whole == nil {
		var err error
		if o.whole, err = footerIndex(o.data); err != nil {
			return nil, fmt.Errorf("%w, and %w", errIndex, err)
		}
	}
	if end := k.table + int64(k.tabLen); end <= int64(len(o.whole)) {
		return decodeEntryTable(o.whole[k.table:end], k)
	}
	return nil, fmt.Errorf("%w in the footer too", errIndex)
}

// sideEntries reads the entry table of a block from the index file.
func (o *openSegment) sideEntries(k segBlock) ([]segEntry, error) {
	if o.side == nil {
		return nil, errIndex
	}
	size, err := o.side.Size()
	if err != nil || k.table+int64(k.tabLen) > size { // before memory is taken
		return nil, errIndex
	}
	b := make([]byte, k.tabLen)
	if err := readFull(o.side, b, k.table); err != nil {
		return nil, err
	}
	return decodeEntryTable(b, k)
}

// block reads the rows of a block.
func (o *openSegment) block(k segBlock) (arrow.Record, error) {
	if k.offset+int64(k.size) > o.size { // before memory is taken
		return nil, errShort
	}
	b := make([]byte, k.size)
	if err := readFull(o.data, b, k.offset); err != nil {
		return nil, err
	}
	if crc32.Checksum(b, castagnoli) != k.crc {
		return nil, errors.New("a block of entries does not match its checksum")
	}
	d, err := newDecoder(o.schema)
	if err != nil {
		return nil, err
	}
	defer d.r.Release()
	rec, err := d.decodeMessage(b)
	if err == nil && rec.NumRows() != int64(k.rows) {
		rec.Release()
		return nil, fmt.Errorf("a block has %d rows, not %d", rec.NumRows(), k.rows)
	}
	return rec, err
}

// blocksOf are the blocks of a log's share.
func (o *openSegment) blocksOf(l segLog) []segBlock {
	if int(l.block)+int(l.blocks) > len(o.index.blocks) {
		return nil // the file was exchanged for another
	}
	return o.index.blocks[l.block : l.block+l.blocks]
}

// blockAt is the first block that ends at or after pos.
func blockAt(blocks []segBlock, pos shardlog.Pos) int {
	return sort.Search(len(blocks), func(i int) bool { return blocks[i].last >= pos })
}
