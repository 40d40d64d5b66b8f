package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
)

// Config has the store's settings; zero means the documented default.
type Config struct {
	SnapshotBytes int64 // a snapshot is written when the log grew by so much, and by four times the table. Default 4 MiB
}

// Store is one node's view of the table. It is safe for concurrent use.
type Store struct {
	cfg    Config
	engine shardlog.Engine
	id     shardlog.LogID
	writer shardlog.Writer

	stop context.CancelFunc
	done chan struct{} // closed when the fold has ended

	mu      sync.Mutex // guards what follows
	table   table
	waiting map[string]chan outcome // commits and snapshots of this store that are not folded yet, by id
	changed chan struct{}           // closed when a row changed, and replaced
	err     error                   // why the fold ended
	snap    snapshots
}

// outcome is what the fold made of a command.
type outcome struct {
	version int64
	err     error
}

// Open claims the control log, making it if it is not there, folds it and serves the table.
func Open(ctx context.Context, engine shardlog.Engine, id shardlog.LogID, by shardlog.WriterID, cfg Config) (*Store, error) {
	if cfg.SnapshotBytes == 0 {
		cfg.SnapshotBytes = 4 << 20
	}
	if err := engine.Create(ctx, id); err != nil && !errors.Is(err, shardlog.ErrExists) {
		return nil, fmt.Errorf("create the control log: %w", err)
	}
	tail, err := engine.Tail(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("open the control log: %w", err)
	}
	w, tail, err := engine.Claim(ctx, id, tail.Epoch+1, by)
	if err != nil {
		return nil, fmt.Errorf("open the control log: %w", err)
	}
	cursor, err := engine.Read(ctx, id, 0, shardlog.ReadOpts{})
	if err != nil {
		return nil, fmt.Errorf("read the control log: %w", err)
	}
	folding, stop := context.WithCancel(context.Background())
	s := &Store{
		cfg: cfg, engine: engine, id: id, writer: w, stop: stop, done: make(chan struct{}),
		table: newTable(), waiting: map[string]chan outcome{}, changed: make(chan struct{}),
	}
	s.snap.needed = tail.First > firstData
	caughtUp := make(chan struct{})
	go s.fold(folding, cursor, tail.Last, caughtUp)
	select {
	case <-caughtUp:
		return s, nil
	case <-s.done:
		return nil, s.failure()
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), s.Close())
	}
}

// firstData is the largest position that the first entry of a log that was never trimmed may have: OPEN is at 1.
const firstData = 2

// Close ends the fold. Commits that are not durable yet are answered with ErrUnknown.
func (s *Store) Close() error {
	s.stop()
	<-s.done
	return s.writer.Close()
}

func (s *Store) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Get reads a row; false if there is none. It sees every commit that was answered before the call.
func (s *Store) Get(_ context.Context, key string) (Row, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return Row{}, false, s.err
	}
	r, ok := s.table.rows[key]
	return r, ok, nil
}

// List reads the rows whose keys begin with prefix, in order of their keys.
func (s *Store) List(_ context.Context, prefix string) ([]Row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	return s.table.list(prefix), nil
}

// Changed is closed at the next change of any row.
func (s *Store) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Commit makes t happen and returns the version of the rows it wrote. ErrConflict: nothing was written. ErrUnknown: it
// may have been, or may still be. Any other error: nothing was written.
func (s *Store) Commit(ctx context.Context, t Txn) (int64, error) {
	if err := t.validate(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	err := s.err
	if err == nil {
		err = s.table.stale(t)
	}
	s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return s.send(ctx, command{Kind: kindTxn, Checks: t.Checks, Writes: t.Writes})
}

// send appends a command and waits until it is folded.
func (s *Store) send(ctx context.Context, c command) (int64, error) {
	c.ID = newID()
	answer := make(chan outcome, 1)
	s.mu.Lock()
	s.waiting[c.ID] = answer
	s.mu.Unlock()
	rec := c.encode()
	f := s.writer.Append(shardlog.Anywhere, shardlog.Batch{Rows: rec, Arrival: now()})
	rec.Release()
	_, err := f.Wait(ctx)
	if err == nil {
		select {
		case o := <-answer:
			return o.version, o.err
		case <-ctx.Done():
			err = ctx.Err()
		case <-s.done:
			err = s.failure() // as closed, or what the log failed with
		}
		err = fmt.Errorf("%w: %w", ErrUnknown, err)
	} else if errors.Is(err, shardlog.ErrUnknown) || ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	s.mu.Lock()
	delete(s.waiting, c.ID)
	s.mu.Unlock()
	return 0, err
}

func (t Txn) validate() error {
	checked, written := map[string]bool{}, map[string]bool{}
	for _, c := range t.Checks {
		if checked[c.Key] {
			return fmt.Errorf("row %s is checked twice: %w", c.Key, core.ErrInvalid)
		}
		checked[c.Key] = true
	}
	for _, w := range t.Writes {
		if w.Key == "" || written[w.Key] {
			return fmt.Errorf("row %q is written twice, or has no key: %w", w.Key, core.ErrInvalid)
		}
		written[w.Key] = true
	}
	return nil
}

// table is the rows and their keys in order.
type table struct {
	rows  map[string]Row
	keys  []string
	bytes int64
}

func newTable() table { return table{rows: map[string]Row{}} }

func (t *table) list(prefix string) []Row {
	i, _ := slices.BinarySearch(t.keys, prefix)
	var out []Row
	for ; i < len(t.keys) && strings.HasPrefix(t.keys[i], prefix); i++ {
		out = append(out, t.rows[t.keys[i]])
	}
	return out
}

// stale reports with ErrConflict that a row has gone past the version that x expects. Versions only rise, so this is
// final even where the fold lags behind; a row that is not there yet proves nothing.
func (t *table) stale(x Txn) error {
	for _, c := range x.Checks {
		if have := t.rows[c.Key].Version; have > c.Version {
			return conflict(c, have)
		}
	}
	return nil
}

func conflict(c Check, have int64) error {
	return fmt.Errorf("%s has version %d, not %d: %w", c.Key, have, c.Version, ErrConflict)
}

// apply folds one transaction that stands at a version.
func (t *table) apply(checks []Check, writes []Write, version int64) error {
	for _, c := range checks {
		if have := t.rows[c.Key].Version; have != c.Version {
			return conflict(c, have)
		}
	}
	for _, w := range writes {
		if w.Value == nil {
			t.set(Row{Key: w.Key})
		} else {
			t.set(Row{w.Key, w.Value, version})
		}
	}
	return nil
}

// set stores a row, or removes it where its value is nil.
func (t *table) set(r Row) {
	old, ok := t.rows[r.Key]
	if ok {
		t.bytes -= rowBytes(old)
	}
	switch {
	case r.Value == nil && ok:
		delete(t.rows, r.Key)
		i, _ := slices.BinarySearch(t.keys, r.Key)
		t.keys = slices.Delete(t.keys, i, i+1)
	case r.Value != nil:
		if !ok {
			i, _ := slices.BinarySearch(t.keys, r.Key)
			t.keys = slices.Insert(t.keys, i, r.Key)
		}
		t.rows[r.Key] = r
		t.bytes += rowBytes(r)
	}
}

func rowBytes(r Row) int64 { return int64(len(r.Key) + len(r.Value) + 32) }
