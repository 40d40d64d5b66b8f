package lake

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/scratch"
	"github.com/penstock/penstock/sinks/internal/ndjson"
	"github.com/penstock/penstock/sinks/internal/parquet"
)

// file is the file of one partition.
type file struct {
	name  string
	obj   Object  // nil until rows are encoded
	enc   encoder // so too
	size  int64
	rows  int64
	sum   uint64
	aside []scratch.Piece // rows not encoded yet that are on disk
	later []picked        // those that are in memory, and come after
	wait  int64           // their bytes, about
	done  bool            // visible
}

// picked are rows of a batch that is kept; nil is all of them.
type picked struct {
	batch arrow.Record
	rows  []int32
}

// encoder is what both formats' writers have.
type encoder interface {
	Write(rec arrow.Record, rows []int32) error
	Rows() int64
	Close() error
}

// Write counts what goes into the object.
func (f *file) Write(p []byte) (int, error) {
	n, err := f.obj.Write(p)
	f.size += int64(n)
	return n, err
}

// named is the file of a partition, of which nothing is encoded yet: part 0 of the plan there, or part 1 for late rows.
func (s *Staging) named(p *partition) *file {
	part := 0
	if p.late {
		part = 1
	}
	return &file{name: fmt.Sprintf("%s%s-%s-%012d-%d%s", p.prefix, s.flush.Pipeline, s.flush.Incarnation, s.flush.Number, part, s.layout.extension())}
}

// encode writes the rows of a file that were put off.
func (s *Staging) encode(ctx context.Context, f *file) error {
	if f.obj == nil && len(f.aside)+len(f.later) > 0 {
		if err := s.create(ctx, f); err != nil {
			return err
		}
	}
	before := f.encoded()
	if err := s.recall(f); err != nil {
		return err
	}
	for _, p := range f.later {
		if err := f.write(p.batch, p.rows); err != nil {
			return err
		}
	}
	s.raw += f.wait
	s.encoded += f.encoded() - before
	f.later, f.wait = nil, 0
	return nil
}

// write encodes rows.
func (f *file) write(rec arrow.Record, rows []int32) error {
	err := f.enc.Write(rec, rows)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("write %s: %w", f.name, err)
	if errors.Is(err, core.ErrInvalid) { // it would be so again
		return connectors.Permanent(err)
	}
	return err
}

// create begins a file at the destination.
func (s *Staging) create(ctx context.Context, f *file) error {
	obj, err := s.store.Create(ctx, f.name, Origin{s.flush.Pipeline, s.flush.Incarnation, s.flush.Number})
	if err != nil {
		return fmt.Errorf("begin %s: %w", f.name, err)
	}
	f.obj = obj
	s.open++
	var enc encoder
	if c := s.layout.Format.NDJSON; c != nil {
		enc, err = ndjson.New(f, *c)
	} else {
		c := parquet.Config{}
		if s.layout.Format.Parquet != nil {
			c = *s.layout.Format.Parquet
		}
		enc, err = parquet.New(f, s.flush.Schema, c)
	}
	if err != nil {
		return err
	}
	f.enc = enc
	return nil
}

// measure encodes the files that may have reached the target size, so that it is known whether they have.
func (s *Staging) measure(ctx context.Context, parts []*partition) error {
	target := int64(s.layout.TargetFileSize)
	if target == 0 {
		return nil
	}
	for _, p := range parts {
		if f := p.file; s.sizeOf(f) < target || f.obj == nil && s.open >= s.encoders {
			continue
		}
		if err := s.encode(ctx, p.file); err != nil {
			return err
		}
		// What an open row group will take is a guess; an ended one is written.
		if g, ok := p.file.enc.(interface{ Flush() error }); ok && p.file.encoded() >= target {
			before := p.file.encoded()
			if err := g.Flush(); err != nil {
				return fmt.Errorf("write %s: %w", p.file.name, err)
			}
			s.encoded += p.file.encoded() - before
		}
	}
	return nil
}

// sizeOf is how large a file will be at least, with what waits to be encoded: as much smaller as that before became.
func (s *Staging) sizeOf(f *file) int64 {
	if s.raw == 0 {
		return f.encoded() + f.wait
	}
	return f.encoded() + int64(float64(f.wait)*float64(s.encoded)/float64(s.raw))
}

// encoded is about how many bytes the rows that were encoded have.
func (f *file) encoded() int64 {
	if sized, ok := f.enc.(interface{ Size() int64 }); ok {
		return sized.Size()
	}
	return f.size
}
