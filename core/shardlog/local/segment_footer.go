package local

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	flatbuffers "github.com/google/flatbuffers/go"

	"github.com/penstock/penstock/core/vfs"
)

// Arrow's writer leaves a file's custom metadata out, so the footer that it wrote gets a new root that has it. In a
// flatbuffer everything is referred to by its distance, so what the old root refers to stays as it is.

const (
	arrowMagic   = "ARROW1"
	metaIndex    = "penstock.index"  // the index, in base64
	metaChecksum = "penstock.crc32c" // of each record batch's message and body, in hex
)

// The fields of an Arrow footer, in the order of its schema.
const (
	footerVersion = iota
	footerSchema
	footerDictionaries
	footerBatches
	footerMetadata
	footerFields
)

// endOfStream stands between the last batch and the footer, so that a reader of streams finds the end too.
var endOfStream = []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}

// withMetadata returns the end of an Arrow file, as its writer wrote it, with pairs of keys and values in its footer.
func withMetadata(end []byte, pairs ...string) ([]byte, error) {
	old, ok := cutFooter(end)
	if !ok {
		return nil, errors.New("the Arrow writer's footer is not where it should be")
	}
	for len(old)%8 != 0 {
		old = append(old, 0)
	}
	root := flatbuffers.Table{Bytes: old, Pos: flatbuffers.GetUOffsetT(old)}
	b := flatbuffers.NewBuilder(2*len(old) + 1024)
	b.Prep(8, len(old))
	b.Pad(len(old))
	copy(b.Bytes[b.Head():], old)
	base := b.Offset() // of the old footer's first byte, from the end as a builder counts
	var kvs []flatbuffers.UOffsetT
	for i := 0; i+1 < len(pairs); i += 2 {
		k, v := b.CreateString(pairs[i]), b.CreateString(pairs[i+1])
		b.StartObject(2)
		b.PrependUOffsetTSlot(0, k, 0)
		b.PrependUOffsetTSlot(1, v, 0)
		kvs = append(kvs, b.EndObject())
	}
	b.StartVector(4, len(kvs), 4)
	for i := len(kvs) - 1; i >= 0; i-- {
		b.PrependUOffsetT(kvs[i])
	}
	meta := b.EndVector(len(kvs))
	b.StartObject(footerFields)
	if o := slot(root, footerVersion); o != 0 {
		b.PrependInt16Slot(footerVersion, root.GetInt16(root.Pos+o), 0)
	}
	for _, field := range []int{footerSchema, footerDictionaries, footerBatches} {
		if o := slot(root, field); o != 0 {
			b.PrependUOffsetTSlot(field, base-root.Indirect(root.Pos+o), 0)
		}
	}
	b.PrependUOffsetTSlot(footerMetadata, meta, 0)
	b.Finish(b.EndObject())
	out := append([]byte(nil), endOfStream...)
	out = append(out, b.FinishedBytes()...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(b.FinishedBytes()))) //nolint:gosec // bounded by the index
	return append(out, arrowMagic...), nil
}

// slot is where a field stands in a table; 0 if it is not there.
func slot(t flatbuffers.Table, field int) flatbuffers.UOffsetT {
	return flatbuffers.UOffsetT(t.Offset(flatbuffers.VOffsetT(4 + 2*field))) //nolint:gosec // few fields
}

// cutFooter returns the footer that stands at the end of b.
func cutFooter(b []byte) ([]byte, bool) {
	trailer := len(b) - len(arrowMagic) - 4
	if trailer < 0 || string(b[trailer+4:]) != arrowMagic {
		return nil, false
	}
	size := int(binary.LittleEndian.Uint32(b[trailer:]))
	if size < 8 || size > trailer {
		return nil, false
	}
	return b[trailer-size : trailer : trailer], true
}

var errFooter = errors.New("the footer is damaged")

// footerIndex reads a segment's index from its footer.
func footerIndex(f vfs.File) ([]byte, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	const trailer = int64(len(arrowMagic) + 4)
	if size < trailer {
		return nil, errFooter
	}
	b := make([]byte, trailer)
	if err := readFull(f, b, size-trailer); err != nil {
		return nil, err
	}
	n := int64(binary.LittleEndian.Uint32(b))
	if string(b[4:]) != arrowMagic || n < 8 || n > size-trailer {
		return nil, errFooter
	}
	b = make([]byte, n)
	if err := readFull(f, b, size-trailer-n); err != nil {
		return nil, err
	}
	text, err := metadata(b, metaIndex)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(base64.NewDecoder(base64.StdEncoding, strings.NewReader(text)))
}

// metadata is a value of the custom metadata in an Arrow footer.
func metadata(footer []byte, key string) (value string, err error) {
	defer func() { // a damaged footer refers to what is not there
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errFooter, p)
		}
	}()
	footer = footer[:len(footer):len(footer)] // what lies behind is not part of it
	root := flatbuffers.Table{Bytes: footer, Pos: flatbuffers.GetUOffsetT(footer)}
	o := slot(root, footerMetadata)
	if o == 0 {
		return "", fmt.Errorf("%w: it has no metadata", errFooter)
	}
	for i := range min(root.VectorLen(o), len(footer)) {
		at := root.Vector(o) + flatbuffers.UOffsetT(i)*4 //nolint:gosec // bounded by the footer
		kv := flatbuffers.Table{Bytes: footer, Pos: root.Indirect(at)}
		k, v := slot(kv, 0), slot(kv, 1)
		if k != 0 && v != 0 && string(kv.ByteVector(kv.Pos+k)) == key {
			return string(kv.ByteVector(kv.Pos + v)), nil
		}
	}
	return "", fmt.Errorf("%w: it has no %s", errFooter, key)
}

// readFull fills b from off on.
func readFull(f vfs.File, b []byte, off int64) error {
	if n, err := f.ReadAt(b, off); n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	return nil
}
