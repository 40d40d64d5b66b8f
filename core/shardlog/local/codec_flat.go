package local

import (
	"encoding/binary"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	flatbuffers "github.com/google/flatbuffers/go"
)

// template is the metadata of a batch of a schema without nesting. That of every other batch without nulls differs from
// it only in numbers, at places that are the same in all: for entries of few rows, writing the numbers there costs a
// fraction of what building the message does.
type template struct {
	head                         []byte // the length, the metadata and padding
	rows, nodes, buffers, length int    // where the number of rows, the vectors and the length of the body are
}

// newTemplate is the template for s, nil if it has nesting or no columns. e encodes batches of s.
func newTemplate(e *encoder, s *arrow.Schema) (*template, error) {
	if s.NumFields() == 0 || slices.ContainsFunc(s.Fields(), func(f arrow.Field) bool { return !isFlat(f.Type) }) {
		return nil, nil
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	defer b.Release()
	for _, f := range b.Fields() {
		f.AppendEmptyValue() // a number that is 0 would be left out
	}
	rec := b.NewRecord()
	defer rec.Release()
	p, err := e.write(rec)
	if err != nil {
		return nil, err
	}
	meta := p.parts[0][8:]
	t, err := header(meta, headerBatch)
	if err != nil {
		return nil, err
	}
	m := flatbuffers.Table{Bytes: meta, Pos: flatbuffers.GetUOffsetT(meta)}
	vector := func(slot flatbuffers.VOffsetT) int { return 8 + int(t.Vector(flatbuffers.UOffsetT(t.Offset(slot)))) }
	return &template{
		head: p.parts[0], nodes: vector(batchNodes), buffers: vector(batchBuffers),
		rows:   8 + int(t.Pos) + int(t.Offset(batchLength)),
		length: 8 + int(m.Pos) + int(m.Offset(messageBodyLength)),
	}, nil
}

// isFlat reports whether a column of t is one buffer of numbers, or one of 32-bit offsets and one of bytes.
func isFlat(t arrow.DataType) bool {
	switch t.ID() { //nolint:exhaustive // the others are stored as the Arrow library does it
	case arrow.INT64, arrow.TIMESTAMP, arrow.STRING, arrow.BINARY:
		return true
	}
	return false
}

var zeros [groupAlign]byte

// encode returns rec as a payload, if it has no nulls and its columns' memory is just what is to be stored.
func (t *template) encode(rec arrow.Record) (payload, bool) {
	head, body := slices.Clone(t.head), int64(0)
	set := func(at int, n int64) { binary.LittleEndian.PutUint64(head[at:], uint64(n)) } //nolint:gosec // sizes
	parts := append(make([][]byte, 0, maxParts), head)
	node, buffer := t.nodes, t.buffers
	for _, c := range rec.Columns() {
		d := c.Data()
		if !isWhole(d) {
			return payload{}, false
		}
		set(node, rec.NumRows())
		set(node+8, 0)
		set(buffer, body)
		set(buffer+8, 0) // nulls
		node, buffer = node+16, buffer+16
		for _, b := range d.Buffers()[1:] {
			n := int64(b.Len())
			set(buffer, body)
			set(buffer+8, n)
			buffer, body = buffer+16, body+align(n)
			if n > 0 {
				parts = append(parts, b.Bytes())
			}
			if pad := align(n) - n; pad > 0 {
				parts = append(parts, zeros[:pad])
			}
		}
	}
	set(t.rows, rec.NumRows())
	set(t.length, body)
	p := payload{parts: parts[:0]}
	for _, b := range parts {
		p.add(b)
	}
	return p, true
}

// isWhole reports whether a flat column has no nulls, and all of its memory is used.
func isWhole(d arrow.ArrayData) bool {
	bufs := d.Buffers()
	if d.Offset() != 0 || d.NullN() != 0 || slices.Contains(bufs[1:], nil) {
		return false
	}
	if len(bufs) == 2 {
		return bufs[1].Len() == d.Len()*arrow.Int64SizeBytes
	}
	ends := arrow.Int32Traits.CastFromBytes(bufs[1].Bytes())
	return len(ends) == d.Len()+1 && ends[0] == 0 && int(ends[d.Len()]) == bufs[2].Len()
}
