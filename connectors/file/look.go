package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// sighting is a file at a path.
type sighting struct {
	path string
	info os.FileInfo
	e    *entry // which file it is; nil where it is not known
	wait bool   // it is not to be read now
	out  bool   // it is beyond the paths
}

// looks bounds how often one look begins anew because files were renamed meanwhile.
const looks = 5

// look finds out where the files are now, and admits new ones and what was appended if it is to.
func (s *Source) look(ctx context.Context, admit bool) error {
	if !s.loaded {
		if err := s.load(ctx); err != nil {
			return err
		}
		s.loaded = true
	}
	for try := 1; ; try++ {
		seen, err := s.sight()
		if err != nil {
			return err
		}
		missing := s.match(seen)
		again, err := s.sight()
		if err != nil {
			return err
		}
		stable := slices.EqualFunc(seen, again, func(a, b *sighting) bool { return a.path == b.path && os.SameFile(a.info, b.info) })
		if !stable && try < looks {
			continue
		}
		if !stable {
			missing = nil // what is being renamed is somewhere
		}
		if admit && !s.cfg.Follow && try < looks && s.watch(seen) {
			if err := core.Pause(ctx, settle); err != nil {
				return err
			}
			continue
		}
		return s.settle(ctx, seen, missing, admit)
	}
}

// sight lists the files that the paths name. One that has several names has the one that it is known by.
func (s *Source) sight() ([]*sighting, error) {
	paths, err := s.expand()
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, e := range s.files {
		known[e.Path] = !e.Gone
	}
	slices.SortStableFunc(paths, func(a, b string) int {
		switch {
		case known[a] == known[b]:
			return 0
		case known[a]:
			return -1
		}
		return 1
	})
	var out []*sighting
	by := map[string]bool{}
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // gone since the glob was expanded
		case err != nil:
			return nil, connectors.Permanent(fmt.Errorf("look at %s: %w", path, err))
		}
		id := inode(info)
		if id != "" && by[id] {
			continue
		}
		by[id] = true
		out = append(out, &sighting{path: path, info: info})
	}
	slices.SortFunc(out, func(a, b *sighting) int { return strings.Compare(a.path, b.path) })
	return out, nil
}

// expand is the files that the paths name, absolute and in order. Something must be there at first.
func (s *Source) expand() ([]string, error) {
	var out []string
	for _, p := range s.cfg.Paths {
		found, err := doublestar.FilepathGlob(p, doublestar.WithFilesOnly(), doublestar.WithFailOnIOErrors())
		if err != nil {
			return nil, connectors.Permanent(fmt.Errorf("files %s: %w", p, err))
		}
		if len(found) == 0 && !s.cfg.Follow && !s.admitted {
			if len(s.files) == 0 {
				return nil, connectors.Permanent(fmt.Errorf("files %s: nothing matches", p))
			}
			s.say("files %s: nothing matches", p) // what was read before may still have to be read to its end
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

// names reports whether the paths name a file, whether it is there or not.
func (s *Source) names(path string) bool {
	yes, known := s.named[path]
	if !known {
		if len(s.named) > 100_000 { // names of days come and go
			clear(s.named)
		}
		yes = slices.ContainsFunc(s.globs, func(glob string) bool {
			ok, err := doublestar.PathMatch(glob, path)
			return ok && err == nil
		})
		s.named[path] = yes
	}
	return yes
}

// settle is how long a new file that is the beginning of another is looked at: that other may be truncated when it is
// copied whole, and this is where it goes on then.
const settle = time.Second

// watch reports whether a new file may be a copy, perhaps not whole yet, of one that is about to be truncated. Each is
// waited for once, and longer while it grows.
func (s *Source) watch(seen []*sighting) (waits bool) {
	suspects, at := map[string]suspect{}, map[string]*sighting{}
	for _, sg := range seen {
		at[sg.path] = sg
	}
	for _, sg := range seen {
		if sg.e != nil || sg.wait || sg.info.Size() == 0 || !copied(sg, at) {
			continue
		}
		was, ok := s.suspects[sg.path]
		if !ok || was.size != sg.info.Size() {
			was = suspect{time.Now(), sg.info.Size()}
		}
		suspects[sg.path] = was
		wait := settle
		if s.cfg.Follow {
			wait = 10 * settle
		}
		if time.Since(was.since) < wait {
			sg.wait, waits = true, true
		}
	}
	s.suspects = suspects
	return waits
}

// copied reports whether sg may be a copy of a file whose name its own begins with, as a.log.1 may be of a.log.
func copied(sg *sighting, at map[string]*sighting) bool {
	for i := len(filepath.Dir(sg.path)) + 2; i < len(sg.path); i++ {
		if of := at[sg.path[:i]]; of != nil && copies(sg, of) {
			return true
		}
	}
	return false
}

// copies reports whether one of the two texts begins with the other, as far as their beginnings and the text before the
// end of the shorter one tell.
func copies(sg, of *sighting) bool {
	if compressed(of.path) != "" || of.info.Size() == 0 {
		return false
	}
	f, err := os.Open(of.path)
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // it was only read
	if compressed(sg.path) != "" {
		if of.e == nil {
			return false
		}
		same, err := sg.holds(of.e.evidence())
		return same && err == nil
	}
	ev := evidence{at: min(sg.info.Size(), of.info.Size())}
	ev.head.Bytes = min(ev.at, pieceBytes)
	if ev.head.Hash, err = hashAt(f, 0, ev.head.Bytes); err != nil {
		return false
	}
	if ev.tail, err = hashBefore(f, ev.at); err != nil {
		return false
	}
	same, err := sg.holds(ev)
	return same && err == nil
}

// isWhole reports whether a compressed file has its end, which is looked for again when the file changed.
func (s *Source) isWhole(sg *sighting) bool {
	f, err := os.Open(sg.path)
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // it was only read
	p, err := packedOf(f, sg.info.Size())
	if err != nil {
		return false
	}
	if s.whole[sg.path] != p {
		if !wholeText(sg.path, f) {
			return false
		}
		s.whole[sg.path] = p
	}
	return true
}
