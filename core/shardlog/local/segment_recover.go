package local

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/penstock/penstock/core/shardlog"
)

// found is a segment as its index tells it.
type found struct {
	seg   *segment
	index *segIndex
}

// recoverSegments finds the segments and lets the logs read from them. It reads their indexes, not their entries. What
// a crash left is deleted: temporary files, segments of trimmed entries and of logs that are gone, and segments of
// commit-log files that are still there, which are moved again. What is damaged is left alone: reads of its log find
// that entries are missing.
func (e *Engine) recoverSegments() error {
	root := filepath.Join(e.dir, segFolder)
	names, err := e.listThere(root)
	if err != nil {
		return err
	}
	sources := map[uint64]bool{}
	for _, f := range e.files {
		sources[f.id] = true
	}
	var all []found
	for _, name := range names {
		dir, id := root, shardlog.LogID("")
		if validID(shardlog.LogID(name)) {
			dir, id = filepath.Join(root, name), shardlog.LogID(name)
			inside, err := e.listThere(dir)
			if err != nil {
				return err
			}
			for _, n := range inside {
				if all, err = e.recoverSegment(all, filepath.Join(dir, n), id, sources); err != nil {
					return err
				}
			}
			if e.logs[id] == nil {
				_ = e.fs.Remove(dir) // fails as long as something is in it
			}
			continue
		}
		if all, err = e.recoverSegment(all, filepath.Join(dir, name), id, sources); err != nil {
			return err
		}
	}
	e.attach(all)
	return nil
}

// listThere lists a folder that need not be there.
func (e *Engine) listThere(dir string) ([]string, error) {
	names, err := e.fs.List(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	return names, nil
}

// expectNoSegments is an error if there are segments where there is no commit log, which alone says what they are.
func (e *Engine) expectNoSegments() error {
	root := filepath.Join(e.dir, segFolder)
	names, err := e.listThere(root)
	if err == nil && len(names) > 0 {
		err = corrupt(fileName(e.dir, 1), 0, "the commit log is missing, and there are segments in "+root)
	}
	return err
}

// recoverSegment adds a segment to all, or deletes what is not needed any more. id is empty for a shared one.
func (e *Engine) recoverSegment(all []found, name string, id shardlog.LogID, sources map[uint64]bool) ([]found, error) {
	switch {
	case strings.HasSuffix(name, temporary):
		return all, e.fs.Remove(name)
	case !strings.HasSuffix(name, segSuffix):
		return all, nil // an index is read with its segment; what is not ours stays
	case id != "" && e.logs[id] == nil:
		return all, removeSegment(e.fs, name)
	}
	seg := &segment{name: name, id: id}
	o, err := openSeg(e.fs, seg)
	if err == nil {
		err = o.close()
	}
	if err != nil {
		if err = segmentError(name, err); !errors.Is(err, shardlog.ErrCorrupt) {
			return nil, err // the file system refused: nothing is known of the file
		}
		if id == "" {
			e.damage = append(e.damage, err)
		} else {
			e.logs[id].damage = append(e.logs[id].damage, err)
		}
		return all, nil
	}
	if sources[o.index.source] || !e.wanted(o.index) {
		return all, removeSegment(e.fs, name)
	}
	if o.whole != nil { // the index file is damaged or missing
		if err := writeIndex(e.fs, name, o.whole); err != nil && !passing(err) {
			return nil, err
		}
	}
	o.index.blocks = nil // they are read when they are needed
	return append(all, found{seg, o.index}), nil
}

// wanted reports whether a log may read from a segment.
func (e *Engine) wanted(x *segIndex) bool {
	return slices.ContainsFunc(x.logs, e.reads)
}

func (e *Engine) reads(s segLog) bool {
	l := e.logs[s.id]
	return l != nil && l.born == s.born && s.last >= l.trim
}

// attach lets the logs read from the segments that were found.
func (e *Engine) attach(all []found) {
	e.mu.Lock()
	defer e.mu.Unlock()
	type key struct {
		id     shardlog.LogID
		source uint64
	}
	runs := map[key]*run{}
	for _, f := range all {
		for _, s := range f.index.logs {
			if !e.reads(s) {
				continue
			}
			k := key{s.id, f.index.source}
			if runs[k] == nil {
				runs[k] = &run{source: f.index.source}
			}
			runs[k].add(part{f.seg, s})
			f.seg.live++
		}
	}
	for k, r := range runs {
		e.logs[k.id].runs = append(e.logs[k.id].runs, *r)
	}
	for _, l := range e.logs {
		slices.SortFunc(l.runs, func(a, b run) int { return cmp.Compare(a.first, b.first) })
		if n := len(l.runs); n > 0 {
			l.base = max(l.base, l.runs[n-1].last)
		}
	}
}
