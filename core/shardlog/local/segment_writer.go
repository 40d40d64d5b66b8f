package local

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/vfs"
)

// A block takes entries until it has this much. An entry never stands in two.
const (
	blockBytes = 1 << 20
	blockRows  = 8192
)

// syncEvery spreads what is to be synced, so that the log's own syncs do not wait for it.
const syncEvery = 8 << 20

// segWriter writes one segment under a temporary name: entries of one schema, log after log.
type segWriter struct {
	fs     vfs.FS
	name   string         // that it will have
	owner  shardlog.LogID // whose it is; empty if logs share it
	f      vfs.File
	schema *arrow.Schema
	w      *ipc.FileWriter
	alone  bool                  // entries of this schema cannot be gathered
	pace   func(bytes int) error // called after each block

	buf    []byte // what Arrow wrote and is not in the file yet
	end    int64  // of the file
	synced int64
	index  segIndex
	tables []byte

	// The block that is being gathered.
	recs  []arrow.Record
	bytes int
	block segBlock
	table []byte
	prev  segEntry
}

const temporary = ".tmp"

func indexName(segment string) string { return strings.TrimSuffix(segment, segSuffix) + indexSuffix }

func newSegWriter(fs vfs.FS, name string, source uint64, s *arrow.Schema, compression string, pace func(int) error) (*segWriter, error) {
	w := &segWriter{fs: fs, name: name, schema: s, pace: pace, index: segIndex{source: source}, alone: !gathers(s)}
	opts := []ipc.Option{ipc.WithSchema(s), ipc.WithAllocator(memory.DefaultAllocator)}
	switch compression {
	case "lz4":
		opts = append(opts, ipc.WithLZ4())
	case "zstd":
		opts = append(opts, ipc.WithZstd())
	}
	var err error
	if w.f, err = createNew(fs, name+temporary); err != nil {
		return nil, err
	}
	if w.w, err = ipc.NewFileWriter(w, opts...); err != nil {
		return nil, errors.Join(fmt.Errorf("begin %s: %w", name, err), w.abort())
	}
	return w, nil
}

// createNew creates a temporary file, in place of one that an earlier try left.
func createNew(files vfs.FS, name string) (vfs.File, error) {
	if err := files.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove %s: %w", name, err)
	}
	f, err := files.Create(name)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", name, err)
	}
	return f, nil
}

// Write takes what Arrow writes.
func (w *segWriter) Write(p []byte) (int, error) {
	w.buf = append(w.buf, p...)
	return len(p), nil
}

// Seek tells Arrow where it is.
func (w *segWriter) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekCurrent {
		return 0, errors.New("a segment is written from its beginning to its end")
	}
	return w.end + int64(len(w.buf)), nil
}

// beginLog begins a log's share.
func (w *segWriter) beginLog(id shardlog.LogID, born uint64) {
	w.index.logs = append(w.index.logs, segLog{id: id, born: born, block: uint32(len(w.index.blocks))}) //nolint:gosec // few
}

// add appends an entry, whose rows it retains until they are written. prev is the position of the log's DATA entry
// before it, in whatever file.
func (w *segWriter) add(e segEntry, prev shardlog.Pos, rec arrow.Record, size int) {
	if w.block.entries == 0 {
		w.block.first, w.block.prev, w.prev = e.pos, prev, segEntry{}
	}
	w.table = appendEntry(w.table, w.prev, e)
	w.prev = e
	rec.Retain()
	w.recs = append(w.recs, rec)
	w.bytes += size
	w.block.entries++
	w.block.rows += uint32(e.rows) //nolint:gosec // below MaxRows and blockRows together
	w.block.last, w.block.arrival = e.pos, e.arrival
	l := &w.index.logs[len(w.index.logs)-1]
	if l.first == 0 {
		l.first, l.prev = e.pos, prev
	}
	l.last, l.arrival = e.pos, e.arrival
}

// room reports whether the block takes another entry of so many bytes and rows that follows the last one: entries of
// other segments between them would make it unclear which comes first.
func (w *segWriter) room(prev shardlog.Pos, size, rows int) bool {
	return w.block.entries == 0 || !w.alone && prev == w.block.last && w.bytes+size <= blockBytes && int(w.block.rows)+rows <= blockRows
}

// flush writes the gathered block.
func (w *segWriter) flush() error {
	if w.block.entries == 0 {
		return nil
	}
	rec, err := concatenate(w.schema, w.recs)
	if err != nil {
		return fmt.Errorf("gather a block of %s: %w", w.name, err)
	}
	defer rec.Release()
	if err := w.w.Write(rec); err != nil {
		return fmt.Errorf("encode a block of %s: %w", w.name, err)
	}
	block := w.buf
	if w.index.head == 0 { // the magic and the schema stand before the first block
		w.index.head = 16 + binary.LittleEndian.Uint32(w.buf[12:])
		w.index.headCRC = crc32.Checksum(w.buf[:w.index.head], castagnoli)
		block = w.buf[w.index.head:]
	}
	k := w.block
	k.offset = w.end + int64(len(w.buf)-len(block))
	k.size, k.crc = uint32(len(block)), crc32.Checksum(block, castagnoli)                                         //nolint:gosec // below maxGroup
	k.table, k.tabLen, k.tabCRC = int64(len(w.tables)), uint32(len(w.table)), crc32.Checksum(w.table, castagnoli) //nolint:gosec // a few bytes an entry
	w.index.blocks = append(w.index.blocks, k)
	l := &w.index.logs[len(w.index.logs)-1]
	l.blocks++
	l.bytes += int64(k.size)
	w.tables = append(w.tables, w.table...)
	w.drop()
	return w.spill()
}

// drop forgets the gathered block.
func (w *segWriter) drop() {
	for _, r := range w.recs {
		r.Release()
	}
	clear(w.recs)
	w.recs, w.table, w.bytes, w.block = w.recs[:0], w.table[:0], 0, segBlock{}
}

// spill writes what Arrow wrote into the file.
func (w *segWriter) spill() error {
	n := len(w.buf)
	if _, err := w.f.WriteAt(w.buf, w.end); err != nil {
		return fmt.Errorf("write %s: %w", w.name, err)
	}
	w.end += int64(n)
	if w.buf = w.buf[:0]; cap(w.buf) > 4*blockBytes {
		w.buf = nil
	}
	if w.end-w.synced >= syncEvery {
		if err := w.f.Sync(); err != nil {
			return fmt.Errorf("sync %s: %w", w.name, err)
		}
		w.synced = w.end
	}
	return w.pace(n)
}

// finish writes the footer and the index file, makes both durable and gives them their names, which are durable only
// once their folder is synced.
func (w *segWriter) finish() error {
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.w.Close(); err != nil {
		return fmt.Errorf("end %s: %w", w.name, err)
	}
	w.index.size = w.end // of what the index speaks of
	b := w.index.encode(w.tables)
	sums := make([]string, len(w.index.blocks))
	for i, k := range w.index.blocks {
		sums[i] = fmt.Sprintf("%08x", k.crc)
	}
	end, err := withMetadata(w.buf, metaIndex, base64.StdEncoding.EncodeToString(b), metaChecksum, strings.Join(sums, " "))
	if err != nil {
		return fmt.Errorf("end %s: %w", w.name, err)
	}
	w.buf = end
	if err := w.spill(); err != nil {
		return err
	}
	if err := w.f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", w.name, err)
	}
	err = w.f.Close()
	w.f = nil
	if err != nil {
		return fmt.Errorf("close %s: %w", w.name, err)
	}
	if err := writeIndex(w.fs, w.name, b); err != nil {
		return err
	}
	if err := w.fs.Rename(w.name+temporary, w.name); err != nil {
		return fmt.Errorf("rename %s: %w", w.name+temporary, err)
	}
	return nil
}

// writeIndex writes a segment's index file. Its name is durable once its folder is synced.
func writeIndex(fs vfs.FS, segment string, b []byte) error {
	name := indexName(segment)
	f, err := createNew(fs, name+temporary)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = fs.Rename(name+temporary, name)
	}
	if err != nil {
		_ = fs.Remove(name + temporary)
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// abort gives the segment up.
func (w *segWriter) abort() error {
	w.drop()
	if w.f == nil {
		return nil
	}
	err := w.f.Close()
	w.f = nil
	return errors.Join(err, w.fs.Remove(w.name+temporary))
}

// gathers reports whether Arrow can concatenate the columns of s.
func gathers(s *arrow.Schema) bool {
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	defer b.Release()
	empty := b.NewRecord()
	defer empty.Release()
	rec, err := concatenate(s, []arrow.Record{empty, empty})
	if err != nil {
		return false
	}
	rec.Release()
	return true
}

// concatenate is the rows of recs in one record.
func concatenate(s *arrow.Schema, recs []arrow.Record) (arrow.Record, error) {
	if len(recs) == 1 {
		recs[0].Retain()
		return recs[0], nil
	}
	cols := make([]arrow.Array, s.NumFields())
	defer func() {
		for _, c := range cols {
			if c != nil {
				c.Release()
			}
		}
	}()
	rows := int64(0)
	for _, r := range recs {
		rows += r.NumRows()
	}
	parts := make([]arrow.Array, len(recs))
	for i := range cols {
		for j, r := range recs {
			parts[j] = r.Column(i)
		}
		var err error
		if cols[i], err = array.Concatenate(parts, memory.DefaultAllocator); err != nil {
			return nil, err
		}
	}
	return array.NewRecord(s, cols, rows), nil
}
