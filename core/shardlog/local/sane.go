package local

import (
	"encoding/binary"
	"fmt"

	flatbuffers "github.com/google/flatbuffers/go"

	"github.com/penstock/penstock/core/shardlog"
)

// The Arrow library allocates and recurses as the flatbuffers of a message say, without a look at how long the message
// is, which ends the process where they are nonsense. So what it relies on is checked first. An index beyond the bytes
// panics, which the callers recover.

// Slots of the tables of Arrow's Message.fbs and Schema.fbs.
const (
	messageHeaderType = 6
	messageHeader     = 8
	messageBodyLength = 10
	messageMetadata   = 12

	schemaFields   = 6
	schemaMetadata = 8
	schemaFeatures = 10

	fieldTypeType = 8
	fieldType     = 10
	fieldChildren = 14
	fieldMetadata = 16
	unionTypeIDs  = 6

	batchLength      = 4
	batchNodes       = 6
	batchBuffers     = 8
	batchCompression = 10
	batchVariadic    = 12

	headerSchema = 1
	headerBatch  = 3
	typeUnion    = 14
)

// Bounds of a schema.
const (
	maxFields     = 10_000
	maxFieldDepth = 64
)

// saneSchema checks the message of a schema.
func saneSchema(b []byte) error {
	t, err := header(b, headerSchema)
	if err != nil {
		return err
	}
	if err := vectors(t, schemaMetadata, schemaFeatures); err != nil {
		return err
	}
	left := maxFields
	return saneFields(t, schemaFields, maxFieldDepth, &left)
}

// saneFields checks the fields in a vector of t, and theirs.
func saneFields(t flatbuffers.Table, slot flatbuffers.VOffsetT, depth int, left *int) error {
	if err := vectors(t, slot); err != nil {
		return err
	}
	at := flatbuffers.UOffsetT(t.Offset(slot))
	if at == 0 {
		return nil
	}
	n := t.VectorLen(at)
	if *left -= n; *left < 0 || depth == 0 {
		return fmt.Errorf("%w: more than %d fields, or deeper than %d", errPayload, maxFields, maxFieldDepth)
	}
	for i := range n {
		f := flatbuffers.Table{Bytes: t.Bytes, Pos: t.Indirect(t.Vector(at) + flatbuffers.UOffsetT(i)*4)} //nolint:gosec // below maxFields
		if err := vectors(f, fieldMetadata); err != nil {
			return err
		}
		kind, typ := f.Offset(fieldTypeType), f.Offset(fieldType)
		if kind != 0 && typ != 0 && f.GetByte(f.Pos+flatbuffers.UOffsetT(kind)) == typeUnion {
			var union flatbuffers.Table
			f.Union(&union, flatbuffers.UOffsetT(typ))
			if err := vectors(union, unionTypeIDs); err != nil {
				return err
			}
		}
		if err := saneFields(f, fieldChildren, depth-1, left); err != nil {
			return err
		}
	}
	return nil
}

// batchShape is how many field nodes and buffers a batch has. They follow from its schema.
type batchShape struct{ nodes, buffers int }

// saneBatch checks the message of a batch in the commit log, and that its buffers lie in its body.
func saneBatch(b, body []byte) (s batchShape, err error) {
	t, err := header(b, headerBatch)
	if err != nil {
		return s, err
	}
	if t.Offset(batchCompression) != 0 {
		return s, fmt.Errorf("%w: it is compressed, which no entry is", errPayload)
	}
	return saneBuffers(t, body, false)
}

// saneBlock checks the message of a block of a segment, which may be compressed.
func saneBlock(b, body []byte) (s batchShape, err error) {
	t, err := header(b, headerBatch)
	if err != nil {
		return s, err
	}
	return saneBuffers(t, body, t.Offset(batchCompression) != 0)
}

func saneBuffers(t flatbuffers.Table, body []byte, packed bool) (s batchShape, err error) {
	if t.Offset(batchVariadic) != 0 {
		return s, fmt.Errorf("%w: it has views, which no entry has", errPayload)
	}
	if n := t.GetInt64Slot(batchLength, 0); n < 0 || n > shardlog.MaxRows {
		return s, fmt.Errorf("%w: it has %d rows", errPayload, n)
	}
	if err := vectors(t, batchNodes, batchBuffers); err != nil {
		return s, err
	}
	if at := flatbuffers.UOffsetT(t.Offset(batchNodes)); at != 0 {
		s.nodes = t.VectorLen(at)
	}
	at := flatbuffers.UOffsetT(t.Offset(batchBuffers))
	if at == 0 {
		return s, nil
	}
	s.buffers = t.VectorLen(at)
	left := int64(len(body)) // buffers do not overlap
	unpacked := int64(maxGroup)
	for i := range s.buffers {
		x := t.Vector(at) + flatbuffers.UOffsetT(i)*16 //nolint:gosec // below the number of bytes
		off, n := t.GetInt64(x), t.GetInt64(x+8)
		if off < 0 || n < 0 || n > left || off > int64(len(body))-n {
			return s, fmt.Errorf("%w: a buffer of %d bytes at %d of %d", errPayload, n, off, len(body))
		}
		left -= n
		if packed && n > 0 {
			size := int64(binary.LittleEndian.Uint64(body[off : off+n])) //nolint:gosec // its bits are kept
			if size < -1 || size > unpacked {                            // -1: this one is not compressed
				return s, fmt.Errorf("%w: a buffer of %d bytes, uncompressed", errPayload, size)
			}
			unpacked -= max(0, size)
		}
	}
	return s, nil
}

// header is the table in a message of one kind.
func header(b []byte, kind byte) (flatbuffers.Table, error) {
	m := flatbuffers.Table{Bytes: b, Pos: flatbuffers.GetUOffsetT(b)}
	at := m.Offset(messageHeader)
	if m.GetByteSlot(messageHeaderType, 0) != kind || at == 0 {
		return m, fmt.Errorf("%w: it is another kind of message", errPayload)
	}
	if err := vectors(m, messageMetadata); err != nil {
		return m, err
	}
	var t flatbuffers.Table
	m.Union(&t, flatbuffers.UOffsetT(at))
	return t, nil
}

// vectors checks that vectors of t have no more elements than there are bytes.
func vectors(t flatbuffers.Table, slots ...flatbuffers.VOffsetT) error {
	for _, slot := range slots {
		if at := t.Offset(slot); at != 0 {
			if n := t.VectorLen(flatbuffers.UOffsetT(at)); n < 0 || n > len(t.Bytes)/4 {
				return fmt.Errorf("%w: a vector of %d elements in %d bytes", errPayload, n, len(t.Bytes))
			}
		}
	}
	return nil
}
