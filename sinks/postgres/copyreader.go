package postgres

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"sync"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/sinks/internal/copybinary"
	"github.com/penstock/penstock/sinks/internal/hold"
)

// copyReader is rows in the format of COPY, made as they are read, so that no more than a piece of them is in memory. pgx
// may read on for a moment when it has returned, for a connection that is gone: what the reader noted is looked at after Close.
type copyReader struct {
	mu     sync.Mutex // held by Read and Close
	closed bool

	w       *writer
	types   *pgtype.Map
	columns []copybinary.Column
	next    func() (hold.Part, error, bool)
	stop    func()

	part    hold.Part
	rec     arrow.Record // the part's rows with what goes beside them; nil where the part is used up
	encoder *copybinary.Encoder
	row     int
	mine    func(row int) bool // of the part's batch; nil: all

	buf     []byte
	read    int
	lo      int64
	sent    int64
	left    []int64 // rows, as many as were sent before them, that were not sent
	ended   bool
	err     error // that is not the database's
	rescued int   // index of that column where the table has none; -1
	keys    []int // indexes of the key's columns
}

func newCopyReader(ctx context.Context, w *writer, types *pgtype.Map, columns []copybinary.Column, lo, hi int64) *copyReader {
	next, stop := iter.Pull2(w.rows.Between(ctx, lo, hi))
	return &copyReader{w: w, types: types, columns: columns, next: next, stop: stop, lo: lo, buf: []byte(copybinary.Header)}
}

// Close ends the reading, and waits for a Read that is under way. It may be called more than once.
func (r *copyReader) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.drop()
	r.stop()
}

// pieceBytes are made at a time.
const pieceBytes = 256 << 10

// Read gives the next bytes.
func (r *copyReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, io.ErrClosedPipe
	}
	for r.read == len(r.buf) {
		if r.ended {
			return 0, io.EOF
		}
		r.buf, r.read = r.buf[:0], 0
		if r.err = r.fill(); r.err != nil {
			return 0, r.err
		}
	}
	n := copy(p, r.buf[r.read:])
	r.read += n
	return n, nil
}

// fill makes the next piece.
func (r *copyReader) fill() error {
	for len(r.buf) < pieceBytes {
		if r.rec == nil {
			part, err, more := r.next()
			if err != nil {
				return err
			}
			if !more {
				r.buf, r.ended = append(r.buf, copybinary.Trailer...), true
				return nil
			}
			if err := r.begin(part); err != nil {
				return err
			}
		}
		for r.row < r.part.To && len(r.buf) < pieceBytes {
			if err := r.append(); err != nil {
				return err
			}
			r.row++
		}
		if r.row == r.part.To {
			r.drop()
		}
	}
	return nil
}

// append appends one row, or notes why it is not sent.
func (r *copyReader) append() error {
	if r.mine != nil && !r.mine(r.row) || r.w.Skips(r.part.Batch, r.row) {
		r.left = append(r.left, r.sent)
		return nil
	}
	code, reason := r.unfit()
	if reason == "" {
		var wrong *copybinary.ValueError
		next, err := r.encoder.Append(r.buf, r.row)
		r.buf = next
		switch {
		case err == nil:
			r.sent++
			return nil
		case !errors.As(err, &wrong):
			return err
		}
		code, reason = "value", wrong.Error()
	}
	r.left = append(r.left, r.sent)
	return r.w.Refuse(r.part.Batch, r.row, code, reason)
}

// unfit says why a row is not for this table, whatever its values' types.
func (r *copyReader) unfit() (code, reason string) {
	if r.rescued >= 0 && r.rec.Column(r.rescued).IsValid(r.row) {
		return "rescued", "the row has fields that its columns cannot hold, and the table has no column " + core.RescuedColumn + " of type jsonb to keep them: " + r.rec.Column(r.rescued).ValueStr(r.row)
	}
	for _, k := range r.keys {
		if r.rec.Column(k).IsNull(r.row) {
			return "null_key", "column " + r.rec.ColumnName(k) + " of the key is null"
		}
	}
	return "", ""
}

// at is the row that was sent as the n-th, counted from 1; -1 for none.
func (r *copyReader) at(n int64) int64 {
	if n < 1 || n > r.sent {
		return -1
	}
	at := n
	for _, before := range r.left { // how many were sent before each
		if before < n {
			at++
		}
	}
	return r.lo + at - 1
}

// begin takes up a part.
func (r *copyReader) begin(p hold.Part) error {
	r.part, r.row = p, p.From
	if r.w.mine != nil {
		r.mine = r.w.mine(p.Batch)
	}
	r.rec = r.beside()
	schema := r.rec.Schema()
	r.rescued, r.keys = -1, r.keys[:0]
	if r.w.table.column(core.RescuedColumn) == nil {
		for _, i := range schema.FieldIndices(core.RescuedColumn) {
			r.rescued = i
		}
	}
	for _, k := range r.w.cfg.Key {
		r.keys = append(r.keys, schema.FieldIndices(k)...)
	}
	var err error
	r.encoder, err = copybinary.New(r.types, r.rec, r.columns)
	return err
}

func (r *copyReader) drop() {
	if r.rec != nil {
		r.rec.Release()
		r.rec = nil
	}
}

// Columns that go beside a row's own into the table where its key finds its place.
const (
	besideN   = "_penstock.n"   // int64: how many rows of the flush come before
	besideSeq = "_penstock.seq" // text: the record's sequence number
)

// beside is the part's rows with those columns beside them that are asked for; the rows of the batch that are not of the part
// have them too.
func (r *copyReader) beside() arrow.Record {
	p := r.part
	fields, columns := p.Rows.Schema().Fields(), slices.Clone(p.Rows.Columns())
	for _, c := range r.columns {
		var b array.Builder
		switch c.From {
		case besideN:
			n := array.NewInt64Builder(memory.DefaultAllocator)
			for i := range int(p.NumRows()) {
				n.Append(p.At + int64(i-p.From))
			}
			b = n
		case besideSeq:
			seq := array.NewStringBuilder(memory.DefaultAllocator)
			for i := range int(p.NumRows()) {
				seq.Append(string(p.SequenceOf(i)))
			}
			b = seq
		default:
			continue
		}
		made := b.NewArray()
		defer made.Release()
		b.Release()
		fields, columns = append(fields, arrow.Field{Name: c.From, Type: made.DataType()}), append(columns, made)
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), columns, p.NumRows())
}
