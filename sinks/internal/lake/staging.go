package lake

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/scratch"
	"github.com/penstock/penstock/sinks/internal/parquet"
	"github.com/penstock/penstock/sinks/internal/rowhash"
)

// Staging gathers the rows of one flush in files that are not visible yet. Batches are kept as they came, shared by the
// partitions that have rows in them, until there are enough to be worth encoding; where there are many partitions, until
// the files are published, one after the other, since an encoder takes memory for each of its columns. Only a file that
// may have reached its target size by then is encoded before, to know.
type Staging struct {
	store  Store
	layout Layout
	flush  connectors.Flush
	parts  *partitioner
	hashes []uint64
	closed bool

	kept []arrow.Record // batches not encoded yet
	held int64          // their bytes

	encoders int           // as maxEncoders, within the flush's memory
	aside    *scratch.File // rows that memory had no room for; nil while there are none
	text     []byte        // read from it

	open         int   // files begun
	raw, encoded int64 // bytes of the rows that were encoded, before and after
}

const (
	maxEncoders = 32      // partitions of a flush, above which nothing is encoded before it is published
	fileBytes   = 8 << 20 // that a file being encoded may hold; where there is less memory, fewer are encoded early
	keptBytes   = 8 << 20 // of batches that are encoded together
)

var (
	_ connectors.Staging = (*Staging)(nil)
	_ connectors.Fitter  = (*Staging)(nil)
)

// Stage opens a staging for a flush.
func Stage(store Store, l Layout, f connectors.Flush) (*Staging, error) {
	if l.Format.NDJSON == nil {
		if err := parquet.Check(f.Schema); err != nil {
			return nil, connectors.Permanent(err)
		}
	}
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s/%s/%d", f.Pipeline, f.Incarnation, f.Number)
	parts, err := newPartitioner(l, fmt.Sprintf("%016x", h.Sum64()), f.MaxOutputs)
	if err != nil {
		return nil, err
	}
	s := &Staging{store: store, layout: l, flush: f, parts: parts, encoders: maxEncoders}
	if f.Memory > 0 {
		s.encoders = int(max(2, min(f.Memory/fileBytes, maxEncoders)))
	}
	return s, nil
}

// Add encodes the rows of b into the files of their partitions.
func (s *Staging) Add(ctx context.Context, b core.Batch, v *connectors.Verdicts) error {
	if s.closed {
		return errors.New("rows were added after the flush was closed")
	}
	parts, err := s.parts.split(b, v)
	if err != nil {
		return err
	}
	if s.hashes, err = rowhash.Rows(s.hashes, b.Rows); err != nil {
		return err
	}
	if len(parts) == 0 {
		return nil
	}
	size := core.HeldBytes(b.Rows)
	for _, p := range parts {
		if p.file == nil {
			p.file = s.named(p)
		}
		for _, i := range p.rows {
			p.file.sum += s.hashes[i]
		}
		p.file.rows += int64(len(p.rows))
		pick := picked{batch: b.Rows}
		if int64(len(p.rows)) != b.NumRows() {
			pick.rows = slices.Clone(p.rows)
		}
		p.file.later = append(p.file.later, pick)
		p.file.wait += size * int64(len(p.rows)) / b.NumRows()
		p.rows = p.rows[:0]
	}
	b.Retain()
	s.kept = append(s.kept, b.Rows)
	s.held += size + 4*b.NumRows()
	if s.held < keptBytes || len(s.parts.by) > s.encoders {
		return s.measure(ctx, parts)
	}
	for _, p := range s.parts.by {
		if p.file == nil {
			continue
		}
		if err := s.encode(ctx, p.file); err != nil {
			return err
		}
	}
	s.release()
	return s.measure(ctx, parts)
}

// Fit notes the partitions of the rows of b.
func (s *Staging) Fit(b core.Batch) error {
	parts, err := s.parts.split(b, &connectors.Verdicts{})
	for _, p := range parts {
		p.rows = p.rows[:0]
	}
	return err
}

// release gives up the batches that were kept.
func (s *Staging) release() {
	for _, rec := range s.kept {
		rec.Release()
	}
	s.kept, s.held = nil, 0
}

// files are those begun, in order of their names.
func (s *Staging) files() []*file {
	var out []*file
	for _, p := range s.parts.by {
		if p.file != nil {
			out = append(out, p.file)
		}
	}
	slices.SortFunc(out, func(a, b *file) int { return strings.Compare(a.name, b.name) })
	return out
}

// Stats says how far the files have grown.
func (s *Staging) Stats() connectors.StagingStats {
	st := connectors.StagingStats{Memory: s.held, Outputs: len(s.parts.by)}
	for _, p := range s.parts.by {
		if p.file == nil {
			continue
		}
		st.Largest = max(st.Largest, s.sizeOf(p.file))
		for _, part := range []any{p.file.enc, p.file.obj} {
			if h, ok := part.(interface{ Held() int64 }); ok {
				st.Memory += h.Held()
			}
		}
	}
	return st
}

// Outputs names the files.
func (s *Staging) Outputs(context.Context) ([]connectors.Output, error) {
	s.closed = true
	var out []connectors.Output
	for _, f := range s.files() {
		out = append(out, connectors.Output{Name: f.name, Rows: f.rows, Hash: fmt.Sprintf("%016x", f.sum)})
	}
	return out, nil
}

// Discard gives up what was not published.
func (s *Staging) Discard() error {
	s.closed = true
	var errs []error
	for _, p := range s.parts.by {
		if p.file == nil {
			continue
		}
		if p.file.obj != nil {
			errs = append(errs, p.file.obj.Abort())
		}
		p.file, p.rows = nil, nil
	}
	s.release()
	s.text = nil
	return errors.Join(append(errs, s.aside.Close())...)
}
