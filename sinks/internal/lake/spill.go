package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/scratch"
	"github.com/penstock/penstock/core/take"
)

var _ connectors.Spiller = (*Staging)(nil)

const (
	pieceBytes  = 4 << 20 // of a partition's rows that are put on disk together
	yieldsBytes = 1 << 20 // that an open row group holds to be worth ending
)

// Spill gives up memory. Where there are few partitions their rows are encoded and row groups that are worth it are ended;
// where there are many, the rows are put on disk, those of a partition together, until the flush is published. When the
// disk takes no more the rest stays in memory.
func (s *Staging) Spill(ctx context.Context) error {
	if len(s.parts.by) <= s.encoders {
		for _, f := range s.files() {
			if err := s.encode(ctx, f); err != nil {
				return err
			}
		}
		s.release()
	} else if s.putAside(ctx) == nil {
		s.release()
	}
	for _, f := range s.files() {
		y, ok := f.enc.(interface {
			Held() int64
			Yield() error
		})
		if ok && y.Held() >= yieldsBytes {
			if err := y.Yield(); err != nil {
				return fmt.Errorf("write %s: %w", f.name, err)
			}
		}
	}
	return nil
}

// putAside puts the rows in memory on disk. A file's rows are in memory or on disk when it fails, never in both.
func (s *Staging) putAside(ctx context.Context) error {
	if s.flush.Scratch == nil {
		return scratch.ErrFull
	}
	if s.aside == nil {
		var err error
		if s.aside, err = s.flush.Scratch.Open(); err != nil {
			return err
		}
	}
	for _, f := range s.files() {
		for len(f.later) > 0 {
			n, size := 0, int64(0)
			for n < len(f.later) && size < pieceBytes {
				size += f.later[n].bytes()
				n++
			}
			piece, err := s.put(ctx, f.later[:n])
			if err != nil {
				return err
			}
			f.aside, f.later = append(f.aside, piece), f.later[n:]
		}
	}
	return nil
}

// bytes is about how much memory the rows take.
func (p picked) bytes() int64 {
	n := core.HeldBytes(p.batch)
	if p.rows != nil {
		n = n * int64(len(p.rows)) / p.batch.NumRows()
	}
	return n
}

// put writes rows as an Arrow stream of one batch.
func (s *Staging) put(ctx context.Context, picks []picked) (scratch.Piece, error) {
	rec, err := together(ctx, picks)
	if err != nil {
		return scratch.Piece{}, err
	}
	defer rec.Release()
	var buf bytes.Buffer
	w := ipc.NewWriter(&buf, ipc.WithSchema(rec.Schema()))
	if err := errors.Join(w.Write(rec), w.Close()); err != nil {
		return scratch.Piece{}, err
	}
	return s.aside.Put(buf.Bytes())
}

// together makes one batch of picked rows, in their order.
func together(ctx context.Context, picks []picked) (arrow.Record, error) {
	mem := memory.DefaultAllocator
	parts := make([]arrow.Record, 0, len(picks))
	defer func() {
		for _, p := range parts {
			p.Release()
		}
	}()
	rows := int64(0)
	for _, p := range picks {
		b := core.Batch{Rows: p.batch}
		b.Retain()
		if p.rows != nil {
			b.Release()
			var err error
			if b, err = take.Rows(ctx, mem, b, p.rows); err != nil {
				return nil, err
			}
		}
		parts = append(parts, b.Rows)
		rows += b.NumRows()
	}
	cols := make([]arrow.Array, parts[0].NumCols())
	defer func() {
		for _, c := range cols {
			if c != nil {
				c.Release()
			}
		}
	}()
	pieces := make([]arrow.Array, len(parts))
	for i := range cols {
		for k, p := range parts {
			pieces[k] = p.Column(i)
		}
		var err error
		if cols[i], err = array.Concatenate(pieces, mem); err != nil {
			return nil, err
		}
	}
	return array.NewRecord(parts[0].Schema(), cols, rows), nil
}

// recall encodes the rows of a file that are on disk.
func (s *Staging) recall(f *file) error {
	for _, p := range f.aside {
		text, err := s.aside.Get(p, s.text)
		if err != nil {
			return fmt.Errorf("read rows of %s that had been put on disk: %w", f.name, err)
		}
		s.text = text
		r, err := ipc.NewReader(bytes.NewReader(text))
		if err != nil {
			return err
		}
		for err == nil && r.Next() {
			err = f.write(r.Record(), nil)
		}
		err = errors.Join(err, r.Err())
		r.Release()
		if err != nil {
			return err
		}
	}
	f.aside = nil
	return nil
}
