package postgres

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/sinks/internal/hold"
	"github.com/penstock/penstock/sinks/internal/rowhash"
)

// staging holds the rows of a flush until its transaction.
type staging struct {
	sink   *Sink
	schema *arrow.Schema
	rows   *hold.Rows
	sum    uint64 // of the rows' hashes
	hashes []uint64
}

var (
	_ connectors.Staging = (*staging)(nil)
	_ connectors.Spiller = (*staging)(nil)
)

// Stage returns a place for the rows of a flush.
func (s *Sink) Stage(_ context.Context, f connectors.Flush) (connectors.Staging, error) {
	return &staging{sink: s, schema: f.Schema, rows: hold.New(f.Scratch)}, nil
}

// Add takes the rows of b. None is refused: what the table cannot hold, it says when they are written.
func (st *staging) Add(_ context.Context, b core.Batch, _ *connectors.Verdicts) error {
	if b.NumRows() == 0 {
		return nil
	}
	var err error
	if st.hashes, err = rowhash.Rows(st.hashes, b.Rows); err != nil {
		return err
	}
	for _, h := range st.hashes {
		st.sum += h
	}
	st.rows.Add(b)
	return nil
}

// Stats says what is held. A table is one output, whatever its size.
func (st *staging) Stats() connectors.StagingStats {
	return connectors.StagingStats{Outputs: 1, Memory: st.rows.Memory()}
}

// Spill puts the rows on disk; those that it has no room for stay in memory.
func (st *staging) Spill(context.Context) error {
	_ = st.rows.Spill() // what is in memory still is counted as before
	return nil
}

// Outputs names the table.
func (st *staging) Outputs(context.Context) ([]connectors.Output, error) {
	if st.rows.Len() == 0 {
		return nil, nil
	}
	return []connectors.Output{{Name: st.sink.cfg.Table, Rows: st.rows.Len(), Hash: fmt.Sprintf("%016x", st.sum)}}, nil
}

// Discard gives up the rows.
func (st *staging) Discard() error { return st.rows.Close() }
