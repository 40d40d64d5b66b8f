package postgres

import (
	"context"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/sinks/internal/hold"
)

// staging holds the rows of a flush until its transaction.
type staging struct {
	hold.Staging
	sink *Sink
}

var (
	_ connectors.Staging = (*staging)(nil)
	_ connectors.Spiller = (*staging)(nil)
)

// Stage returns a place for the rows of a flush.
func (s *Sink) Stage(_ context.Context, f connectors.Flush) (connectors.Staging, error) {
	return &staging{hold.Stage(f, s.cfg.Table), s}, nil
}
