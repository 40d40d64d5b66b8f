package connectors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
)

// firstSample is how many records at most the first schema is inferred from.
const firstSample = 1000

// schemas are the versions of a pipeline's decoder schema, each bound to the program. A version is a row of the
// control store and never changes; a newer one holds everything that an older one does.
type schemas struct {
	store       lease.Store
	keys        keys
	incarnation string
	program     *Program
	events      *Events

	busy chan struct{} // held, by sending, while versions are read or committed; a lock that ctx can interrupt
	all  map[int64]*bound
	cur  atomic.Pointer[bound] // the newest known; nil before the first
}

// lock keeps others out of the versions until the func it returns is called.
func (s *schemas) lock(ctx context.Context) (func(), error) {
	select {
	case s.busy <- struct{}{}:
		return func() { <-s.busy }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// open reads the newest version, if there is any.
func (s *schemas) open(ctx context.Context) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.refresh(ctx); err != nil {
		return err
	}
	if cur := s.current(); cur != nil {
		s.events.absent(cur.absent())
	}
	return nil
}

// current is the newest known version; nil before the first record was seen.
func (s *schemas) current() *bound { return s.cur.Load() }

// at is the given version, under program, which may be an older one than the worker's.
func (s *schemas) at(ctx context.Context, program *Program, version int64) (*bound, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if program == s.program {
		return s.load(ctx, version)
	}
	input, err := s.input(ctx, version)
	if err != nil {
		return nil, err
	}
	return program.bind(version, input)
}

// widen returns a version that holds raw's records too, committing it first if it is new.
func (s *schemas) widen(ctx context.Context, raw core.Batch) (*bound, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	for {
		input, err := s.program.wider(s.current(), raw)
		if err != nil {
			return nil, err
		}
		if cur := s.current(); cur != nil && input.Equal(cur.input) {
			return cur, nil
		}
		b, err := s.bindWider(input)
		if err != nil || b == s.current() {
			return b, err
		}
		switch err := s.commit(ctx, b); {
		case err == nil:
			s.all[b.version] = b
			s.cur.Store(b)
			s.events.schema(b.version, input.NumFields())
			if b.version == 1 {
				s.events.advice(s.program.advice(raw))
			}
			s.events.absent(b.absent())
			return b, nil
		case errors.Is(err, control.ErrConflict), errors.Is(err, control.ErrUnknown):
			if err := s.refresh(ctx); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("commit schema %d: %w", b.version, err)
		}
	}
}

// bindWider binds a wider schema before it is committed: one that the stages cannot run under must not become the
// newest. A record that asks for one, with a field that a rename already gives, say, must not end the pipeline either:
// its new fields are rescued then.
func (s *schemas) bindWider(input *arrow.Schema) (*bound, error) {
	b, err := s.program.bind(s.version()+1, input)
	cur := s.current()
	if err == nil || cur == nil || !errors.Is(err, core.ErrInvalid) {
		return b, err
	}
	s.events.refused(err)
	if cur.input.HasField(core.RescuedColumn) {
		return cur, nil
	}
	rescued := arrow.Field{Name: core.RescuedColumn, Type: arrow.BinaryTypes.String, Nullable: true}
	return s.program.bind(s.version()+1, arrow.NewSchema(append(slices.Clone(cur.input.Fields()), rescued), nil))
}

func (s *schemas) version() int64 {
	if cur := s.current(); cur != nil {
		return cur.version
	}
	return 0
}

// wider is the schema that raw asks for, beyond that of cur, which is nil before the first.
func (p *Program) wider(cur *bound, raw core.Batch) (*arrow.Schema, error) {
	var have *arrow.Schema
	raw = p.records(raw)
	defer raw.Release()
	sample := raw
	switch {
	case cur != nil:
		have = cur.input
	default:
		if len(p.Declared) > 0 {
			have = arrow.NewSchema(p.Declared, nil)
		}
		if raw.NumRows() > firstSample {
			sample = Head(raw, firstSample)
			defer sample.Release()
		}
	}
	input, err := p.Decoder.Widen(have, sample, p.pinned(have))
	if err != nil {
		return nil, fmt.Errorf("infer the schema of records %s to %s of %s: %w", raw.Span.First, raw.Span.Last, raw.Shard, err)
	}
	return input, nil
}

// commit writes b as the next version, guarded by the pipeline's row.
func (s *schemas) commit(ctx context.Context, b *bound) error {
	row, st, err := loadRow[State](ctx, s.store, s.keys.state())
	if err != nil {
		return err
	}
	if st.Incarnation != s.incarnation {
		return fmt.Errorf("pipeline %s was reset while it ran: %w", s.keys.pipeline, lease.ErrLost)
	}
	if st.Schema != b.version-1 {
		return control.ErrConflict
	}
	enc, err := encodeSchema(b.input)
	if err != nil {
		return err
	}
	st.Schema = b.version
	_, err = s.store.Commit(ctx, control.Txn{
		Checks: []control.Check{{Key: row.Key, Version: row.Version}},
		Writes: []control.Write{jsonRow(row.Key, st), {Key: s.keys.schema(s.incarnation, b.version), Value: enc}},
	})
	return err
}

// refresh makes the newest stored version the current one.
func (s *schemas) refresh(ctx context.Context) error {
	_, st, err := loadRow[State](ctx, s.store, s.keys.state())
	if err != nil || st.Schema == s.version() {
		return err
	}
	b, err := s.load(ctx, st.Schema)
	if err != nil {
		return err
	}
	s.cur.Store(b)
	return nil
}

func (s *schemas) load(ctx context.Context, version int64) (*bound, error) {
	if b := s.all[version]; b != nil {
		return b, nil
	}
	input, err := s.input(ctx, version)
	if err != nil {
		return nil, err
	}
	b, err := s.program.bind(version, input)
	if err != nil {
		return nil, err
	}
	s.all[version] = b
	return b, nil
}

func (s *schemas) input(ctx context.Context, version int64) (*arrow.Schema, error) {
	key := s.keys.schema(s.incarnation, version)
	row, ok, err := s.store.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	if !ok {
		return nil, Permanent(fmt.Errorf("schema %d of pipeline %s is missing from the control store", version, s.keys.pipeline))
	}
	return decodeSchema(row.Value)
}
