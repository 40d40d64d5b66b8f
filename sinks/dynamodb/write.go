package dynamodb

import (
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/cespare/xxhash/v2"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/sinks/internal/adaptive"
	"github.com/penstock/penstock/sinks/internal/hold"
)

// writer writes the rows of one plan.
type writer struct {
	*hold.Refusals

	sink   *Sink
	table  *table
	plan   connectors.Plan
	rows   *hold.Rows
	schema *arrow.Schema

	lots []uint16 // of each row, where there are several
}

// lotRows are about as many rows as are gathered by their keys at a time: their items are in memory then.
const lotRows = 20_000

// write writes all rows but those that are refused, to which it adds.
func (w *writer) write(ctx context.Context) error {
	if w.sink.cfg.Mode == modeAppend {
		return w.append(ctx)
	}
	lots := int(min(w.rows.Len()/lotRows+1, 1<<16-1))
	if err := w.draw(ctx, lots); err != nil {
		return err
	}
	for lot := range lots {
		if err := w.lot(ctx, uint16(lot)); err != nil { //nolint:gosec // bounded above
			return err
		}
	}
	return nil
}

// draw gives the rows of one key the same of so many lots.
func (w *writer) draw(ctx context.Context, lots int) error {
	if lots == 1 {
		return nil
	}
	w.lots = make([]uint16, w.rows.Len())
	for p, err := range w.rows.All(ctx) {
		if err != nil {
			return err
		}
		r, err := w.reader(p.Batch)
		if err != nil {
			return err
		}
		for i := p.From; i < p.To; i++ {
			if _, id, err := r.keyOf(i); err == nil { // one without a key is refused with any lot
				w.lots[p.At+int64(i-p.From)] = uint16(xxhash.Sum64String(id) % uint64(lots)) //nolint:gosec // bounded by lots
			}
		}
	}
	return nil
}

func (w *writer) reader(b core.Batch) (*reader, error) {
	r, err := newReader(w.sink.cfg, w.table, w.plan.Pipeline, w.sourceOf(b.Shard), b)
	return r, connectors.Permanent(err) // columns that matter keep their types
}

// sourceOf is the source of a shard.
func (w *writer) sourceOf(shard core.ShardID) string {
	for _, s := range w.plan.Spans {
		if s.Shard == shard {
			return s.Source
		}
	}
	return ""
}

// each shows the rows of a lot, and refuses those that cannot be items.
func (w *writer) each(ctx context.Context, lot uint16) iter.Seq2[*row, error] {
	return func(yield func(*row, error) bool) {
		for p, err := range w.rows.All(ctx) {
			if err != nil {
				yield(nil, err)
				return
			}
			r, err := w.reader(p.Batch)
			if err != nil {
				yield(nil, err)
				return
			}
			for i := p.From; i < p.To; i++ {
				if w.lots != nil && w.lots[p.At+int64(i-p.From)] != lot || w.Skips(p.Batch, i) {
					continue
				}
				row, err := r.read(i)
				if u := (*unfit)(nil); errors.As(err, &u) {
					row, err = nil, w.Refuse(p.Batch, i, u.code, u.reason)
				}
				if (row != nil || err != nil) && !yield(row, err) {
					return
				}
			}
		}
	}
}

// change is one write: of a row, or of several that are one write.
type change struct {
	id   string // of its key
	rows []connectors.Reject
	send func(ctx context.Context) error // nil also where it was made before, or a later one was
}

// errPartly says that a part of a change was made before, by itself.
var errPartly = errors.New("a part of the change was made before")

// lot writes the rows of a lot. Where the table refuses a change, its key is looked at again without the row that is to blame;
// if that is one of several, each is sent by itself.
func (w *writer) lot(ctx context.Context, lot uint16) error {
	var only map[string]bool // keys; nil: all
	for {
		changes, err := w.gather(ctx, lot, only)
		if err != nil {
			return err
		}
		if only, err = w.send(ctx, changes); err != nil || len(only) == 0 {
			return err
		}
	}
}

// gather makes the changes of a lot's rows, those of one key one after another. only are the keys to look at again.
func (w *writer) gather(ctx context.Context, lot uint16, only map[string]bool) ([][]change, error) {
	var into interface {
		add(r *row) error
		changes() [][]change
	} = &puts{w: w, last: map[string]*row{}}
	if w.sink.cfg.Mode == modeUpdate {
		into = &updates{w: w, single: only != nil, of: map[string][]*update{}}
	}
	for r, err := range w.each(ctx, lot) {
		if err != nil {
			return nil, err
		}
		if only != nil && !only[r.id] {
			continue
		}
		if err := into.add(r); err != nil {
			return nil, err
		}
	}
	return into.changes(), nil
}

// send sends changes, and returns the keys that are to be looked at again.
func (w *writer) send(ctx context.Context, changes [][]change) (again map[string]bool, err error) {
	var mu sync.Mutex // guards what follows
	again = map[string]bool{}
	var refused []connectors.Reject
	err = adaptive.Send(ctx, w.sink.limit, each(changes), meaning, func(ctx context.Context, left *[]change) error {
		for ; len(*left) > 0; *left = (*left)[1:] {
			c := (*left)[0]
			err := c.send(ctx)
			code, reason := ofItem(err)
			if err != nil && code == "" && !errors.Is(err, errPartly) {
				return explain("write to", w.sink.cfg.Table, err)
			}
			if err == nil {
				continue
			}
			mu.Lock()
			if code != "" && len(c.rows) == 1 {
				r := c.rows[0]
				r.Code, r.Reason = code, reason
				refused = append(refused, r)
			}
			if w.sink.cfg.Mode == modePut || len(c.rows) > 1 {
				again[c.id] = true
			}
			mu.Unlock()
		}
		return nil
	})
	for _, r := range refused {
		err = errors.Join(err, w.Add(r))
	}
	return again, err
}

// each shows the elements of a slice as tasks.
func each[T any](of []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, t := range of {
			if !yield(t, nil) {
				return
			}
		}
	}
}
