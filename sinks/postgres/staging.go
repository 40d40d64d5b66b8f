package postgres

import (
	"context"
	"fmt"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/sinks/internal/hold"
)

// staging holds the rows of a flush until its transaction.
type staging struct {
	hold.Staging
	sink  *Sink
	parts []*part // of each table

	hashes []uint64
	of     []*part // of each row of a batch
}

var (
	_ connectors.Staging = (*staging)(nil)
	_ connectors.Spiller = (*staging)(nil)
)

// Stage returns a place for the rows of a flush.
func (s *Sink) Stage(_ context.Context, f connectors.Flush) (connectors.Staging, error) {
	st := &staging{Staging: hold.Stage(f, s.cfg.Table), sink: s}
	for _, to := range s.tables {
		st.parts = append(st.parts, &part{to: to})
	}
	return st, nil
}

// Add takes the rows of b. Those that the route leads nowhere are refused; what a table cannot hold, it says when they are
// written.
func (st *staging) Add(ctx context.Context, b core.Batch, v *connectors.Verdicts) error {
	if st.sink.cfg.Route == "" {
		return st.Staging.Add(ctx, b, v)
	}
	return st.addRouted(b, v)
}

// Stats says what is held. A table is one output, whatever its size.
func (st *staging) Stats() connectors.StagingStats {
	return connectors.StagingStats{Outputs: len(st.parts), Memory: st.Rows.Memory()}
}

// Outputs names the tables that rows go to.
func (st *staging) Outputs(ctx context.Context) (out []connectors.Output, err error) {
	if st.sink.cfg.Route == "" {
		return st.Staging.Outputs(ctx)
	}
	for _, p := range st.parts {
		if p.count > 0 {
			out = append(out, connectors.Output{Name: p.to.cfg.Table, Rows: p.count, Hash: fmt.Sprintf("%016x", p.sum)})
		}
	}
	return out, nil
}

// count is how many rows go to a table.
func (st *staging) count(p *part) int64 {
	if st.sink.cfg.Route == "" {
		return st.Rows.Len()
	}
	return p.count
}
