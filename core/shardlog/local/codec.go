package local

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"io"
	"math"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// encoder makes payloads of Arrow record batches: encapsulated IPC messages without their schema, which is stored once a
// file. One a schema.
type encoder struct {
	schema *arrow.Schema
	id     uint64 // hash of bytes
	bytes  []byte // the schema's own IPC message
	shape  batchShape
	flat   *template // nil if it has nesting
	w      *ipc.Writer
	out    collector
}

// payload is what an entry holds, in parts that lie one after the other in the file. Some are the columns' own memory:
// their only copy is that into the group.
type payload struct {
	parts [][]byte
	size  int
	crc   uint32 // CRC32C
}

func (p *payload) add(b []byte) {
	p.parts, p.size = append(p.parts, b), p.size+len(b)
	p.crc = crc32.Update(p.crc, castagnoli, b)
}

// collector is the payload that an encoder makes; it is also an ipc.PayloadWriter.
type collector struct {
	payload
	first *[]byte // takes the schema's message
}

func (c *collector) Write(p []byte) (int, error) {
	c.add(p)
	return len(p), nil
}

func (*collector) Start() error { return nil }
func (*collector) Close() error { return nil }

// WritePayload adds the length of the metadata, the metadata and the body.
func (c *collector) WritePayload(p ipc.Payload) error {
	meta := p.Meta()
	defer meta.Release()
	if *c.first == nil { // the schema comes before any batch
		*c.first = bytes.Clone(meta.Bytes())
		return nil
	}
	head := make([]byte, 8+align(int64(meta.Len()))) // so that the body is aligned
	binary.LittleEndian.PutUint64(head, uint64(meta.Len()))
	copy(head[8:], meta.Bytes())
	c.parts = make([][]byte, 0, maxParts)
	c.add(head)
	return p.SerializeBody(c)
}

// maxParts is how many parts a batch of few columns has.
const maxParts = 12

func newEncoder(s *arrow.Schema) (*encoder, error) {
	e := &encoder{schema: s}
	e.out.first = &e.bytes
	e.w = ipc.NewWriterWithPayloadWriter(&e.out, ipc.WithSchema(s))
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	defer b.Release()
	empty := b.NewRecord()
	defer empty.Release()
	if err := e.w.Write(empty); err != nil { // the schema's message goes out before the first batch's
		return nil, fmt.Errorf("encode schema: %w", err)
	}
	meta, body, err := splitPayload(slices.Concat(e.out.parts...))
	if err != nil {
		return nil, fmt.Errorf("encode schema: %w", err)
	}
	if e.shape, err = saneBatch(meta, body); err != nil {
		return nil, fmt.Errorf("a batch with the schema %s cannot be stored: %w", s, err)
	}
	e.out.payload = payload{}
	if e.flat, err = newTemplate(e, s); err != nil {
		return nil, fmt.Errorf("encode schema: %w", err)
	}
	h := fnv.New64a()
	h.Write(e.bytes)
	e.id = h.Sum64()
	return e, nil
}

// encode returns rec as a payload that is good as long as rec is retained.
func (e *encoder) encode(rec arrow.Record) (payload, error) {
	if e.flat != nil {
		if p, ok := e.flat.encode(rec); ok {
			return p, nil
		}
	}
	return e.write(rec)
}

// write encodes rec whatever its columns are.
func (e *encoder) write(rec arrow.Record) (payload, error) {
	err := e.w.Write(rec)
	p := e.out.payload
	e.out.payload = payload{}
	if err != nil {
		return payload{}, fmt.Errorf("encode batch: %w", err)
	}
	return p, nil
}

// decoder reads the payloads that an encoder of the same schema made. Not safe for concurrent use.
type decoder struct {
	r     *ipc.Reader
	feed  feeder
	shape batchShape
}

// feeder is an ipc.MessageReader that hands out one message at a time.
type feeder struct{ next *ipc.Message }

func (*feeder) Retain()  {}
func (*feeder) Release() {}

func (f *feeder) Message() (*ipc.Message, error) {
	if f.next == nil {
		return nil, io.EOF
	}
	m := f.next
	f.next = nil
	return m, nil
}

func newDecoder(schema []byte) (d *decoder, err error) {
	defer func() { // see decode
		if p := recover(); p != nil {
			d, err = nil, fmt.Errorf("decode schema: %w: %v", errPayload, p)
		}
	}()
	schema = slices.Clip(schema) // what is read beyond its end must panic, not find other bytes
	if err := saneSchema(schema); err != nil {
		return nil, fmt.Errorf("decode schema: %w", err)
	}
	d = &decoder{}
	d.feed.next = message(schema, nil)
	r, err := ipc.NewReaderFromMessageReader(&d.feed)
	if err != nil {
		return nil, fmt.Errorf("decode schema: %w", err)
	}
	d.r = r
	e, err := newEncoder(r.Schema())
	if err != nil {
		return nil, fmt.Errorf("decode schema: %w", err)
	}
	d.shape = e.shape
	return d, nil
}

func message(meta, body []byte) *ipc.Message {
	return ipc.NewMessage(memory.NewBufferBytes(meta), memory.NewBufferBytes(body))
}

var errPayload = errors.New("payload is not an Arrow record batch")

// decode returns the record in payload, whose columns alias it. The caller releases it.
func (d *decoder) decode(payload []byte) (arrow.Record, error) {
	meta, body, err := splitPayload(payload)
	if err != nil {
		return nil, err
	}
	return d.read(meta, body, saneBatch)
}

// decodeMessage returns the record in b, a message as it stands in an Arrow file. Its columns alias b where it is not
// compressed.
func (d *decoder) decodeMessage(b []byte) (arrow.Record, error) {
	if len(b) < 8 || binary.LittleEndian.Uint32(b) != math.MaxUint32 {
		return nil, errPayload
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if uint64(n) > uint64(len(b)-8) {
		return nil, errPayload
	}
	return d.read(slices.Clip(b[8:8+n]), slices.Clip(b[8+n:]), saneBlock)
}

// read returns the record of a message that sane finds no fault with.
func (d *decoder) read(meta, body []byte, sane func(meta, body []byte) (batchShape, error)) (rec arrow.Record, err error) {
	// The bytes passed their checksum, but flatbuffers of another version, or a bug, must not end the process.
	defer func() {
		if p := recover(); p != nil {
			rec, err = nil, fmt.Errorf("%w: %v", errPayload, p)
		}
	}()
	shape, err := sane(meta, body)
	if err != nil {
		return nil, err
	}
	if shape != d.shape {
		return nil, fmt.Errorf("%w: it has another schema", errPayload)
	}
	d.feed.next = message(meta, body)
	rec, err = d.r.Read()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPayload, err)
	}
	for i, c := range rec.Columns() {
		if int64(c.Len()) != rec.NumRows() {
			return nil, fmt.Errorf("%w: column %d has %d of %d rows", errPayload, i, c.Len(), rec.NumRows())
		}
	}
	rec.Retain()
	return rec, nil
}

// splitPayload is the metadata and the body in a payload.
func splitPayload(b []byte) (meta, body []byte, err error) {
	if len(b) < 8 {
		return nil, nil, errPayload
	}
	n := binary.LittleEndian.Uint64(b)
	if n > uint64(len(b)-8) || align(int64(n)) > int64(len(b)-8) { //nolint:gosec // below the length
		return nil, nil, errPayload
	}
	return slices.Clip(b[8 : 8+n]), slices.Clip(b[8+align(int64(n)):]), nil //nolint:gosec // below the length
}
