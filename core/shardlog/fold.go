package shardlog

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// Header is what the fold needs of a stored entry.
type Header struct {
	Kind    Kind
	Epoch   Epoch
	N       uint64    // counts the writer's entries in this epoch; OPEN is 0
	Chain   uint32    // CRC32C of the chain so far and this entry's payload; see Chain
	Arrival time.Time // of DATA
}

// State is what a log's entries say when folded in order. The zero State is an empty log.
type State struct {
	Tail
	N     uint64 // of the last entry that counts
	Chain uint32 // of the last entry that counts
}

// Counts reports whether an entry counts after s: OPEN iff its epoch is higher and the log is not sealed; DATA and
// SEAL iff their epoch is the current one and their number is the next. What does not count is invisible for ever.
func (s State) Counts(h Header) bool {
	if s.Sealed {
		return false
	}
	switch h.Kind {
	case KindOpen:
		return h.Epoch > s.Epoch
	case KindData, KindSeal:
		return h.Epoch == s.Epoch && s.Epoch != 0 && h.N == s.N+1
	default:
		return false
	}
}

// Apply returns the state after an entry at pos that counts.
func (s State) Apply(h Header, pos Pos) State {
	s.Last, s.Epoch, s.N, s.Chain = pos, h.Epoch, h.N, h.Chain
	switch h.Kind {
	case KindOpen:
		s.N = 0
	case KindSeal:
		s.Sealed = true
	case KindData:
		s.Arrival = h.Arrival
	}
	return s
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Chain is the chain value of an entry that follows one with chain prev: the CRC32C over prev and the payload's own
// CRC32C. It ties an entry to everything before it in its log.
func Chain(prev, payload uint32) uint32 {
	var b [8]byte
	binary.LittleEndian.PutUint32(b[:4], prev)
	binary.LittleEndian.PutUint32(b[4:], payload)
	return crc32.Checksum(b[:], castagnoli)
}
