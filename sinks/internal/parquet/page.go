package parquet

import (
	"hash/crc32"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// page is a page that is encoded, and perhaps still being compressed.
type page struct {
	header format.PageHeader
	body   []byte // compressed
	held   atomic.Int64
	err    error
}

// newPage is a page of n values.
func newPage(n, nulls int, enc format.Encoding) *page {
	return &page{header: format.PageHeader{Type: format.DataPage, DataPageHeader: thrift.New(format.DataPageHeader{
		NumValues: int32(n), Encoding: enc, DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE, //nolint:gosec // bounded by its bytes
		Statistics: format.Statistics{NullCount: int64(nulls)},
	})}}
}

// newDictionaryPage is a page of the n values that others refer to.
func newDictionaryPage(n int) *page {
	return &page{header: format.PageHeader{Type: format.DictionaryPage, DictionaryPageHeader: thrift.New(format.DictionaryPageHeader{
		NumValues: int32(n), Encoding: format.Plain, //nolint:gosec // bounded by its bytes
	})}}
}

// slots bounds how many pages of the process are compressed at once; who needs one more waits.
var slots = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)))

// buffers are what pages are encoded into, used again once they are compressed. Open pages have buffers of their own: one
// from here may be much too large for a file that gets few rows, and hundreds may be open.
var buffers sync.Pool // of *[]byte

func takeBuffer() []byte {
	if b, ok := buffers.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return nil
}

func giveBuffer(b []byte) {
	if cap(b) <= 4*pageBytes {
		buffers.Put(&b)
	}
}

// inlineBytes is the size up to which a page is compressed where it was encoded: another goroutine would cost as much.
const inlineBytes = 32 << 10

// compress compresses raw, which it takes over, beside the caller; wait until busy is done before reading p.
func (p *page) compress(codec compress.Codec, raw []byte, busy *sync.WaitGroup) {
	p.header.UncompressedPageSize = int32(len(raw)) //nolint:gosec // bounded by pageBytes and one batch
	if codec.CompressionCodec() == format.Uncompressed {
		p.end(slices.Clone(raw), nil)
		giveBuffer(raw)
		return
	}
	p.held.Store(int64(len(raw)))
	if len(raw) <= inlineBytes {
		p.end(codec.Encode(nil, raw))
		giveBuffer(raw)
		return
	}
	slots <- struct{}{}
	busy.Go(func() {
		defer func() { <-slots }()
		scratch, err := codec.Encode(takeBuffer(), raw)
		p.end(slices.Clone(scratch), err)
		giveBuffer(raw)
		giveBuffer(scratch)
	})
}

func (p *page) end(body []byte, err error) {
	p.body, p.err = body, err
	p.header.CompressedPageSize = int32(len(body)) //nolint:gosec // no codec doubles a page
	p.header.CRC = int32(crc32.ChecksumIEEE(body)) //nolint:gosec // its bits are kept
	p.held.Store(int64(len(body)))
}
