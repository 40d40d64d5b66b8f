package control

import (
	"context"
	"sync"
)

// Scratch is a table in memory, over no log: it lasts as long as the process and is for trying things out.
type Scratch struct {
	mu      sync.Mutex // guards what follows
	table   table
	version int64
}

// NewScratch returns an empty table.
func NewScratch() *Scratch { return &Scratch{table: newTable()} }

// Get reads a row; false if there is none.
func (s *Scratch) Get(_ context.Context, key string) (Row, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.table.rows[key]
	return r, ok, nil
}

// List reads the rows whose keys begin with prefix, in order of their keys.
func (s *Scratch) List(_ context.Context, prefix string) ([]Row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.table.list(prefix), nil
}

// Commit makes t happen and returns the version of the rows it wrote. ErrConflict: nothing was written.
func (s *Scratch) Commit(_ context.Context, t Txn) (int64, error) {
	if err := t.validate(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.table.apply(t.Checks, t.Writes, s.version+1); err != nil {
		return 0, err
	}
	s.version++
	return s.version, nil
}
