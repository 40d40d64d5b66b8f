package local

import (
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/penstock/penstock/core/shardlog"
)

// target is where one log's entries go: a segment for each of their schemas, its own or shared with other logs.
type target struct {
	m       *mover
	log     moving
	own     bool
	writers []*segWriter
	begun   []*segWriter // those of writers that have a share of this log
	last    *segWriter   // that took the last entry
}

// copy copies the log's entries. Each shared writer's block ends with the log.
func (t *target) copy() error {
	pos := shardlog.Pos(0)
	for {
		refs, prev := t.m.refs(t.log, pos)
		if len(refs) == 0 {
			break
		}
		for i := range refs {
			if err := t.entry(refs, i, prev); err != nil {
				return err
			}
			prev = refs[i].pos
		}
		pos = prev
	}
	for _, w := range t.begun {
		if err := w.flush(); err != nil {
			return err
		}
	}
	return nil
}

func (t *target) entry(refs []ref, i int, prev shardlog.Pos) error {
	rec, err := t.m.decode(refs, i)
	if err != nil {
		return err
	}
	defer rec.Release()
	r := refs[i]
	w, err := t.writer(rec.Schema(), r.pos)
	if err != nil {
		return err
	}
	if !w.room(prev, r.size, int(rec.NumRows())) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.add(segEntry{r.pos, r.epoch, r.arrival, int(rec.NumRows()), r.chain}, prev, rec, r.size)
	return nil
}

// writer is the segment that takes entries of s, begun where there is none.
func (t *target) writer(s *arrow.Schema, pos shardlog.Pos) (*segWriter, error) {
	if t.last != nil && t.last.schema == s { // mostly
		return t.last, nil
	}
	for _, w := range t.writers {
		if w.schema == s || w.schema.Equal(s) && w.schema.Metadata().Equal(s.Metadata()) {
			t.begin(w)
			return w, nil
		}
	}
	if len(t.writers) >= maxWriters {
		if err := t.m.finish(t.writers); err != nil {
			return nil, err
		}
		t.writers, t.begun, t.last = nil, nil, nil
	}
	name := segName(t.m.e.dir, t.log.id, pos)
	if !t.own {
		name = sharedName(t.m.e.dir, t.m.file.id, t.m.count)
		t.m.count++
	}
	w, err := newSegWriter(t.m.e.fs, name, t.m.file.id, s, t.m.e.cfg.Compression, t.m.pace)
	if err != nil {
		return nil, fmt.Errorf("begin a segment: %w", err)
	}
	if t.own {
		w.owner = t.log.id
	}
	t.writers = append(t.writers, w)
	t.begin(w)
	return w, nil
}

// begin gives the log a share of w.
func (t *target) begin(w *segWriter) {
	t.last = w
	for _, b := range t.begun {
		if b == w {
			return
		}
	}
	w.beginLog(t.log.id, t.log.born)
	t.begun = append(t.begun, w)
}
