package dynamodb

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/sinks/internal/adaptive"
	"github.com/penstock/penstock/sinks/internal/hold"
)

// Sink writes the items of a table. It is safe for concurrent use.
type Sink struct {
	cfg    Config
	client *dynamodb.Client
	limit  *adaptive.Limit

	mu     sync.Mutex // guards what follows
	table  *table     // once it is known
	ledger bool       // the table of plans is there
}

var (
	_ connectors.Sink      = (*Sink)(nil)
	_ connectors.Prober    = (*Sink)(nil)
	_ connectors.Adopter   = (*Sink)(nil)
	_ connectors.Publisher = (*Sink)(nil)
	_ connectors.Verifier  = (*Sink)(nil)
)

// Open returns a sink over a table. It asks the server nothing; see Probe.
func Open(ctx context.Context, cfg Config) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	client, err := newClient(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &Sink{cfg: cfg, client: client, limit: adaptive.New(cfg.MaxConcurrency)}, nil
}

// Columns are those whose types matter to the sink.
func (s *Sink) Columns() []string { return s.cfg.Columns() }

// OrdersBySequence reports whether of the rows of one key, the one with the greatest sequence number is taken for the last.
func (s *Sink) OrdersBySequence() bool { return s.cfg.Mode == modePut && s.cfg.OrderBy == "" }

// Close gives the connections up.
func (s *Sink) Close(context.Context) error { return nil }

// Incarnations are those of the pipeline that left plans in the ledger.
func (s *Sink) Incarnations(ctx context.Context, pipeline string) ([]string, error) {
	plans, err := s.plans(ctx, pipeline)
	if err != nil {
		return nil, err
	}
	return hold.ProofOf(pipeline, plans).Report().Incarnations, nil
}

// Verify proves from the ledger that spans follow each other. What became of items since they were written it cannot know, so
// deep adds nothing.
func (s *Sink) Verify(ctx context.Context, pipeline string, _ bool) (connectors.VerifyReport, error) {
	plans, err := s.plans(ctx, pipeline)
	if err != nil {
		return connectors.VerifyReport{Pipeline: pipeline}, err
	}
	return hold.ReportOf(hold.ProofOf(pipeline, plans), plans), nil
}

// staging holds the rows of a flush until they are written.
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

// Publish writes the plan's rows, has those decided that the table refuses, and notes the plan in the ledger last.
func (st *staging) Publish(ctx context.Context, p connectors.Plan, decide connectors.Decide) error {
	err := st.publish(ctx, p, decide)
	if err != nil {
		st.sink.forget()
	}
	return err
}

func (st *staging) publish(ctx context.Context, p connectors.Plan, decide connectors.Decide) error {
	s := st.sink
	if err := s.openLedger(ctx); err != nil {
		return err
	}
	if done, err := s.Published(ctx, p); err != nil || done {
		return err
	}
	refused := hold.NewRefusals("table "+s.cfg.Table, p)
	var table *table
	if st.Rows.Len() > 0 {
		t, err := s.open(ctx, st.Schema)
		if err != nil {
			return err
		}
		table = t
		w := &writer{Refusals: refused, sink: s, table: t, plan: p, rows: st.Rows, schema: st.Schema}
		if err := w.write(ctx); err != nil {
			return fmt.Errorf("write items: %w", err)
		}
	}
	if refused.Len() > 0 { // by a table that is another one by now, perhaps: that is no row's fault
		if now, err := s.look(ctx); err != nil {
			return err
		} else if now == nil || table != nil && !maps.Equal(now.keyTypes, table.keyTypes) {
			return fmt.Errorf("table %s is not the one that it was when the flush began", s.cfg.Table)
		}
	}
	// Another worker's verdict may stand instead. A row that only it refused was taken here and is there now; one that only
	// this worker refused, the other has written.
	if _, err := refused.Settle(ctx, &p, decide); err != nil {
		return err
	}
	connectors.Step(ctx, "written")
	return s.note(ctx, p)
}

// forget has the tables looked at again: after an error, they may be others.
func (s *Sink) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table, s.ledger = nil, false
}
