package lake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/sinks/internal/ndjson"
	"github.com/penstock/penstock/sinks/internal/parquet"
	"github.com/penstock/penstock/sinks/internal/rowhash"
)

// Staging gathers the rows of one flush in files that are not visible yet. Batches are kept as they came, shared by the
// partitions that have rows in them, until there are enough to be worth encoding; where there are many partitions, until
// the files are published, one after the other, since an encoder takes memory for each of its columns.
type Staging struct {
	store  Store
	layout Layout
	flush  connectors.Flush
	parts  *partitioner
	hashes []uint64
	closed bool

	kept []arrow.Record // batches not encoded yet
	held int64          // their bytes
}

const (
	maxEncoders = 32      // partitions of a flush, above which nothing is encoded before it is published
	keptBytes   = 8 << 20 // of batches that are encoded together
)

var (
	_ connectors.Staging = (*Staging)(nil)
	_ connectors.Fitter  = (*Staging)(nil)
)

// file is the file of one partition.
type file struct {
	name  string
	obj   Object  // nil until rows are encoded
	enc   encoder // so too
	size  int64
	rows  int64
	sum   uint64
	later []picked // rows not encoded yet
	done  bool     // visible
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
	return &Staging{store: store, layout: l, flush: f, parts: parts}, nil
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
		p.rows = p.rows[:0]
	}
	b.Retain()
	s.kept = append(s.kept, b.Rows)
	s.held += sizeOf(b.Rows) + 4*b.NumRows()
	if s.held < keptBytes || len(s.parts.by) > maxEncoders {
		return nil
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
	return nil
}

// Fit notes the partitions of the rows of b.
func (s *Staging) Fit(b core.Batch) error {
	parts, err := s.parts.split(b, &connectors.Verdicts{})
	for _, p := range parts {
		p.rows = p.rows[:0]
	}
	return err
}

// sizeOf is how many bytes the buffers of a batch have.
func sizeOf(rec arrow.Record) int64 {
	var n int64
	for _, c := range rec.Columns() {
		n += dataSize(c.Data())
	}
	return n
}

func dataSize(d arrow.ArrayData) int64 {
	var n int64
	for _, b := range d.Buffers() {
		if b != nil {
			n += int64(b.Len())
		}
	}
	for _, child := range d.Children() {
		n += dataSize(child)
	}
	return n
}

// release gives up the batches that were kept.
func (s *Staging) release() {
	for _, rec := range s.kept {
		rec.Release()
	}
	s.kept, s.held = nil, 0
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
	if len(f.later) > 0 && f.obj == nil {
		if err := s.create(ctx, f); err != nil {
			return err
		}
	}
	for _, p := range f.later {
		if err := f.enc.Write(p.batch, p.rows); err != nil {
			err = fmt.Errorf("write %s: %w", f.name, err)
			if errors.Is(err, core.ErrInvalid) { // it would be so again
				err = connectors.Permanent(err)
			}
			return err
		}
	}
	f.later = nil
	return nil
}

// create begins a file at the destination.
func (s *Staging) create(ctx context.Context, f *file) error {
	obj, err := s.store.Create(ctx, f.name, Origin{s.flush.Pipeline, s.flush.Incarnation, s.flush.Number})
	if err != nil {
		return fmt.Errorf("begin %s: %w", f.name, err)
	}
	f.obj = obj
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
		st.Largest = max(st.Largest, p.file.size)
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

// footer is what a Parquet file says of the plan that wrote it.
type footer struct {
	Pipeline    string                `json:"pipeline"`
	Incarnation string                `json:"incarnation"`
	Number      int64                 `json:"plan"`
	Spans       []connectors.PlanSpan `json:"spans"`
}

// Publish ends the files, makes them visible, and then writes the manifest.
func (s *Staging) Publish(ctx context.Context, p connectors.Plan, _ connectors.Decide) error {
	if len(p.Rejects) > 0 {
		return connectors.Permanent(fmt.Errorf("plan %d has rows that a store of files never refuses", p.Number))
	}
	text, err := json.Marshal(footer{p.Pipeline, p.Incarnation, p.Number, p.Spans})
	if err != nil {
		return err
	}
	p.Outputs = slices.Clone(p.Outputs)
	for i, f := range s.files() {
		if err := s.encode(ctx, f); err != nil {
			return broken(err)
		}
		if err := f.publish(ctx, string(text)); err != nil {
			return err
		}
		if i < len(p.Outputs) {
			p.Outputs[i].Bytes = f.size
		}
	}
	connectors.Step(ctx, "outputs-written")
	if err := writeManifest(ctx, s.store, p); err != nil {
		return err
	}
	connectors.Step(ctx, "manifest-written")
	return nil
}

// broken says what becomes of a staging whose encoder failed, which cannot go on: it is made anew, unless that would fail
// in the same way.
func broken(err error) error {
	switch {
	case connectors.IsPermanent(err):
		return err
	case errors.Is(err, core.ErrInvalid):
		return connectors.Permanent(err)
	}
	return connectors.Restage(err)
}

// publish ends a file and makes it visible.
func (f *file) publish(ctx context.Context, footer string) error {
	if f.enc != nil && !f.done {
		if m, ok := f.enc.(interface{ SetMetadata(key, value string) error }); ok {
			if err := m.SetMetadata(parquet.PlanKey, footer); err != nil {
				return err
			}
		}
		if err := f.enc.Close(); err != nil {
			return broken(fmt.Errorf("end %s: %w", f.name, err))
		}
		f.done, f.enc = true, nil
	}
	if err := f.obj.Commit(ctx); err != nil {
		return fmt.Errorf("publish %s: %w", f.name, err)
	}
	return nil
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
	return errors.Join(errs...)
}
