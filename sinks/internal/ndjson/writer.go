// Package ndjson writes Arrow batches as lines of JSON objects, in the form of connectors/rowjson, compressed or not.
package ndjson

import (
	"compress/gzip"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v17/arrow"
	kgzip "github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/penstock/penstock/connectors/rowjson"
	"github.com/penstock/penstock/core"
)

// Config says how lines are compressed. The zero Config is not at all.
type Config struct {
	Compression string `yaml:"compression" json:"compression" jsonschema:"enum=none,enum=gzip,enum=zstd,description=Compression of the whole file. Default none."`
}

// Validate returns what is wrong with c.
func (c Config) Validate() error {
	switch c.Compression {
	case "", "none", "gzip", "zstd":
		return nil
	}
	return fmt.Errorf("ndjson compression %q, want none, gzip or zstd: %w", c.Compression, core.ErrInvalid)
}

// Extension is how names of such files end.
func (c Config) Extension() string {
	switch c.Compression {
	case "gzip":
		return ".ndjson.gz"
	case "zstd":
		return ".ndjson.zst"
	}
	return ".ndjson"
}

// Writer writes lines. It is used by one goroutine.
type Writer struct {
	out  io.Writer
	zip  io.WriteCloser // nil without compression
	buf  []byte
	rows int64
}

// New writes to out, which is not closed.
func New(out io.Writer, cfg Config) (*Writer, error) {
	w := &Writer{out: out}
	var err error
	switch cfg.Compression {
	case "gzip":
		w.zip, err = kgzip.NewWriterLevel(out, gzip.DefaultCompression)
	case "zstd":
		w.zip, err = zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true))
	default:
		err = cfg.Validate()
	}
	if err != nil {
		return nil, err
	}
	if w.zip != nil {
		w.out = w.zip
	}
	return w, nil
}

const chunk = 64 << 10

// Write appends the given rows of rec, or all when rows is nil.
func (w *Writer) Write(rec arrow.Record, rows []int32) error {
	enc, err := rowjson.New(rec)
	if err != nil {
		return err
	}
	n := len(rows)
	if rows == nil {
		n = int(rec.NumRows())
	}
	w.buf = w.buf[:0]
	for r := range n {
		i := r
		if rows != nil {
			i = int(rows[r])
		}
		w.buf = append(enc.Append(w.buf, i), '\n')
		if len(w.buf) < chunk && r < n-1 {
			continue
		}
		if _, err := w.out.Write(w.buf); err != nil {
			return err
		}
		w.buf = w.buf[:0]
	}
	w.rows += int64(n)
	if cap(w.buf) > 4*chunk {
		w.buf = nil
	}
	return nil
}

// What the encoders take however little is in them, about.
const (
	gzipBytes = 800 << 10
	zstdBytes = 512 << 10
)

// Held estimates the memory of the file.
func (w *Writer) Held() int64 {
	n := int64(cap(w.buf))
	switch w.zip.(type) {
	case *kgzip.Writer:
		n += gzipBytes
	case *zstd.Encoder:
		n += zstdBytes
	}
	return n
}

// Rows is how many were written.
func (w *Writer) Rows() int64 { return w.rows }

// Close ends the compressed stream.
func (w *Writer) Close() error {
	if w.zip == nil {
		return nil
	}
	return w.zip.Close()
}
