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
	"time"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
)

// Bounds of a batch.
const (
	batchRows  = 8192
	batchBytes = 1 << 20
)

// pollEvery is how often the end of a followed file is looked at.
const pollEvery = 200 * time.Millisecond

// reader reads the records of one run of a file.
type reader struct {
	source *Source
	entry  *entry
	n      int  // of the run
	again  bool // records that were read before are read: where they end is known
	shard  core.ShardID
	run    run
	seen   int64
	path   string
	text   text
	split  splitter
	headed bool   // a header is still to be read
	header []byte // with a line end; put before every record

	f     *os.File
	plain *plain // what reads f; nil where it is compressed
	zr    io.Closer
	kept  *keeper // the end of the text that was decompressed
	b     batch
	ended bool // nothing is read after what is in b
	grew  bool // more of the text came while its last record was read
	stop  bool // that record is the last one
	still time.Time
}

// At is the sequence number of the line at an offset.
func (*reader) At(handle, _ int64) core.SequenceNumber {
	return core.SequenceNumber(strconv.FormatInt(handle, 10))
}

// begin opens the text where the run begins, or after a record of it. A byte order mark and a header stand before.
func (r *reader) begin(header bool, after core.SequenceNumber) error {
	from := r.run.From
	if r.run.Old && from > 0 { // what stands before the run has a length that only decompressing tells
		if err := r.decompress(from); err != nil {
			return err
		}
		var err error
		if from, err = io.Copy(io.Discard, r.text.in); err != nil {
			return fmt.Errorf("decompress: %w", err)
		}
	}
	if err := r.openText(); err != nil {
		return err
	}
	if err := r.text.skipMark(); err != nil {
		return err
	}
	r.headed = header
	if err := noEOF(r.readHeader()); err != nil {
		return fmt.Errorf("read the header: %w", err)
	}
	r.text.cut = false
	if err := r.seek(max(from, r.text.off)); err != nil || after == "" {
		return err
	}
	off, err := strconv.ParseInt(string(after), 10, 64)
	if err != nil {
		return connectors.Permanent(err)
	}
	return r.skipTo(off)
}

// openText opens the text at its beginning.
func (r *reader) openText() error {
	if compressed(r.path) != "" {
		to := int64(unbounded)
		if r.run.Old {
			to = r.run.To
		}
		return r.decompress(to)
	}
	limit := r.run.To
	if limit == unbounded && !r.text.follow {
		st, err := r.f.Stat()
		if err != nil {
			return err
		}
		limit = st.Size()
		r.text.more = r.more
	}
	var err error
	if r.plain, err = newPlain(r.f, 0, limit); err == nil {
		r.text.in = bufio.NewReaderSize(r.plain, bufferBytes)
	}
	return err
}

// more lets the last record be read whole where it goes on behind the end that the file had when it was opened.
func (r *reader) more() bool {
	st, err := r.f.Stat()
	if err != nil || r.plain == nil || st.Size() <= r.plain.limit {
		return false
	}
	r.plain.limit = st.Size()
	r.grew, r.stop = true, true
	return true
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
	if r.plain == nil {
		if _, err := io.CopyN(io.Discard, r.text.in, off-r.text.off); err != nil {
			return fmt.Errorf("decompress: %w", err)
		}
	} else {
		p, err := newPlain(r.f, off, r.plain.limit)
		if err != nil {
			return err
		}
		r.plain = p
		r.text.in.Reset(p)
	}
	r.text.off = off
	return nil
}

// decompress makes the text that of the file's first n bytes.
func (r *reader) decompress(n int64) error {
	r.unzip()
	if _, err := r.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	zr, err := decompressor(r.path, bufio.NewReaderSize(io.LimitReader(r.f, n), bufferBytes))
	if err != nil {
		return connectors.Permanent(err)
	}
	to := int64(unbounded)
	if !r.run.Old {
		to = r.run.To
	}
	r.zr, r.kept = zr, &keeper{in: io.LimitReader(zr, to)}
	r.text.in = bufio.NewReaderSize(r.kept, bufferBytes)
	return nil
}

func (r *reader) unzip() {
	if r.zr != nil {
		_ = r.zr.Close() // it was only read
		r.zr = nil
	}
}

// skipTo goes on after the record at off.
func (r *reader) skipTo(off int64) error {
	if off < r.text.off {
		return fmt.Errorf("the records of the shard begin at byte %d", r.text.off)
	}
	if err := r.seek(off); err != nil {
		return err
	}
	err := r.split.after(&r.text)
	r.grew, r.ended = false, r.text.cut || r.stop
	return err
}

// Next returns the next records.
func (r *reader) Next(ctx context.Context) (core.Batch, error) {
	for {
		err := r.fill(ctx)
		if errors.Is(err, io.EOF) && !r.text.follow && !r.ended {
			err = r.finish(ctx, nil)
		}
		if n := r.b.rows(); n > 0 && (err == nil || errors.Is(err, io.EOF) || errors.Is(err, errTruncated)) {
			return r.hand(), nil
		}
		if errors.Is(err, errTruncated) {
			if err = r.truncated(ctx); err == nil {
				continue
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return core.Batch{}, fmt.Errorf("read %s: %w", r.path, err)
		}
		if err != nil && r.again {
			return core.Batch{}, fmt.Errorf("%s ends before what was read of it: %w", r.path, shardlog.ErrTrimmed)
		}
		if err != nil && !r.text.follow {
			return core.Batch{}, r.finish(ctx, nil)
		}
		if err := r.wait(ctx); err != nil {
			return core.Batch{}, err
		}
	}
}

// wait waits for more of a followed file, and ends the following when none is to come.
func (r *reader) wait(ctx context.Context) error {
	if r.still.IsZero() {
		r.still = time.Now()
	}
	if r.source.over(r.entry, r.still) {
		r.text.follow = false
		return nil
	}
	return core.Pause(ctx, pollEvery)
}

// hand hands the records over.
func (r *reader) hand() core.Batch {
	out := r.b.take(r.shard, r.seen)
	out.Sequences = r
	out.Span = core.Span{First: out.SequenceOf(0), Last: out.SequenceOf(int(out.Records) - 1)}
	r.still = time.Time{}
	if !r.again {
		m := mark{Seq: out.Span.Last, End: -1}
		if r.plain != nil {
			if tail, err := hashBefore(r.f, r.text.off); err == nil {
				m.End, m.Tail, m.Size = r.text.off, tail, r.text.off
			}
			if st, err := r.f.Stat(); err == nil {
				m.Size = max(m.Size, st.Size())
			}
		}
		if r.run.Done {
			m.Size = r.run.To
			if r.ended {
				m.End, m.Tail = r.run.To, r.run.Tail
			}
		}
		r.source.handed(r.entry, r.n, m)
	}
	return out
}

// fill appends records until the batch is full or the text ends.
func (r *reader) fill(ctx context.Context) error {
	if r.ended {
		return io.EOF
	}
	if err := r.readHeader(); err != nil {
		return err
	}
	for r.b.rows() < batchRows && len(r.b.data) < batchBytes {
		record, at, err := r.split.next(&r.text)
		if r.grew && errors.Is(err, io.EOF) {
			r.grew = false
			continue
		}
		if err != nil {
			return err
		}
		if r.ended = r.text.cut || r.stop; r.text.cut {
			record = slices.Clone(record)
			if err := r.finish(ctx, &cut{at, len(record)}); !errors.Is(err, io.EOF) {
				return err
			}
		}
		r.b.add(at, r.header, record)
		if r.ended {
			return io.EOF
		}
	}
	return nil
}

// finish notes where the text ended, durably, before the last record is handed over if nothing but that ended it. It
// returns io.EOF.
func (r *reader) finish(ctx context.Context, last *cut) error {
	r.ended = true
	if r.again || r.run.Done {
		return io.EOF
	}
	done := r.run
	done.Done, done.Cut = true, last
	if !done.Old {
		done.To = r.text.off
	}
	switch {
	case done.Old:
	case r.plain == nil:
		done.Tail = r.kept.tail()
	default:
		at, tail := r.plain.read()
		if at != done.To { // it was read ahead
			tail, _ = hashBefore(r.f, done.To) // none, where it was truncated just now
		}
		done.Tail = tail
	}
	if err := r.source.finish(ctx, r.entry, r.n, done); err != nil {
		return err
	}
	r.run = done
	return io.EOF
}

// truncated goes on in a copy of the file, which was made before it was truncated; else what was read is all.
func (r *reader) truncated(ctx context.Context) error {
	at, _ := r.plain.read()
	f, path, err := r.source.copyOf(ctx, r.entry, r.f)
	if err != nil {
		return err
	}
	if f == nil {
		if r.again || !r.source.cutOff(ctx, r.entry, r.path, at) {
			return fmt.Errorf("%w: %w", errTruncated, shardlog.ErrTrimmed)
		}
		r.plain.limit = at
		r.text.follow, r.text.more = false, nil
		r.text.in.Reset(bytesNone{})
		return nil
	}
	r.unzip()
	_ = r.f.Close() // it was only read
	r.f, r.path = f, path
	if compressed(path) != "" {
		off := r.text.off
		if err := r.decompress(unbounded); err != nil {
			return err
		}
		r.plain, r.text.follow = nil, false
		_, err := io.CopyN(io.Discard, r.text.in, at)
		r.text.off = off
		return err
	}
	limit := r.run.To
	if st, err := f.Stat(); err == nil && limit == unbounded && !r.text.follow {
		limit = st.Size()
	}
	if r.plain, err = newPlain(f, at, limit); err != nil {
		return err
	}
	r.text.in.Reset(r.plain)
	r.source.reads(r.entry, r.plain)
	return nil
}

// bytesNone is a text that has ended.
type bytesNone struct{}

func (bytesNone) Read([]byte) (int, error) { return 0, io.EOF }

// Close closes the file.
func (r *reader) Close() error {
	r.unzip()
	if !r.again {
		r.source.closed(r.entry)
	}
	return r.f.Close()
}
