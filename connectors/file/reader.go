package file

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// Bounds of a batch.
const (
	batchRows  = 8192
	batchBytes = 1 << 20
)

// pollEvery is how often the end of a followed file is looked at.
const pollEvery = 200 * time.Millisecond

// reader reads the records of one run of bytes.
type reader struct {
	shard  core.ShardID
	run    run
	text   text
	split  splitter
	headed bool   // a header is still to be read
	header []byte // with a line end; put before every record

	f  *os.File
	zr io.Closer
	b  batch
}

// At is the sequence number of the line at an offset.
func (*reader) At(handle, _ int64) core.SequenceNumber {
	return core.SequenceNumber(strconv.FormatInt(handle, 10))
}

// open opens the file where the run begins.
func (r *reader) open(header bool) error {
	f, err := os.Open(r.run.Path)
	if err != nil {
		return connectors.Permanent(err)
	}
	r.f = f
	if hash, _, err := hashPrefix(r.run.Path, r.run.Prefix); err != nil || hash != r.run.Hash {
		return connectors.Permanent(errors.Join(fmt.Errorf("file %s changed at its beginning since it was listed: run again to read it anew", r.run.Path), err))
	}
	from := r.run.from
	if r.compressed() {
		if r.text.follow {
			return connectors.Permanent(fmt.Errorf("file %s is compressed, and cannot be followed", r.run.Path))
		}
		if from > 0 { // what stands before the run has a length that only decompressing tells
			if err := r.decompress(from); err != nil {
				return err
			}
			if from, err = io.Copy(io.Discard, r.text.in); err != nil {
				return fmt.Errorf("decompress %s: %w", r.run.Path, err)
			}
		}
	}
	if err := r.begin(header); err != nil {
		return err
	}
	return r.seek(max(from, r.text.off))
}

// begin opens the text, and goes on after its byte order mark and its header.
func (r *reader) begin(header bool) error {
	if r.compressed() {
		if err := r.decompress(r.run.to); err != nil {
			return err
		}
	} else {
		r.text.in = bufio.NewReaderSize(&io.LimitedReader{R: r.f, N: r.run.to}, bufferBytes)
	}
	if err := r.text.skipMark(); err != nil {
		return fmt.Errorf("read %s: %w", r.run.Path, err)
	}
	r.headed = header
	if err := noEOF(r.readHeader()); err != nil {
		return fmt.Errorf("read the header of %s: %w", r.run.Path, err)
	}
	return nil
}

// readHeader reads the header, if there is one to read. A followed file may not have all of it yet: io.EOF.
func (r *reader) readHeader() error {
	if !r.headed {
		return nil
	}
	line, _, err := r.split.next(&r.text)
	if err != nil {
		return err
	}
	r.headed, r.header = false, append(slices.Clone(line), '\n')
	return nil
}

// seek goes on at a place of the text that is not before the one where it stands.
func (r *reader) seek(off int64) error {
	if off == r.text.off {
		return nil
	}
	if r.compressed() {
		if _, err := io.CopyN(io.Discard, r.text.in, off-r.text.off); err != nil {
			return fmt.Errorf("decompress %s: %w", r.run.Path, err)
		}
	} else {
		if _, err := r.f.Seek(off, io.SeekStart); err != nil {
			return fmt.Errorf("seek in %s: %w", r.run.Path, err)
		}
		r.text.in.Reset(&io.LimitedReader{R: r.f, N: r.run.to - off})
	}
	r.text.off = off
	return nil
}

func (r *reader) compressed() bool {
	return strings.HasSuffix(r.run.Path, ".gz") || strings.HasSuffix(r.run.Path, ".zst")
}

// decompress makes the text that of the file's first n bytes.
func (r *reader) decompress(n int64) error {
	if r.zr != nil {
		_ = r.zr.Close() // it was only read
		r.zr = nil
	}
	if _, err := r.f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("seek in %s: %w", r.run.Path, err)
	}
	raw := bufio.NewReaderSize(io.LimitReader(r.f, n), bufferBytes)
	if strings.HasSuffix(r.run.Path, ".gz") {
		zr, err := gzip.NewReader(raw)
		if err != nil {
			return connectors.Permanent(fmt.Errorf("decompress %s: %w", r.run.Path, err))
		}
		r.zr, r.text.in = zr, bufio.NewReaderSize(zr, bufferBytes)
		return nil
	}
	zr, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<28))
	if err != nil {
		return connectors.Permanent(fmt.Errorf("decompress %s: %w", r.run.Path, err))
	}
	r.zr, r.text.in = zr.IOReadCloser(), bufio.NewReaderSize(zr, bufferBytes)
	return nil
}

// skipTo goes on after the record at off.
func (r *reader) skipTo(off int64) error {
	if off < r.text.off {
		return fmt.Errorf("the records of the shard begin at byte %d", r.text.off)
	}
	if err := r.seek(off); err != nil {
		return err
	}
	return r.split.after(&r.text)
}

// Next returns the next records.
func (r *reader) Next(ctx context.Context) (core.Batch, error) {
	for {
		err := r.fill()
		if r.b.rows() > 0 && (err == nil || errors.Is(err, io.EOF)) {
			out := r.b.take(r.shard, r.run.Seen)
			out.Sequences = r
			out.Span = core.Span{First: out.SequenceOf(0), Last: out.SequenceOf(int(out.Records) - 1)}
			return out, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return core.Batch{}, fmt.Errorf("read %s: %w", r.run.Path, err)
		}
		if !r.text.follow {
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

// fill appends records until the batch is full or the text ends.
func (r *reader) fill() error {
	if err := r.readHeader(); err != nil {
		return err
	}
	for r.b.rows() < batchRows && len(r.b.data) < batchBytes {
		record, at, err := r.split.next(&r.text)
		if err != nil {
			return err
		}
		r.b.add(at, r.header, record)
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
