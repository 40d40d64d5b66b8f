package hold

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/sinks/internal/rowhash"
)

// Staging is all of a sink's staging but Publish, where the rows of a flush have one output: a table, an index.
type Staging struct {
	Schema *arrow.Schema
	Rows   *Rows

	output string
	sum    uint64 // of the rows' hashes
	hashes []uint64
}

// Stage returns a place for the rows of a flush to an output.
func Stage(f connectors.Flush, output string) Staging {
	return Staging{Schema: f.Schema, Rows: New(f.Scratch), output: output}
}

// Add takes the rows of b. None is refused: what the destination cannot hold shows when rows are written.
func (s *Staging) Add(_ context.Context, b core.Batch, _ *connectors.Verdicts) error {
	if b.NumRows() == 0 {
		return nil
	}
	var err error
	if s.hashes, err = rowhash.Rows(s.hashes, b.Rows); err != nil {
		return err
	}
	for _, h := range s.hashes {
		s.sum += h
	}
	s.Rows.Add(b)
	return nil
}

// Stats says what is held. It is one output, whatever its size.
func (s *Staging) Stats() connectors.StagingStats {
	return connectors.StagingStats{Outputs: 1, Memory: s.Rows.Memory()}
}

// Spill puts the rows on disk; those that it has no room for stay in memory.
func (s *Staging) Spill(context.Context) error {
	_ = s.Rows.Spill() // what is in memory still is counted as before
	return nil
}

// Outputs names the output.
func (s *Staging) Outputs(context.Context) ([]connectors.Output, error) {
	if s.Rows.Len() == 0 {
		return nil, nil
	}
	return []connectors.Output{{Name: s.output, Rows: s.Rows.Len(), Hash: fmt.Sprintf("%016x", s.sum)}}, nil
}

// Discard gives up the rows.
func (s *Staging) Discard() error { return s.Rows.Close() }
