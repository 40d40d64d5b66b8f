package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/penstock/penstock/core/shardlog"
)

// The bytes are in docs/format/commitlog.md. Integers are little-endian, checksums CRC32C.
const (
	fileMagic     = "PENSTOCK"
	formatVersion = 2 // 1 had states without the last DATA entry and the log's birth, and no segments
	headerSize    = 64
	groupMagic    = 0x50524750 // "PGRP"
	groupHeader   = 40
	groupAlign    = 8
	entryHeader   = 40
)

// Kinds of commit-log entries beyond those of shardlog. Their numbers are stored.
const (
	kindSchema shardlog.Kind = 16 // an Arrow schema that later entries of the file refer to
	kindCreate shardlog.Kind = 17
	kindDelete shardlog.Kind = 18
	kindTrim   shardlog.Kind = 19
	kindState  shardlog.Kind = 20 // a log's state when the file began
)

const flagEnd = 1 // of a group: no group follows in this file

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errTorn = errors.New("not a whole valid group")

// fileHeader begins a commit-log file.
type fileHeader struct {
	id    uint64
	prev  uint64 // file before it; 0 if none
	valid uint64 // how many bytes of prev count; its groups from there on are dead
	first uint64 // number of its first group; 0 in files of before this was noted
}

func (h fileHeader) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, fileMagic)
	le := binary.LittleEndian
	le.PutUint32(b[8:], formatVersion)
	le.PutUint64(b[16:], h.id)
	le.PutUint64(b[24:], h.prev)
	le.PutUint64(b[32:], h.valid)
	le.PutUint64(b[40:], h.first)
	le.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

func decodeFileHeader(b []byte) (fileHeader, error) {
	le := binary.LittleEndian
	if len(b) < headerSize || string(b[:8]) != fileMagic || le.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli) {
		return fileHeader{}, errTorn
	}
	if v := le.Uint32(b[8:]); v < 1 || v > formatVersion {
		return fileHeader{}, fmt.Errorf("the file has format %d, this version reads those up to %d: use the version of penstock that wrote it", v, formatVersion)
	}
	return fileHeader{le.Uint64(b[16:]), le.Uint64(b[24:]), le.Uint64(b[32:]), le.Uint64(b[40:])}, nil
}

// group is the header of a group.
type group struct {
	file   uint64
	number uint64
	prev   uint32 // checksum of the group before it, in whatever file
	length uint32 // of the payload, without padding
	flags  uint32
	crc    uint32 // of this header before the checksum, and the payload
}

// seal writes g's header over the first bytes of b, whose rest is the payload, and sets g.crc.
func (g *group) seal(b []byte) {
	le := binary.LittleEndian
	le.PutUint32(b[0:], groupMagic)
	le.PutUint32(b[4:], g.flags)
	le.PutUint64(b[8:], g.file)
	le.PutUint64(b[16:], g.number)
	le.PutUint32(b[24:], g.prev)
	le.PutUint32(b[28:], g.length)
	le.PutUint32(b[32:], 0)
	g.crc = crc32.Update(crc32.Checksum(b[:36], castagnoli), castagnoli, b[groupHeader:groupHeader+int(g.length)])
	le.PutUint32(b[36:], g.crc)
}

// decodeGroup reads the header and payload at the start of b. errTorn if they are not there whole.
func decodeGroup(b []byte) (g group, payload []byte, err error) {
	le := binary.LittleEndian
	if len(b) < groupHeader || le.Uint32(b) != groupMagic {
		return g, nil, errTorn
	}
	g = group{le.Uint64(b[8:]), le.Uint64(b[16:]), le.Uint32(b[24:]), le.Uint32(b[28:]), le.Uint32(b[4:]), le.Uint32(b[36:])}
	if g.length > maxGroup || int(g.length) > len(b)-groupHeader {
		return g, nil, errTorn
	}
	payload = b[groupHeader : groupHeader+int(g.length)]
	if crc32.Update(crc32.Checksum(b[:36], castagnoli), castagnoli, payload) != g.crc {
		return g, nil, errTorn
	}
	return g, payload, nil
}

// size is how many bytes a group takes in its file.
func (g group) size() int64 { return align(groupHeader + int64(g.length)) }

func align(n int64) int64 { return (n + groupAlign - 1) / groupAlign * groupAlign }

// entry is the header of an entry within a group, and its payload.
type entry struct {
	shardlog.Header
	id      shardlog.LogID
	pos     shardlog.Pos
	schema  uint64 // of DATA: which schema entry the payload is read with
	payload []byte
}

// beginEntry appends the header of e to b, with the payload to follow; endEntry sets its length.
func beginEntry(b []byte, e entry) []byte {
	var h [entryHeader]byte
	le := binary.LittleEndian
	h[4], h[5] = byte(e.Kind), byte(len(e.id)) //nolint:gosec // ids have at most 64 characters
	le.PutUint32(h[8:], e.Chain)
	le.PutUint64(h[12:], uint64(e.Epoch))
	le.PutUint64(h[20:], e.N)
	le.PutUint64(h[28:], uint64(e.pos)) //nolint:gosec // positions are not negative
	b = append(b, h[:]...)
	b = le.AppendUint64(b, uint64(millis(e.Arrival))) //nolint:gosec // its bits are kept
	b = le.AppendUint64(b, e.schema)
	return append(b, e.id...)
}

// endEntry sets the length of the entry that begins at start and ends with b, and pads b.
func endEntry(b []byte, start int) []byte {
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start)) //nolint:gosec // bounded by maxGroup
	for len(b)%groupAlign != 0 {
		b = append(b, 0)
	}
	return b
}

const entryFixed = entryHeader + 16

// decodeEntries calls f with each entry of a group's payload and its offset there. The payloads alias b.
func decodeEntries(b []byte, f func(offset int, e entry) error) error {
	le := binary.LittleEndian
	for off := 0; off < len(b); {
		if len(b)-off < entryFixed {
			return fmt.Errorf("entry at %d of the group is cut off", off)
		}
		size, idLen := int(le.Uint32(b[off:])), int(b[off+5])
		if size < entryFixed+idLen || size > len(b)-off {
			return fmt.Errorf("entry at %d of the group says it has %d bytes", off, size)
		}
		h := b[off : off+size]
		e := entry{
			Header: shardlog.Header{
				Kind: shardlog.Kind(h[4]), Chain: le.Uint32(h[8:]), Epoch: shardlog.Epoch(le.Uint64(h[12:])), N: le.Uint64(h[20:]),
				Arrival: time.UnixMilli(int64(le.Uint64(h[40:]))), //nolint:gosec // its bits are kept
			},
			pos: shardlog.Pos(le.Uint64(h[28:])), schema: le.Uint64(h[48:]), //nolint:gosec // its bits are kept
			id: shardlog.LogID(h[entryFixed : entryFixed+idLen]), payload: h[entryFixed+idLen:],
		}
		if err := f(off, e); err != nil {
			return err
		}
		off = int(align(int64(off + size)))
	}
	return nil
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
