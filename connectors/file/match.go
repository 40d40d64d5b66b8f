package file

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// match finds out which files the sightings are, and returns those that are in none of them. A file is first looked for
// by its inode, then at its path, then by its text anywhere: the text decides in each case.
func (s *Source) match(seen []*sighting) (missing []*entry) {
	m := newMatching(s, seen)
	for _, sg := range seen {
		for _, e := range m.paths[sg.path] {
			if unchanged(sg, e) {
				m.is(sg, e)
			}
		}
	}
	for _, sg := range seen {
		for _, e := range m.inodes[inode(sg.info)] {
			m.is(sg, e)
		}
	}
	for _, e := range s.files {
		m.beside(e)
	}
	for _, sg := range seen {
		for _, e := range m.paths[sg.path] {
			m.is(sg, e)
		}
	}
	m.indexHeads()
	for _, sg := range seen {
		m.byText(sg)
	}
	for _, e := range s.files {
		if m.taken[e] || e.Gone || !e.Out && !s.names(e.Path) {
			continue
		}
		if sg := m.search(e); sg != nil {
			m.found = append(m.found, sg)
			continue
		}
		missing = append(missing, e)
	}
	s.beyond = m.found
	return missing
}

// matching is one look's finding out.
type matching struct {
	source *Source
	at     map[string]*sighting
	stems  map[string][]*sighting // by path, without what says how the file is compressed
	paths  map[string][]*entry    // those that were there when last seen
	inodes map[string][]*entry
	taken  map[*entry]bool
	found  []*sighting // beyond the paths

	heads  map[int64]map[string][]*entry // without a place, by the size and the hash of their beginnings
	stored []*entry                      // of which only the stored bytes are known
}

func newMatching(s *Source, seen []*sighting) *matching {
	m := &matching{
		source: s, at: map[string]*sighting{}, stems: map[string][]*sighting{}, paths: map[string][]*entry{}, inodes: map[string][]*entry{},
		taken: map[*entry]bool{}, heads: map[int64]map[string][]*entry{},
	}
	for _, sg := range seen {
		m.at[sg.path] = sg
		m.stems[stem(sg.path)] = append(m.stems[stem(sg.path)], sg)
	}
	for _, e := range s.files {
		if !e.Gone {
			m.paths[e.Path] = append(m.paths[e.Path], e)
		}
		if e.Inode != "" {
			m.inodes[e.Inode] = append(m.inodes[e.Inode], e)
		}
	}
	return m
}

// indexHeads notes how the files begin that have no place yet.
func (m *matching) indexHeads() {
	for _, e := range m.source.files {
		switch {
		case m.taken[e] || !m.moved(e):
		case e.Head.Hash == "":
			m.stored = append(m.stored, e)
		default:
			if m.heads[e.Head.Bytes] == nil {
				m.heads[e.Head.Bytes] = map[string][]*entry{}
			}
			m.heads[e.Head.Bytes][e.Head.Hash] = append(m.heads[e.Head.Bytes][e.Head.Hash], e)
		}
	}
}

// is takes the file for e if its text says so.
func (m *matching) is(sg *sighting, e *entry) bool {
	if m.taken[e] || sg.e != nil {
		return false
	}
	same := unchanged(sg, e)
	if !same {
		ok, err := sg.holds(e.evidence())
		same = ok && err == nil
		sg.wait = sg.wait || errors.Is(err, errUnfinished)
	}
	if same {
		sg.e, m.taken[e] = e, true
	}
	return same
}

// unchanged reports whether the file is as it was when this process last looked.
func unchanged(sg *sighting, e *entry) bool {
	return e.info != nil && sg.same(sighting{path: e.Path, info: e.info})
}

// same reports whether two sightings are of one file that nobody has written to between.
func (sg *sighting) same(was sighting) bool {
	return was.path == sg.path && os.SameFile(was.info, sg.info) && was.info.Size() == sg.info.Size() && was.info.ModTime().Equal(sg.info.ModTime())
}

// holds reports whether the file at the sighting is the one that the evidence is of.
func (sg *sighting) holds(ev evidence) (bool, error) {
	if sg.info.Size() == 0 {
		return false, nil
	}
	f, err := os.Open(sg.path)
	if err != nil {
		return false, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	if st, err := f.Stat(); err != nil || !os.SameFile(st, sg.info) {
		return false, err
	}
	return ev.holds(sg.path, f)
}

// beside looks for a file that is not at its path any more under another name of its folder, by its inode.
func (m *matching) beside(e *entry) {
	if m.taken[e] || e.Gone || e.Inode == "" || !e.Out && !m.source.names(e.Path) {
		return
	}
	if info, err := os.Stat(e.Path); err == nil && inode(info) == e.Inode {
		return // truncated, or edited in place
	}
	for _, sg := range m.folder(e) {
		if inode(sg.info) == e.Inode && m.is(sg, e) {
			m.found = append(m.found, sg)
			return
		}
	}
}

// folder are the files in the folder of e that are beyond the paths.
func (m *matching) folder(e *entry) (out []*sighting) {
	dir := filepath.Dir(e.Path)
	all, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, d := range all {
		path := filepath.Join(dir, d.Name())
		if !d.Type().IsRegular() || m.source.names(path) || m.at[path] != nil {
			continue
		}
		if info, err := d.Info(); err == nil {
			out = append(out, &sighting{path: path, info: info, out: true})
		}
	}
	return out
}

// search looks for a file that is in none of the paths where it was, and under names that begin like its own.
func (m *matching) search(e *entry) *sighting {
	begins := filepath.Base(stem(e.Path))
	all := m.folder(e)
	slices.SortStableFunc(all, func(a, b *sighting) int {
		switch {
		case a.path == e.Path:
			return -1
		case b.path == e.Path:
			return 1
		}
		return 0
	})
	for _, sg := range all {
		if strings.HasPrefix(filepath.Base(sg.path), begins) && m.is(sg, e) {
			return sg
		}
	}
	return nil
}

// byText looks for a file that has no place yet and begins as the one at the sighting does. What may be about to take the
// place of another waits.
func (m *matching) byText(sg *sighting) {
	if sg.e != nil || sg.info.Size() == 0 {
		return
	}
	if sg.wait = sg.wait || m.twin(sg); sg.wait {
		return
	}
	head, err := sg.begins()
	if err != nil {
		if errors.Is(err, errUnfinished) && !m.source.cfg.Follow {
			m.source.say("%s is compressed and has no end yet: it is left for a later run", sg.path)
		}
		sg.wait = true
		return
	}
	best := slices.Clone(m.stored)
	for size, entries := range m.heads {
		if size <= int64(len(head)) {
			best = append(best, entries[hashOf(head[:size])]...)
		}
	}
	slices.SortFunc(best, func(a, b *entry) int { // the best proven first
		return cmp.Or(cmp.Compare(b.evidence().at, a.evidence().at), cmp.Compare(a.ID, b.ID))
	})
	for _, e := range best {
		if m.is(sg, e) {
			return
		}
	}
}

// twin reports whether a file is another one of the folder, compressed, or is being compressed to be that: it is read only
// when the other one is gone.
func (m *matching) twin(sg *sighting) bool {
	s := m.source
	for _, other := range m.stems[stem(sg.path)] {
		if other.e == nil || other == sg {
			continue
		}
		if was := s.twins[sg.path]; was.e == other.e && sg.same(was) {
			return true
		}
		same, err := sg.holds(other.e.evidence())
		if same {
			s.twins[sg.path] = sighting{path: sg.path, info: sg.info, e: other.e}
		}
		if same || errors.Is(err, errUnfinished) {
			return true
		}
	}
	return false
}

// moved reports whether the paths of the source are where e is looked for.
func (m *matching) moved(e *entry) bool {
	if e.Gone || e.Out || m.source.names(e.Path) {
		return true
	}
	_, err := os.Stat(e.Path)
	return errors.Is(err, fs.ErrNotExist)
}

// stem is a path without what says how the file is compressed.
func stem(path string) string { return strings.TrimSuffix(path, compressed(path)) }

func (sg *sighting) begins() ([]byte, error) {
	f, err := os.Open(sg.path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	return begins(sg.path, f)
}
