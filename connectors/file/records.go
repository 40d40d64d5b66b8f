package file

import (
	"bufio"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/penstock/penstock/connectors"
)

// Records splits what cannot be read again, such as standard input, into records, as files are. It tells gzip and zstd
// by their first bytes.
type Records struct {
	text   text
	split  splitter
	raw    *bufio.Reader
	zr     io.Closer
	opened bool
	headed bool
	header []byte
	buf    []byte
}

// NewRecords returns the records of in. It reads nothing yet.
func NewRecords(in io.Reader, cfg Config, framing connectors.Framing) *Records {
	return &Records{
		text: text{name: "standard input"}, split: splitterOf(cfg.Format, framing), raw: bufio.NewReaderSize(in, bufferBytes),
		headed: headed(cfg.Format, framing),
	}
}

// Next returns the next record and the byte of the decompressed text where it begins; io.EOF after the last. A record
// stands until the next call.
func (r *Records) Next() (record []byte, at int64, err error) {
	if !r.opened {
		if err := r.open(); err != nil {
			return nil, 0, err
		}
	}
	record, at, err = r.split.next(&r.text)
	if err != nil || len(r.header) == 0 {
		return record, at, err
	}
	r.buf = append(append(r.buf[:0], r.header...), record...)
	return r.buf, at, nil
}

// Close releases what decompressing holds.
func (r *Records) Close() error {
	if r.zr == nil {
		return nil
	}
	return r.zr.Close()
}

func (r *Records) open() error {
	r.opened, r.text.in = true, r.raw
	magic, err := r.raw.Peek(4)
	if noEOF(err) != nil {
		return fmt.Errorf("read %s: %w", r.text.name, err)
	}
	switch {
	case len(magic) >= 2 && magic[0] == 0x1f && magic[1] == 0x8b:
		zr, err := gzip.NewReader(r.raw)
		if err != nil {
			return connectors.Permanent(fmt.Errorf("decompress %s: %w", r.text.name, err))
		}
		r.zr, r.text.in = zr, bufio.NewReaderSize(zr, bufferBytes)
	case string(magic) == "\x28\xb5\x2f\xfd":
		zr, err := zstd.NewReader(r.raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<28))
		if err != nil {
			return connectors.Permanent(fmt.Errorf("decompress %s: %w", r.text.name, err))
		}
		r.zr, r.text.in = zr.IOReadCloser(), bufio.NewReaderSize(zr, bufferBytes)
	}
	if err := r.text.skipMark(); err != nil {
		return fmt.Errorf("read %s: %w", r.text.name, err)
	}
	if !r.headed {
		return nil
	}
	line, _, err := r.split.next(&r.text)
	if err != nil {
		return err
	}
	r.header = append(slices.Clone(line), '\n')
	return nil
}
