package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/sinks/internal/lake"
)

// Config is `sink: {file: ...}`.
type Config struct {
	Path        string `yaml:"path" json:"path" jsonschema:"description=The folder; it is made if it is not there."`
	lake.Layout `yaml:",inline"`
}

// Validate returns what is wrong with c.
func (c Config) Validate() error {
	if c.Path == "" {
		return fmt.Errorf("path: name the folder that files go to: %w", core.ErrInvalid)
	}
	return c.Layout.Validate()
}

// Sink writes files. It is safe for concurrent use.
type Sink struct {
	cfg Config

	mu   sync.Mutex // guards root
	root *os.Root
}

var (
	_ connectors.Sink      = (*Sink)(nil)
	_ connectors.Verifier  = (*Sink)(nil)
	_ connectors.Adopter   = (*Sink)(nil)
	_ connectors.Prober    = (*Sink)(nil)
	_ connectors.Previewer = (*Sink)(nil)
	_ connectors.Sweeper   = (*Sink)(nil)
)

// Open returns a sink over the folder. The folder is made when the first rows come.
func Open(_ context.Context, cfg Config) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Sink{cfg: cfg}, nil
}

// Columns are those whose types matter to the layout.
func (s *Sink) Columns() []string { return s.cfg.Columns() }

// store is the folder; fs.ErrNotExist where it is not there and is not to be made.
func (s *Sink) store(make bool) (*folder, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root != nil {
		return &folder{s.root}, nil
	}
	if make {
		if err := os.MkdirAll(s.cfg.Path, 0o755); err != nil { //nolint:gosec // a lake is for others to read
			return nil, fmt.Errorf("make folder %s: %w", s.cfg.Path, err)
		}
	}
	root, err := os.OpenRoot(s.cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("open folder %s: %w", s.cfg.Path, err)
	}
	s.root = root
	return &folder{root}, nil
}

// Probe makes the folder, and returns a clear error when it cannot be written.
func (s *Sink) Probe(ctx context.Context) error {
	st, err := s.store(true)
	if err != nil {
		return err
	}
	obj, err := st.Create(ctx, "probe", lake.Origin{})
	if err != nil {
		return fmt.Errorf("folder %s cannot be written: %w", s.cfg.Path, err)
	}
	return obj.Abort()
}

// Stage opens a place for the rows of a flush.
func (s *Sink) Stage(_ context.Context, f connectors.Flush) (connectors.Staging, error) {
	st, err := s.store(true)
	if err != nil {
		return nil, err
	}
	return lake.Stage(st, s.cfg.Layout, f)
}

// Preview counts rows by the prefix that they would stand under.
func (s *Sink) Preview(f connectors.Flush, b core.Batch, v *connectors.Verdicts) (map[string]int64, error) {
	return lake.Preview(s.cfg.Layout, f, b, v)
}

// Verify proves from the manifests what the folder holds.
func (s *Sink) Verify(ctx context.Context, pipeline string, deep bool) (connectors.VerifyReport, error) {
	st, err := s.store(false)
	if err != nil {
		return connectors.VerifyReport{}, err
	}
	return lake.Verify(ctx, st, s.cfg.Layout, pipeline, deep)
}

// Published reports whether the manifest of a plan is there.
func (s *Sink) Published(ctx context.Context, p connectors.Plan) (bool, error) {
	st, err := s.store(false)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return lake.Published(ctx, st, p)
}

// Repeats says that rows of another incarnation are there twice.
func (*Sink) Repeats() string { return lake.Repeats }

// Incarnations are those of the pipeline that left manifests.
func (s *Sink) Incarnations(ctx context.Context, pipeline string) ([]string, error) {
	st, err := s.store(false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return lake.Incarnations(ctx, st, pipeline)
}

// Sweep removes what flushes that never became plans left behind.
func (s *Sink) Sweep(ctx context.Context, pipeline string, before time.Time) error {
	st, err := s.store(true)
	if err != nil {
		return err
	}
	return lake.Sweep(ctx, st, pipeline, before)
}

// Close gives the folder up.
func (s *Sink) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root == nil {
		return nil
	}
	return s.root.Close()
}
