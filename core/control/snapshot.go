package control

import (
	"context"

	"github.com/penstock/penstock/core/shardlog"
)

// snapshots is what the fold knows of snapshots. Store.mu guards it.
type snapshots struct {
	grown   int64        // bytes folded since the last one
	asked   bool         // a BEGIN of ours is on its way, or its rows are
	id      string       // of our BEGIN
	at      shardlog.Pos // of our BEGIN
	needed  bool         // the log's beginning was trimmed: a snapshot must be read before anything counts
	reading string       // the id of the BEGIN that is being read
	rows    []Row
	later   []held // what was folded since that BEGIN
}

// held is a transaction that waits for the snapshot before it.
type held struct {
	command
	version int64
}

// rowsAt is how many bytes of rows one entry of a snapshot holds, about.
const rowsAt = 1 << 20

// maybeSnapshot asks for a snapshot when the log has grown enough. The caller holds s.mu.
func (s *Store) maybeSnapshot(ctx context.Context) {
	if s.snap.asked || s.snap.needed || s.snap.grown < max(s.cfg.SnapshotBytes, 4*s.table.bytes) {
		return
	}
	s.snap.asked = true
	c := command{ID: newID(), Kind: kindBegin}
	s.snap.id = c.ID
	go func() {
		if !s.append(ctx, c) {
			s.mu.Lock()
			s.snap.asked, s.snap.grown = false, 0
			s.mu.Unlock()
		}
	}()
}

// append appends a command that nobody waits for.
func (s *Store) append(ctx context.Context, c command) bool {
	rec := c.encode()
	defer rec.Release()
	_, err := s.writer.Append(shardlog.Anywhere, shardlog.Batch{Rows: rec, Arrival: now()}).Wait(ctx)
	return err == nil
}

// begun folds a BEGIN: of our own, the table as it is here goes into the log; without a table, its rows are awaited.
// The caller holds s.mu.
func (s *Store) begun(ctx context.Context, c command, at shardlog.Pos) {
	if s.snap.needed {
		s.snap.reading, s.snap.rows, s.snap.later = c.ID, nil, nil
		return
	}
	if c.ID != s.snap.id {
		return
	}
	s.snap.at = at
	rows := s.table.list("")
	go func() {
		ok := true
		for len(rows) > 0 && ok {
			var size int64
			n := 0
			for n < len(rows) && (n == 0 || size < rowsAt) {
				size += rowBytes(rows[n])
				n++
			}
			ok = s.append(ctx, command{ID: newID(), Kind: kindRows, Snapshot: c.ID, Rows: rows[:n]})
			rows = rows[n:]
		}
		if ok {
			ok = s.append(ctx, command{ID: newID(), Kind: kindEnd, Snapshot: c.ID})
		}
		if !ok {
			s.mu.Lock()
			s.snap.asked, s.snap.grown = false, 0
			s.mu.Unlock()
		}
	}()
}

// loaded folds ROWS and END. The caller holds s.mu.
func (s *Store) loaded(ctx context.Context, c command) error {
	switch {
	case s.snap.needed && c.Snapshot == s.snap.reading && c.Kind == kindRows:
		s.snap.rows = append(s.snap.rows, c.Rows...)
	case s.snap.needed && c.Snapshot == s.snap.reading:
		for _, r := range s.snap.rows {
			s.table.set(r)
		}
		for _, h := range s.snap.later {
			_ = s.table.apply(h.Checks, h.Writes, h.version) // a conflict then is a conflict now
		}
		s.snap = snapshots{}
	case c.Kind == kindEnd && c.Snapshot == s.snap.id:
		at := s.snap.at
		s.snap = snapshots{}
		go func() { _ = s.engine.Trim(ctx, s.id, at) }() // the next snapshot trims what this one could not
	}
	return nil
}
