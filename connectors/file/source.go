package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog"
)

// Source is a set of files. It is safe for concurrent use.
type Source struct {
	cfg      Config
	framing  connectors.Framing
	store    lease.Store
	pipeline string
	globs    []string // the paths, absolute
	notice   func(what string)
	linger   time.Duration // how long a file that left the paths is looked at for more

	mu       sync.Mutex // guards what follows, and entries
	loaded   bool
	admitted bool // the files of this run are known: nothing is added where they are not followed
	files    []*entry
	shards   map[core.ShardID]shard
	progress map[core.ShardID]connectors.Progress // absent where there is none
	suspects map[string]suspect                   // by path
	whole    map[string]packed                    // compressed files that were read to their ends, by path
	twins    map[string]sighting                  // files that are others, compressed, by path
	named    map[string]bool                      // whether the paths name a path
	said     map[string]bool                      // what was noticed
	paths    map[core.ShardID]string              // where a shard was read last
	beyond   []*sighting                          // files that left the paths, of the last look
}

// shard is a part of the text of a file.
type shard struct {
	e *entry
	n int
}

// suspect is a file that may become the only copy of another.
type suspect struct {
	since time.Time
	size  int64
}

// lingers is how long a followed file that left the paths has to stand still before it is done with: a program may go on
// writing to the file that it has open for some time after it was renamed.
const lingers = 30 * time.Second

var (
	_ connectors.Source   = (*Source)(nil)
	_ connectors.Finite   = (*Source)(nil)
	_ connectors.Expiring = (*Source)(nil)
	_ connectors.Noting   = (*Source)(nil)
	_ connectors.Placing  = (*Source)(nil)
)

// New returns a source over the files that cfg names, whose texts are split as framing says unless cfg says otherwise.
// What was read of them is remembered in store, by pipeline. notice is told what people should know; it may be nil.
func New(cfg Config, framing connectors.Framing, store lease.Store, pipeline string, notice func(what string)) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.IsStdin() {
		return nil, fmt.Errorf("standard input cannot be read again, and so is no file: %w", core.ErrInvalid)
	}
	if notice == nil {
		notice = func(string) {}
	}
	var globs []string
	for _, p := range cfg.Paths {
		abs, err := filepath.Abs(p)
		if err != nil {
			return nil, err
		}
		globs = append(globs, abs)
	}
	return &Source{
		cfg: cfg, globs: globs, framing: framing, store: store, pipeline: pipeline, notice: notice, linger: lingers,
		shards: map[core.ShardID]shard{}, progress: map[core.ShardID]connectors.Progress{}, suspects: map[string]suspect{},
		whole: map[string]packed{}, named: map[string]bool{}, said: map[string]bool{}, twins: map[string]sighting{}, paths: map[core.ShardID]string{},
	}, nil
}

// ID is the same for every set of files: a shard is known by its file.
func (s *Source) ID() string { return "files" }

// Finite reports whether the files are read once.
func (s *Source) Finite() bool { return !s.cfg.Follow }

// Close does nothing.
func (s *Source) Close() error { return nil }

// Place is the path of the file of a shard.
func (s *Source) Place(id core.ShardID) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if path := s.paths[id]; path != "" {
		return path
	}
	if sh, ok := s.shards[id]; ok {
		return sh.e.Path
	}
	return ""
}

// Shards lists the parts of files that were not read to their ends. Files that are not followed are looked for once.
func (s *Source) Shards(ctx context.Context) ([]connectors.Shard, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.admitted || s.cfg.Follow {
		if err := s.look(ctx, true); err != nil {
			return nil, err
		}
		s.admitted = true
	}
	if s.cfg.Follow { // else those that end while this runs may be listed: the first look knew the others
		if err := s.loadProgress(ctx); err != nil {
			return nil, err
		}
	}
	var out []connectors.Shard
	for _, e := range s.files {
		var parent core.ShardID
		for n, r := range e.Runs {
			id := shardID(e.ID, n)
			if s.progress[id].Ended || !s.readable(e, n) {
				parent = id
				continue
			}
			sh := connectors.Shard{ID: id, Closed: !s.cfg.Follow || r.Done}
			if parent != "" {
				sh.Parents = []core.ShardID{parent}
			}
			out = append(out, sh)
			parent = id
		}
	}
	return out, nil
}

// readable reports whether run n of a file can be read, or is known to have nothing more.
func (s *Source) readable(e *entry, n int) bool {
	switch {
	case e.Lost:
		return false
	case e.readers > 0:
		return true
	case e.Gone:
		p := s.progress[shardID(e.ID, n)]
		return p.OpenPlan != 0 || e.exhausted(n, p.Checkpoint)
	}
	return e.Out || s.names(e.Path)
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

// Gap is empty unless the file is gone, and more of it is known to have been there than was read.
func (s *Source) Gap(_ context.Context, id core.ShardID, after core.SequenceNumber) (connectors.Gap, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh, ok := s.shards[id]
	if !ok || sh.e.Lost || sh.e.Gone && sh.e.readers == 0 && !sh.e.exhausted(sh.n, after) {
		what := "a file"
		if ok {
			what = "file " + sh.e.Path
		}
		return connectors.Gap{Why: "went with " + what + ", which was removed or overwritten before they were read"}, shardlog.ErrTrimmed
	}
	return connectors.Gap{}, nil
}

// Read returns a reader of the records after the one at an offset, which notes where the text ends.
func (s *Source) Read(ctx context.Context, id core.ShardID, after core.SequenceNumber) (connectors.Reader, error) {
	return s.read(ctx, id, after, false)
}

// Reread reads up to where the text is known to end.
func (s *Source) Reread(ctx context.Context, id core.ShardID, after core.SequenceNumber) (connectors.Reader, error) {
	return s.read(ctx, id, after, true)
}

func (s *Source) read(ctx context.Context, id core.ShardID, after core.SequenceNumber, again bool) (connectors.Reader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh, ok := s.shards[id]
	if !ok {
		return nil, fmt.Errorf("shard %s is not one of the files: %w", id, shardlog.ErrTrimmed)
	}
	f, err := s.find(ctx, sh.e)
	if err != nil {
		return nil, err
	}
	if f == nil {
		if !again && sh.e.exhausted(sh.n, after) {
			return nothing{}, nil
		}
		return nil, fmt.Errorf("file %s is gone, or is another one: %w", sh.e.Path, shardlog.ErrTrimmed)
	}
	s.paths[id] = sh.e.Path
	r := &reader{
		source: s, entry: sh.e, n: sh.n, again: again, path: sh.e.Path, f: f, shard: id, run: sh.e.Runs[sh.n], seen: sh.e.Seen,
		text: text{name: "file " + sh.e.Path}, split: splitterOf(s.cfg.Format, s.framing),
	}
	r.text.follow = r.run.To == unbounded && (again || s.cfg.Follow && compressed(r.path) == "")
	if err := r.begin(headed(s.cfg.Format, s.framing), after); err != nil {
		r.unzip()
		return nil, errors.Join(fmt.Errorf("go on in %s after byte %q: %w", sh.e.Path, after, err), f.Close())
	}
	if !again {
		sh.e.readers++
		sh.e.live = r.plain
		sh.e.handed[sh.n] = nil
	}
	return r, nil
}

// find opens a file, where it is now. It is nil where there is none such any more.
func (s *Source) find(ctx context.Context, e *entry) (*os.File, error) {
	for try := range 3 {
		f, err := os.Open(e.Path)
		if err == nil {
			if same, herr := e.evidence().holds(e.Path, f); same && herr == nil {
				return f, nil
			}
			_ = f.Close() // it was only read
		} else if !errors.Is(err, os.ErrNotExist) {
			return nil, connectors.Permanent(err)
		}
		if try < 2 {
			if err := s.look(ctx, false); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil //nolint:nilnil // as documented
}

// Note is how far the files were planned, and what proves it.
func (s *Source) Note(_ context.Context, spans []connectors.PlanSpan) ([]control.Write, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []control.Write
	for _, span := range spans {
		sh, ok := s.shards[span.Shard]
		if !ok || span.Through == span.From {
			continue
		}
		m, ok := sh.e.handedThrough(sh.n, span.Through)
		if !ok {
			continue
		}
		b, err := json.Marshal(m)
		if err != nil {
			return nil, err
		}
		sh.e.marks[sh.n] = m
		out = append(out, control.Write{Key: fmt.Sprintf("%s%s/%d", s.rows(), sh.e.ID, sh.n), Value: b})
	}
	return out, nil
}

// nothing is a reader of a file that is gone, and was read to its end.
type nothing struct{}

func (nothing) Next(context.Context) (core.Batch, error) { return core.Batch{}, io.EOF }

func (nothing) Close() error { return nil }
