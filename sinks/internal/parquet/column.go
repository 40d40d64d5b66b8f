package parquet

import (
	"encoding/binary"
	"math/bits"
	"sync"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/format"
)

// columnSpec is what the schema says of a Parquet column.
type columnSpec struct {
	path   []string
	typ    format.Type
	maxRep uint8
	maxDef uint8
}

// column gathers the column chunk of the open row group: pages that are closed, and the one that is open.
type column struct {
	columnSpec
	codec compress.Codec
	busy  *sync.WaitGroup

	levels
	plain []byte      // the open page's values, unless it has indexes
	bits  int         // how many of them, where they are bits
	dict  *dictionary // nil where a dictionary does not pay
	live  bool        // values still go into it
	index []int32     // the open page's values by their numbers in dict

	pages  []*page
	values int64 // of the chunk, null ones included
	bounds bounds
	lost   int64      // nulls of the chunk's closed pages
	kind   arrow.Type // of the values in Arrow, which tells how they compare
}

// begin starts a chunk.
func (c *column) begin(dictionary bool) {
	c.pages, c.values, c.bounds, c.lost = nil, 0, bounds{}, 0
	c.dict, c.live = nil, dictionary
	if dictionary {
		c.dict = newDictionary()
	}
}

// add appends rows[from:to] of a batch, or the rows from one to another where rows is nil.
func (c *column) add(l *leaf, rows []int32, from, to int) error {
	c.kind = l.arr.DataType().ID()
	at := c.shred(l, rows, from, to)
	c.append(l.arr, at)
	if c.live && c.dict.full() {
		if err := c.leave(); err != nil {
			return err
		}
	}
	if len(c.plain) >= pageBytes || 4*len(c.index) >= pageBytes {
		return c.close()
	}
	return nil
}

// leave stops using the dictionary: the pages that have its numbers keep them, and if there are none it is dropped.
func (c *column) leave() error {
	c.live = false
	if len(c.pages) > 0 {
		return c.close()
	}
	for _, i := range c.index {
		c.plain = append(c.plain, c.dict.value(i)...)
	}
	c.bounds.dictionary(c.kind, c.typ, c.dict)
	c.dict, c.index = nil, c.index[:0]
	return nil
}

// held is about how much memory the chunk takes.
func (c *column) held() int64 {
	n := int64(cap(c.plain) + 4*cap(c.index) + cap(c.reps) + cap(c.defs) + 4*cap(c.picked))
	if c.dict != nil {
		n += c.dict.held()
	}
	for _, p := range c.pages {
		n += p.held.Load()
	}
	return n
}

// encoded is about how many bytes the chunk will have. A codec halves what is not compressed yet, more or less.
func (c *column) encoded() int64 {
	open := int64(len(c.plain) + len(c.defs)/8)
	if c.dict != nil {
		open += int64(len(c.dict.plain) + len(c.index)*bits.Len(uint(len(c.dict.hashes)))/8)
	}
	n := open
	if c.codec.CompressionCodec() != format.Uncompressed {
		n /= 2
	}
	for _, p := range c.pages {
		n += p.held.Load()
	}
	return n
}

// close ends the open page.
func (c *column) close() error {
	n := len(c.defs)
	if n == 0 {
		return nil
	}
	body, err := c.encodeLevels(takeBuffer())
	if err != nil {
		return err
	}
	enc := format.Plain
	if numbered := c.dict != nil && (c.live || len(c.index) > 0); numbered {
		enc = format.RLEDictionary
		if body, err = c.encodeIndex(body); err != nil {
			return err
		}
	} else {
		body = append(body, c.plain...)
	}
	p := newPage(n, c.nulls, enc)
	c.pages = append(c.pages, p)
	c.values += int64(n)
	c.lost += int64(c.nulls)
	c.reps, c.defs, c.nulls = c.reps[:0], c.defs[:0], 0
	c.index, c.bits = c.index[:0], 0
	c.plain = c.plain[:0]
	if cap(c.plain) > 2*pageBytes {
		c.plain = nil
	}
	p.compress(c.codec, body, c.busy)
	return nil
}

// encodeLevels appends the levels, each kind behind its length.
func (c *column) encodeLevels(dst []byte) ([]byte, error) {
	for _, kind := range []struct {
		levels []uint8
		most   uint8
	}{{c.reps, c.maxRep}, {c.defs, c.maxDef}} {
		if kind.most == 0 {
			continue
		}
		enc := rle.Encoding{BitWidth: bits.Len8(kind.most)}
		text, err := enc.EncodeLevels(takeBuffer(), kind.levels)
		if err != nil {
			return nil, err
		}
		dst = append(binary.LittleEndian.AppendUint32(dst, uint32(len(text))), text...) //nolint:gosec // shorter than the levels
		giveBuffer(text)
	}
	return dst, nil
}

// encodeIndex appends the numbers of the values, behind the width of each in bits.
func (c *column) encodeIndex(dst []byte) ([]byte, error) {
	most := int32(1)
	for _, i := range c.index {
		most = max(most, i)
	}
	enc := rle.Encoding{BitWidth: bits.Len32(uint32(most))} //nolint:gosec // not negative
	text, err := enc.EncodeInt32(takeBuffer(), c.index)
	dst = append(append(dst, byte(enc.BitWidth)), text...)
	giveBuffer(text)
	return dst, err
}

// finish ends the chunk: the page of its dictionary, if any, comes first.
func (c *column) finish() error {
	if err := c.close(); err != nil || c.dict == nil {
		return err
	}
	c.bounds.dictionary(c.kind, c.typ, c.dict)
	p := newDictionaryPage(len(c.dict.hashes))
	c.pages = append([]*page{p}, c.pages...)
	p.compress(c.codec, c.dict.plain, c.busy)
	c.dict = nil
	return nil
}
