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

// Staging gathers the rows of one flush in files that are not visible yet.
type Staging struct {
	store  Store
	layout Layout
	flush  connectors.Flush
	parts  *partitioner
	hashes []uint64
	closed bool
}

var _ connectors.Staging = (*Staging)(nil)

// file is the file of one partition.
type file struct {
	name string
	obj  Object
	enc  encoder
	size int64
	sum  uint64
	done bool // visible
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
	parts, err := newPartitioner(l, fmt.Sprintf("%016x", h.Sum64()))
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
	for _, p := range parts {
		if p.file == nil {
			if p.file, err = s.create(ctx, p); err != nil {
				return err
			}
		}
		rows := p.rows
		for _, i := range rows {
			p.file.sum += s.hashes[i]
		}
		if int64(len(rows)) == b.NumRows() {
			rows = nil
		}
		err = p.file.enc.Write(b.Rows, rows)
		p.rows = p.rows[:0]
		if err != nil {
			return fmt.Errorf("write %s: %w", p.file.name, err)
		}
	}
	return nil
}

// create begins the file of a partition: part 0 of the plan there, or part 1 for late rows.
func (s *Staging) create(ctx context.Context, p *partition) (*file, error) {
	part := 0
	if p.late {
		part = 1
	}
	f := &file{name: fmt.Sprintf("%s%s-%s-%012d-%d%s", p.prefix, s.flush.Pipeline, s.flush.Incarnation, s.flush.Number, part, s.layout.extension())}
	var err error
	if f.obj, err = s.store.Create(ctx, f.name, Origin{s.flush.Pipeline, s.flush.Incarnation, s.flush.Number}); err != nil {
		return nil, fmt.Errorf("begin %s: %w", f.name, err)
	}
	if c := s.layout.Format.NDJSON; c != nil {
		f.enc, err = ndjson.New(f, *c)
	} else {
		c := parquet.Config{}
		if s.layout.Format.Parquet != nil {
			c = *s.layout.Format.Parquet
		}
		f.enc, err = parquet.New(f, s.flush.Schema, c)
	}
	if err != nil {
		return nil, errors.Join(err, f.obj.Abort())
	}
	return f, nil
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
	var st connectors.StagingStats
	for _, p := range s.parts.by {
		if p.file == nil {
			continue
		}
		st.Outputs++
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
		out = append(out, connectors.Output{Name: f.name, Rows: f.enc.Rows(), Hash: fmt.Sprintf("%016x", f.sum)})
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

// publish ends a file and makes it visible.
func (f *file) publish(ctx context.Context, footer string) error {
	if f.enc != nil && !f.done {
		if m, ok := f.enc.(interface{ SetMetadata(key, value string) error }); ok {
			if err := m.SetMetadata(parquet.PlanKey, footer); err != nil {
				return err
			}
		}
		if err := f.enc.Close(); err != nil {
			return connectors.Restage(fmt.Errorf("end %s: %w", f.name, err)) // an encoder cannot go on after an error
		}
		f.done = true
	}
	if err := f.obj.Commit(ctx); err != nil {
		return fmt.Errorf("publish %s: %w", f.name, err)
	}
	return nil
}

// Discard gives up what was not published.
func (s *Staging) Discard() error {
	var errs []error
	for _, f := range s.files() {
		errs = append(errs, f.obj.Abort())
	}
	return errors.Join(errs...)
}
