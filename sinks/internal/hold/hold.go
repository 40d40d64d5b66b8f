// Package hold keeps the rows of a flush until they are published, for sinks that write them only then: in memory, and on
// disk once memory has no room for them. It knows nothing of destinations.
package hold

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/scratch"
)

// Rows are batches in the order in which they were added. They are used by one goroutine.
type Rows struct {
	space *scratch.Space // nil: everything stays in memory

	aside *scratch.File
	piece []piece      // on disk; all of them come before those in memory
	batch []core.Batch // in memory, retained
	held  int64        // about how many bytes these take
	count int64        // of rows
	read  []byte
}

// piece is a batch on disk.
type piece struct {
	core.Batch // without its rows
	rows       int64
	at         scratch.Piece
}

// New returns no rows. Those that Spill gives up go to files of space; nil: nowhere.
func New(space *scratch.Space) *Rows { return &Rows{space: space} }

// Add takes the rows of b, which it borrows.
func (r *Rows) Add(b core.Batch) {
	if b.NumRows() == 0 {
		return
	}
	b.Retain()
	r.batch = append(r.batch, b)
	r.held += core.HeldBytes(b.Rows)
	r.count += b.NumRows()
}

// Len is how many rows there are.
func (r *Rows) Len() int64 { return r.count }

// Memory is about how many bytes of memory they take.
func (r *Rows) Memory() int64 { return r.held }

// Spill puts what is in memory on disk. After an error the rest is in memory still, and nothing is lost.
func (r *Rows) Spill() error {
	if r.space == nil {
		return scratch.ErrFull
	}
	if r.aside == nil {
		var err error
		if r.aside, err = r.space.Open(); err != nil {
			return err
		}
	}
	for len(r.batch) > 0 {
		b := r.batch[0]
		at, err := r.put(b)
		if err != nil {
			return fmt.Errorf("put rows on disk: %w", err)
		}
		r.held -= core.HeldBytes(b.Rows)
		r.piece = append(r.piece, piece{b.WithRows(nil), b.NumRows(), at})
		b.Release()
		r.batch = r.batch[1:]
	}
	r.batch, r.held = nil, 0
	return nil
}

// sequenceColumn holds, on disk, what a batch's Sequences say in memory.
const sequenceColumn = "sequence"

// put writes a batch as an Arrow stream, with the sequence numbers of its rows as a further column.
func (r *Rows) put(b core.Batch) (scratch.Piece, error) {
	numbers := array.NewStringBuilder(memory.DefaultAllocator)
	defer numbers.Release()
	for i := range int(b.NumRows()) {
		numbers.Append(string(b.SequenceOf(i)))
	}
	column := numbers.NewArray()
	defer column.Release()
	fields := append(b.Rows.Schema().Fields(), arrow.Field{Name: sequenceColumn, Type: arrow.BinaryTypes.String})
	rec := array.NewRecord(arrow.NewSchema(fields, nil), append(b.Rows.Columns(), column), b.NumRows())
	defer rec.Release()
	var text bytes.Buffer
	w := ipc.NewWriter(&text, ipc.WithSchema(rec.Schema()))
	if err := errors.Join(w.Write(rec), w.Close()); err != nil {
		return scratch.Piece{}, err
	}
	return r.aside.Put(text.Bytes())
}

// Part is rows of a batch, which whoever is shown it borrows.
type Part struct {
	core.Batch
	From, To int   // of the batch's rows: From is the first, To is behind the last
	At       int64 // how many rows were added before the first one
}

// All shows all rows; see Between.
func (r *Rows) All(ctx context.Context) iter.Seq2[Part, error] { return r.Between(ctx, 0, r.count) }

// Between shows the rows from the one that lo rows were added before to, and without, the one that hi were, in the order in
// which they were added. An error is the last that it shows. It may be called again.
func (r *Rows) Between(ctx context.Context, lo, hi int64) iter.Seq2[Part, error] {
	return func(yield func(Part, error) bool) {
		at := int64(0)
		part := func(b core.Batch) Part {
			return Part{b, int(max(0, lo-at)), int(min(b.NumRows(), hi-at)), max(at, lo)}
		}
		for _, p := range r.piece {
			if at+p.rows > lo && at < hi {
				if err := errors.Join(ctx.Err(), r.recall(p, func(b core.Batch) bool { return yield(part(b), nil) })); err != nil {
					if !errors.Is(err, errStopped) {
						yield(Part{}, err)
					}
					return
				}
			}
			at += p.rows
		}
		for _, b := range r.batch {
			if at+b.NumRows() > lo && at < hi {
				if err := ctx.Err(); err != nil {
					yield(Part{}, err)
					return
				}
				if !yield(part(b), nil) {
					return
				}
			}
			at += b.NumRows()
		}
	}
}

var errStopped = errors.New("no more rows are wanted")

// recall reads a batch from disk.
func (r *Rows) recall(p piece, show func(core.Batch) bool) error {
	text, err := r.aside.Get(p.at, r.read)
	if err != nil {
		return fmt.Errorf("read rows that had been put on disk: %w", err)
	}
	r.read = text
	in, err := ipc.NewReader(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("read rows that had been put on disk: %w", err)
	}
	defer in.Release()
	for in.Next() {
		if !r.resolved(p, in.Record(), show) {
			return errStopped
		}
	}
	return in.Err()
}

// resolved shows a batch whose handles are indexes of the sequence numbers that stand beside its rows.
func (r *Rows) resolved(p piece, rec arrow.Record, show func(core.Batch) bool) bool {
	n := len(rec.Columns()) - 1
	handles := array.NewInt64Builder(memory.DefaultAllocator)
	defer handles.Release()
	for i := range rec.NumRows() {
		handles.Append(i)
	}
	column := handles.NewArray()
	defer column.Release()
	fields := rec.Schema().Fields()[:n]
	rows := array.NewRecord(arrow.NewSchema(fields, nil), append([]arrow.Array{column}, rec.Columns()[1:n]...), rec.NumRows())
	defer rows.Release()
	b := p.WithRows(rows)
	b.Sequences = written{rec.Column(n).(*array.String)}
	return show(b)
}

// written are sequence numbers as they stand on disk.
type written struct{ numbers *array.String }

func (w written) At(handle, _ int64) core.SequenceNumber {
	return core.SequenceNumber(w.numbers.Value(int(handle)))
}

// Close gives up everything. It may be called more than once.
func (r *Rows) Close() error {
	for _, b := range r.batch {
		b.Release()
	}
	r.batch, r.piece, r.held, r.count, r.read = nil, nil, 0, 0, nil
	err := r.aside.Close()
	r.aside = nil
	return err
}
