package file

import (
	"context"
	"errors"
	"os"
	"time"
)

// handed notes how far a reader handed records over.
func (s *Source) handed(e *entry, n int, m mark) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.handed[n] = append(e.handed[n], m)
}

// reads notes what a reader reads now.
func (s *Source) reads(e *entry, p *plain) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.live = p
}

func (s *Source) closed(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.readers--
}

// finish makes it durable where a run ends.
func (s *Source) finish(ctx context.Context, e *entry, n int, done run) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := e.Runs[n]
	e.Runs[n] = done
	if err := s.commit(ctx, e); err != nil {
		e.Runs[n] = before
		return err
	}
	if !e.left.IsZero() {
		e.kept = true
	}
	return nil
}

// over reports whether nothing more comes of a followed file that has stood still since then: it is compressed now, or
// has left the paths for long enough.
func (s *Source) over(e *entry, still time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if compressed(e.Path) != "" {
		return true
	}
	return !e.left.IsZero() && time.Since(e.left) > s.linger && time.Since(still) > s.linger
}

// copyOf opens the file that has the text of one that was truncated. It is nil where there is none.
func (s *Source) copyOf(ctx context.Context, e *entry, was *os.File) (*os.File, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := was.Stat()
	if err != nil {
		return nil, "", err
	}
	f, err := s.find(ctx, e)
	if err != nil || f == nil {
		return nil, "", err
	}
	if st, err := f.Stat(); err != nil || os.SameFile(st, old) {
		return nil, "", errors.Join(err, f.Close())
	}
	return f, e.Path, nil
}

// belongs reports whether a path is where another file than e is known to be.
func (s *Source) belongs(path string, e *entry) bool {
	for _, other := range s.files {
		if other != e && other.Path == path && !other.Gone {
			return true
		}
	}
	return false
}

// cutOff notes that a file was truncated and that what it had then is nowhere. It reports whether nothing is known to have
// been there that was not read.
func (s *Source) cutOff(ctx context.Context, e *entry, path string, at int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.info != nil && e.info.Size() > at && e.Path == path {
		e.Lost, e.Gone = true, true
		_ = s.commit(ctx, e) // else the next look finds out
		return false
	}
	s.say("%s was truncated when it had been read through byte %d: what was written to it between, if anything, is gone. Rotate it by renaming, or name the copy in paths too, such as %s*", path, at, path)
	e.kept = true
	return true
}
