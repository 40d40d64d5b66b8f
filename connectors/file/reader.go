package file

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// Bounds of a batch, and of a line.
const (
	batchRows  = 8192
	batchBytes = 1 << 20
	maxLine    = 64 << 20
)

// pollEvery is how often the end of a followed file is looked at.
const pollEvery = 200 * time.Millisecond

// reader reads the lines of one run of bytes.
type reader struct {
	shard  core.ShardID
	run    run
	follow bool

	f      *os.File
	zr     io.Closer
	in     *bufio.Reader
	off    int64 // of the next line, in the decompressed text
	broken []byte
}

// At is the sequence number of the line at an offset.
func (*reader) At(handle, _ int64) core.SequenceNumber {
	return core.SequenceNumber(strconv.FormatInt(handle, 10))
}

// open opens the file where the run begins.
func (r *reader) open() error {
	f, err := os.Open(r.run.Path)
	if err != nil {
		return connectors.Permanent(err)
	}
	r.f = f
	if hash, _, err := hashPrefix(r.run.Path, r.run.Prefix); err != nil || hash != r.run.Hash {
		return connectors.Permanent(errors.Join(fmt.Errorf("file %s changed at its beginning since it was listed: run again to read it anew", r.run.Path), err))
	}
	if !r.compressed() {
		if _, err := f.Seek(r.run.from, io.SeekStart); err != nil {
			return fmt.Errorf("seek in %s: %w", r.run.Path, err)
		}
		r.off = r.run.from
		r.in = bufio.NewReaderSize(&io.LimitedReader{R: f, N: r.run.to - r.run.from}, 1<<18)
		return nil
	}
	if r.follow {
		return connectors.Permanent(fmt.Errorf("file %s is compressed, and cannot be followed", r.run.Path))
	}
	if r.run.from > 0 { // what stands before the run has a length that only decompressing tells
		if err := r.decompress(r.run.from); err != nil {
			return err
		}
		n, err := io.Copy(io.Discard, r.in)
		if err != nil {
			return fmt.Errorf("decompress %s: %w", r.run.Path, err)
		}
		r.off = n
	}
	if err := r.decompress(r.run.to); err != nil {
		return err
	}
	return r.discard(r.off)
}

func (r *reader) compressed() bool {
	return strings.HasSuffix(r.run.Path, ".gz") || strings.HasSuffix(r.run.Path, ".zst")
}

// decompress makes r.in the text of the file's first n bytes.
func (r *reader) decompress(n int64) error {
	if r.zr != nil {
		_ = r.zr.Close() // it was only read
		r.zr = nil
	}
	if _, err := r.f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("seek in %s: %w", r.run.Path, err)
	}
	raw := bufio.NewReaderSize(io.LimitReader(r.f, n), 1<<18)
	if strings.HasSuffix(r.run.Path, ".gz") {
		zr, err := gzip.NewReader(raw)
		if err != nil {
			return connectors.Permanent(fmt.Errorf("decompress %s: %w", r.run.Path, err))
		}
		r.zr, r.in = zr, bufio.NewReaderSize(zr, 1<<18)
		return nil
	}
	zr, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<28))
	if err != nil {
		return connectors.Permanent(fmt.Errorf("decompress %s: %w", r.run.Path, err))
	}
	r.zr, r.in = zr.IOReadCloser(), bufio.NewReaderSize(zr, 1<<18)
	return nil
}

// discard skips n bytes of the text.
func (r *reader) discard(n int64) error {
	if _, err := io.CopyN(io.Discard, r.in, n); err != nil {
		return fmt.Errorf("decompress %s: %w", r.run.Path, err)
	}
	return nil
}

// skipTo goes on after the line at off.
func (r *reader) skipTo(off int64) error {
	if off < r.off {
		return fmt.Errorf("the shard begins at byte %d", r.off)
	}
	if !r.compressed() {
		if _, err := r.f.Seek(off, io.SeekStart); err != nil {
			return err
		}
		r.in.Reset(&io.LimitedReader{R: r.f, N: r.run.to - off})
	} else if err := r.discard(off - r.off); err != nil {
		return err
	}
	r.off = off
	line, err := r.line()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	r.off += int64(len(line))
	return nil
}

// line reads a line with its end, which the last one of a file may lack. A followed file's last line without an end is
// kept until the end comes.
func (r *reader) line() ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	if err == nil && len(r.broken) == 0 {
		return line, nil
	}
	for {
		r.broken = append(r.broken, line...)
		if err == nil || !errors.Is(err, bufio.ErrBufferFull) {
			break
		}
		if len(r.broken) > maxLine {
			return nil, connectors.Permanent(fmt.Errorf("file %s: the line at byte %d is longer than %d bytes: split it", r.run.Path, r.off, maxLine))
		}
		line, err = r.in.ReadSlice('\n')
	}
	if errors.Is(err, io.EOF) {
		if r.follow || len(r.broken) == 0 {
			return nil, io.EOF
		}
		err = nil
	}
	line, r.broken = r.broken, nil
	return line, err
}

// Next returns the next lines.
func (r *reader) Next(ctx context.Context) (core.Batch, error) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, core.RawSchema())
	defer b.Release()
	out := core.Batch{Shard: r.shard, Sequences: r}
	for {
		err := r.fill(b, &out)
		if out.Records > 0 && (err == nil || errors.Is(err, io.EOF)) {
			out.Rows = b.NewRecord()
			out.Span = core.Span{First: out.SequenceOf(0), Last: out.SequenceOf(int(out.Records) - 1)}
			return out, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return core.Batch{}, fmt.Errorf("read %s: %w", r.run.Path, err)
		}
		if !r.follow {
			return core.Batch{}, io.EOF
		}
		t := time.NewTimer(pollEvery)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return core.Batch{}, ctx.Err()
		}
	}
}

// fill appends lines until the batch is full or the text ends. Empty lines are no records.
func (r *reader) fill(b *array.RecordBuilder, out *core.Batch) error {
	for out.Records < batchRows && out.Bytes < batchBytes {
		line, err := r.line()
		if err != nil {
			return err
		}
		at := r.off
		r.off += int64(len(line))
		text := bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if len(text) == 0 {
			continue
		}
		b.Field(0).(*array.Int64Builder).Append(at)
		b.Field(1).(*array.Int32Builder).Append(0)
		b.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(r.run.Seen))
		b.Field(3).(*array.StringBuilder).Append(string(r.shard))
		b.Field(4).(*array.BinaryBuilder).Append(text)
		out.Records++
		out.Bytes += int64(len(text))
	}
	return nil
}

// Close closes the file.
func (r *reader) Close() error {
	if r.zr != nil {
		_ = r.zr.Close() // it was only read
	}
	if r.f == nil {
		return nil
	}
	return r.f.Close()
}
