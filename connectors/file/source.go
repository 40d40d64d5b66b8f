package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
)

// Source is a set of files. It is safe for concurrent use.
type Source struct {
	cfg      Config
	framing  connectors.Framing
	store    lease.Store
	pipeline string

	mu     sync.Mutex // guards what follows
	pinned map[string]bool
	shards map[core.ShardID]run
	order  []core.ShardID
}

// run is a shard: a run of bytes of one file.
type run struct {
	catalogued
	from, to int64
	parent   core.ShardID
}

var (
	_ connectors.Source = (*Source)(nil)
	_ connectors.Finite = (*Source)(nil)
)

// New returns a source over the files that cfg names, whose texts are split as framing says unless cfg says otherwise.
// What was read of them is remembered in store, by pipeline.
func New(cfg Config, framing connectors.Framing, store lease.Store, pipeline string) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.IsStdin() {
		return nil, fmt.Errorf("standard input cannot be read again, and so is no file: %w", core.ErrInvalid)
	}
	return &Source{cfg: cfg, framing: framing, store: store, pipeline: pipeline, pinned: map[string]bool{}, shards: map[core.ShardID]run{}}, nil
}

// ID is the same for every set of files: a shard is known by its file.
func (s *Source) ID() string { return "files" }

// Finite reports whether the files are read once.
func (s *Source) Finite() bool { return !s.cfg.Follow }

// Close does nothing.
func (s *Source) Close() error { return nil }

// Shards lists the runs of bytes in the files. The size of a file that is not followed is that of its first sight.
func (s *Source) Shards(ctx context.Context) ([]connectors.Shard, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pinned) == 0 || s.cfg.Follow {
		if err := s.look(ctx); err != nil {
			return nil, err
		}
	}
	out := make([]connectors.Shard, 0, len(s.order))
	for _, id := range s.order {
		sh := connectors.Shard{ID: id, Closed: !s.cfg.Follow}
		if p := s.shards[id].parent; p != "" {
			sh.Parents = []core.ShardID{p}
		}
		out = append(out, sh)
	}
	return out, nil
}

// look finds files that were not seen yet.
func (s *Source) look(ctx context.Context) error {
	paths, err := s.expand()
	if err != nil {
		return err
	}
	for _, path := range paths {
		if s.pinned[path] {
			continue
		}
		c, _, err := see(ctx, s.store, s.pipeline, path, s.cfg.Follow)
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone since the glob was expanded
		} else if err != nil {
			return fmt.Errorf("look at %s: %w", path, err)
		}
		if len(c.Sizes) == 0 {
			continue // empty: there is nothing to know it by
		}
		s.pinned[path] = true
		var parent core.ShardID
		for n := range c.Sizes {
			from, to := c.span(n)
			id := c.id(n)
			s.shards[id] = run{c, from, to, parent}
			s.order = append(s.order, id)
			parent = id
		}
	}
	return nil
}

// expand is the files that the paths name, absolute and in order. A path that is no glob must be there.
func (s *Source) expand() ([]string, error) {
	var out []string
	for _, p := range s.cfg.Paths {
		found, err := doublestar.FilepathGlob(p, doublestar.WithFilesOnly(), doublestar.WithFailOnIOErrors())
		if err != nil {
			return nil, connectors.Permanent(fmt.Errorf("files %s: %w", p, err))
		}
		if len(found) == 0 && !s.cfg.Follow {
			if _, err := os.Stat(p); err != nil {
				return nil, connectors.Permanent(fmt.Errorf("files %s: nothing matches", p))
			}
		}
		for _, f := range found {
			abs, err := filepath.Abs(f)
			if err != nil {
				return nil, err
			}
			out = append(out, abs)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// Resolve begins at the first line, or after a given offset.
func (s *Source) Resolve(_ context.Context, _ core.ShardID, start connectors.Start) (core.SequenceNumber, error) {
	switch start.Kind { //nolint:exhaustive // the others are handled below
	case connectors.StartAfter:
		return start.After, nil
	case connectors.StartTrimHorizon, "":
		return "", nil
	}
	return "", connectors.Permanent(fmt.Errorf("files start at trim_horizon, not at %q: %w", start.Kind, core.ErrInvalid))
}

// Read returns a reader of the records after the one at an offset.
func (s *Source) Read(_ context.Context, shard core.ShardID, after core.SequenceNumber) (connectors.Reader, error) {
	s.mu.Lock()
	r, ok := s.shards[shard]
	s.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("shard %s is not one of the files", shard)
	}
	rd := &reader{
		shard: shard, run: r, text: text{name: "file " + r.Path, follow: s.cfg.Follow}, split: splitterOf(s.cfg.Format, s.framing),
	}
	if err := rd.open(headed(s.cfg.Format, s.framing)); err != nil {
		return nil, errors.Join(err, rd.Close())
	}
	if after == "" {
		return rd, nil
	}
	off, err := strconv.ParseInt(string(after), 10, 64)
	if err == nil {
		err = rd.skipTo(off)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("go on in %s after byte %s: %w", r.Path, after, err), rd.Close())
	}
	return rd, nil
}
