package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/penstock/penstock/core/shardlog"
)

// segIndex says what stands where in a segment. Its bytes, in docs/format/segment.md, are the index file and stand in
// the segment's footer too, so that the loss of either file's part costs nothing.
type segIndex struct {
	source  uint64 // id of the commit-log file that the segment was made from
	size    int64  // of the segment
	head    uint32 // length of what stands before the first block: the magic and the schema
	headCRC uint32
	logs    []segLog
	blocks  []segBlock // by log, then by position
}

// segLog is one log's share of a segment.
type segLog struct {
	id      shardlog.LogID
	born    uint64       // number of the group that created the log: another log of this id has another
	first   shardlog.Pos // of its entries here
	last    shardlog.Pos
	prev    shardlog.Pos // of the DATA entry before the first one; 0 if there never was one
	arrival int64        // of the last one
	block   uint32       // its first block
	blocks  uint32
	bytes   int64 // of its blocks; not stored
}

// segBlock is one record batch of a segment: entries of one log, one after the other.
type segBlock struct {
	offset  int64
	first   shardlog.Pos
	last    shardlog.Pos
	prev    shardlog.Pos
	arrival int64 // of the last entry
	table   int64 // offset of its entry table in the index
	size    uint32
	crc     uint32
	rows    uint32
	entries uint32
	tabLen  uint32
	tabCRC  uint32
}

// segEntry is what is known of an entry beside its rows.
type segEntry struct {
	pos     shardlog.Pos
	epoch   shardlog.Epoch
	arrival int64
	rows    int
	chain   uint32
}

const (
	indexMagic   = "PENSTIDX"
	indexVersion = 1
	indexHeader  = 64
	segLogFixed  = 56
	segBlockSize = 72
)

var errIndex = errors.New("the index is damaged")

// encode returns the index's bytes. tables are the blocks' entry tables, one after the other.
func (x *segIndex) encode(tables []byte) []byte {
	le := binary.LittleEndian
	b := make([]byte, indexHeader)
	for _, l := range x.logs {
		for _, v := range []int64{int64(l.first), int64(l.last), int64(l.prev), l.arrival, int64(l.born)} { //nolint:gosec // its bits are kept
			b = le.AppendUint64(b, uint64(v)) //nolint:gosec // its bits are kept
		}
		b = le.AppendUint32(b, l.block)
		b = le.AppendUint32(b, l.blocks)
		b = append(b, byte(len(l.id)), 0, 0, 0, 0, 0, 0, 0) //nolint:gosec // ids have at most 64 characters
		b = append(b, l.id...)
		for len(b)%groupAlign != 0 {
			b = append(b, 0)
		}
	}
	logs := len(b) - indexHeader
	start := int64(len(b) + len(x.blocks)*segBlockSize)
	for _, k := range x.blocks {
		for _, v := range []int64{k.offset, int64(k.first), int64(k.last), int64(k.prev), k.arrival, start + k.table} {
			b = le.AppendUint64(b, uint64(v)) //nolint:gosec // its bits are kept
		}
		for _, v := range []uint32{k.size, k.crc, k.rows, k.entries, k.tabLen, k.tabCRC} {
			b = le.AppendUint32(b, v)
		}
	}
	copy(b, indexMagic)
	le.PutUint32(b[8:], indexVersion)
	le.PutUint32(b[12:], uint32(len(x.logs))) //nolint:gosec // bounded by the file
	le.PutUint64(b[16:], x.source)
	le.PutUint64(b[24:], uint64(x.size))        //nolint:gosec // a size
	le.PutUint32(b[32:], uint32(len(x.blocks))) //nolint:gosec // bounded by the file
	le.PutUint32(b[36:], uint32(logs))          //nolint:gosec // bounded by the file
	le.PutUint32(b[40:], x.head)
	le.PutUint32(b[44:], x.headCRC)
	le.PutUint64(b[48:], uint64(start)+uint64(len(tables))) //nolint:gosec // sizes
	le.PutUint32(b[56:], crc32.Checksum(b[indexHeader:], castagnoli))
	le.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return append(b, tables...)
}

// indexSizes are the lengths that an index's header gives: of the log table, of both tables with the header, of all.
type indexSizes struct{ logs, tables, all int64 }

// decodeIndexHeader reads the header, which says how much more there is to read.
func decodeIndexHeader(b []byte) (indexSizes, error) {
	le := binary.LittleEndian
	if len(b) < indexHeader || string(b[:8]) != indexMagic || le.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli) {
		return indexSizes{}, errIndex
	}
	if v := le.Uint32(b[8:]); v != indexVersion {
		return indexSizes{}, fmt.Errorf("the index has format %d, this version reads %d: use the version of penstock that wrote it", v, indexVersion)
	}
	s := indexSizes{logs: int64(le.Uint32(b[36:])), all: int64(le.Uint64(b[48:]))} //nolint:gosec // checked below
	s.tables = indexHeader + s.logs + int64(le.Uint32(b[32:]))*segBlockSize
	if s.all < s.tables || s.all > math.MaxInt32 {
		return indexSizes{}, errIndex
	}
	return s, nil
}

// decodeIndex reads the header, the log table and the block table; the entry tables need not be there.
func decodeIndex(b []byte) (*segIndex, error) {
	s, err := decodeIndexHeader(b)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	if int64(len(b)) < s.tables || le.Uint32(b[56:]) != crc32.Checksum(b[indexHeader:s.tables], castagnoli) {
		return nil, errIndex
	}
	x := &segIndex{
		source: le.Uint64(b[16:]), size: int64(le.Uint64(b[24:])), head: le.Uint32(b[40:]), headCRC: le.Uint32(b[44:]), //nolint:gosec // its bits are kept
	}
	blocks := le.Uint32(b[32:])
	rest := b[indexHeader : indexHeader+s.logs]
	for range le.Uint32(b[12:]) {
		l, n := decodeSegLog(rest)
		if n == 0 || uint64(l.block)+uint64(l.blocks) > uint64(blocks) || l.blocks == 0 {
			return nil, errIndex
		}
		x.logs = append(x.logs, l)
		rest = rest[n:]
	}
	x.blocks = make([]segBlock, blocks)
	for i := range x.blocks {
		at := indexHeader + s.logs + int64(i)*segBlockSize
		x.blocks[i] = decodeSegBlock(b[at : at+segBlockSize])
		if !x.blocks[i].sane(x.size, s) {
			return nil, errIndex
		}
	}
	for i := range x.logs {
		l := &x.logs[i]
		for _, k := range x.blocks[l.block : l.block+l.blocks] {
			l.bytes += int64(k.size)
		}
	}
	return x, nil
}

// decodeSegLog reads one row of the log table, and how many bytes it takes; 0 if it is cut off.
func decodeSegLog(b []byte) (segLog, int) {
	if len(b) < segLogFixed {
		return segLog{}, 0
	}
	le := binary.LittleEndian
	n := int(align(int64(segLogFixed) + int64(b[48])))
	if n > len(b) {
		return segLog{}, 0
	}
	return segLog{
		id:    shardlog.LogID(b[segLogFixed : segLogFixed+int(b[48])]),
		first: shardlog.Pos(le.Uint64(b)), last: shardlog.Pos(le.Uint64(b[8:])), prev: shardlog.Pos(le.Uint64(b[16:])), //nolint:gosec // its bits are kept
		arrival: int64(le.Uint64(b[24:])), born: le.Uint64(b[32:]), block: le.Uint32(b[40:]), blocks: le.Uint32(b[44:]), //nolint:gosec // its bits are kept
	}, n
}

func decodeSegBlock(b []byte) segBlock {
	le := binary.LittleEndian
	return segBlock{
		offset: int64(le.Uint64(b)), first: shardlog.Pos(le.Uint64(b[8:])), last: shardlog.Pos(le.Uint64(b[16:])), //nolint:gosec // its bits are kept
		prev: shardlog.Pos(le.Uint64(b[24:])), arrival: int64(le.Uint64(b[32:])), table: int64(le.Uint64(b[40:])), //nolint:gosec // its bits are kept
		size: le.Uint32(b[48:]), crc: le.Uint32(b[52:]), rows: le.Uint32(b[56:]), entries: le.Uint32(b[60:]),
		tabLen: le.Uint32(b[64:]), tabCRC: le.Uint32(b[68:]),
	}
}

func (k segBlock) sane(size int64, s indexSizes) bool {
	return k.offset >= 0 && k.offset <= size-int64(k.size) && k.table >= s.tables && k.table <= s.all-int64(k.tabLen) &&
		k.first <= k.last && k.entries > 0 && k.entries <= k.tabLen
}

// appendEntry appends e, which follows prev, to a block's entry table.
func appendEntry(b []byte, prev, e segEntry) []byte {
	b = binary.AppendVarint(b, int64(e.pos-prev.pos))
	b = binary.AppendVarint(b, int64(e.epoch-prev.epoch)) //nolint:gosec // its bits are kept
	b = binary.AppendVarint(b, e.arrival-prev.arrival)
	b = binary.AppendUvarint(b, uint64(e.rows)) //nolint:gosec // at most MaxRows
	return binary.LittleEndian.AppendUint32(b, e.chain)
}

// decodeEntryTable reads the entry table of k and checks that it is what k says.
func decodeEntryTable(b []byte, k segBlock) ([]segEntry, error) {
	if len(b) != int(k.tabLen) || crc32.Checksum(b, castagnoli) != k.tabCRC {
		return nil, errIndex
	}
	out := make([]segEntry, 0, k.entries)
	var e segEntry
	rows := uint64(0)
	for range k.entries {
		pos, n1 := binary.Varint(b)
		epoch, n2 := binary.Varint(b[max(n1, 0):])
		arrival, n3 := binary.Varint(b[max(n1+n2, 0):])
		count, n4 := binary.Uvarint(b[max(n1+n2+n3, 0):])
		at := n1 + n2 + n3 + n4
		if n1 <= 0 || n2 <= 0 || n3 <= 0 || n4 <= 0 || len(b) < at+4 || count > shardlog.MaxRows || pos <= 0 && len(out) > 0 {
			return nil, errIndex
		}
		e.pos += shardlog.Pos(pos)
		e.epoch += shardlog.Epoch(epoch) //nolint:gosec // its bits are kept
		e.arrival += arrival
		e.rows, e.chain = int(count), binary.LittleEndian.Uint32(b[at:])
		rows += count
		out = append(out, e)
		b = b[at+4:]
	}
	if len(b) != 0 || rows != uint64(k.rows) || out[0].pos != k.first || e.pos != k.last {
		return nil, errIndex
	}
	return out, nil
}
