package file

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// settle notes what a look found out.
func (s *Source) settle(ctx context.Context, seen []*sighting, missing []*entry, admit bool) error {
	if s.cfg.Follow && admit {
		s.watch(seen)
	}
	var news []*entry
	was, left := map[*entry]string{}, map[*entry]string{} // the paths of files that are not found, or only beyond the paths
	for _, e := range missing {
		if e.readers > 0 {
			e.leave()
			continue
		}
		e.Gone = true
		was[e] = e.Path
		news = append(news, e)
	}
	for _, sg := range append(seen, s.beyond...) {
		if sg.e != nil && sg.out && !sg.e.Out {
			left[sg.e] = sg.e.Path
		}
		fresh, err := s.place(sg, admit)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // renamed just now: the next look finds it
			return fmt.Errorf("look at %s: %w", sg.path, err)
		}
		if fresh {
			news = append(news, sg.e)
		}
	}
	for e, path := range was { // before it is noted: it may be said twice, but not never
		s.tellGone(e, path, seen)
	}
	for e, path := range left {
		s.tellBetween(e, path, seen)
	}
	return s.commit(ctx, news...)
}

// leave notes that a file is in none of the paths any more.
func (e *entry) leave() {
	if e.left.IsZero() {
		e.left = time.Now()
	}
}

// tellGone says of a file that is not found any more what of it may have been missed.
func (s *Source) tellGone(e *entry, path string, seen []*sighting) {
	if e.kept {
		return
	}
	at := e.evidence().at
	if e.Packed != nil {
		return // it had an end
	}
	for _, sg := range seen {
		if sg.path == path && (sg.e == nil || !sg.e.Moved) {
			s.say("%s is not the file any more that was read through byte %d: it was replaced, rotated, truncated or edited before that, and is read from its beginning. "+
				"What was written to the other one after that, if anything, is not read, as it is not found: name rotated files in paths too, such as %s*", path, at, path)
			return
		}
	}
	if !e.Moved && time.Since(time.UnixMilli(e.Changed)) < quiet {
		s.say("%s is gone. It was read through byte %d: what was written to it after that, if anything, is not read", path, at)
	}
}

// quiet is how long nobody has written to a file that is removed as one that nobody writes to any more.
const quiet = 24 * time.Hour

// tellBetween says of files beside one that left the paths that they may have had its path for a while.
func (s *Source) tellBetween(e *entry, path string, seen []*sighting) {
	for _, sg := range newMatching(s, seen).folder(e) {
		if sg.path != e.Path && sg.info.Size() > 0 && strings.HasPrefix(filepath.Base(sg.path), filepath.Base(path)) &&
			!s.belongs(sg.path, e) && sg.info.ModTime().After(e.info.ModTime()) {
			s.say("%s is not read: it may have been %s for a while, since that is %s now. Name rotated files in paths too, such as %s*", sg.path, path, e.Path, path)
		}
	}
}

// say tells a thing once.
func (s *Source) say(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	if !s.said[what] && len(s.said) < 10_000 {
		s.said[what] = true
		s.notice(what)
	}
}

// place notes where a file is, and what of it is to be read; true if its row changed.
func (s *Source) place(sg *sighting, admit bool) (bool, error) {
	e := sg.e
	if e == nil {
		if !admit || sg.wait || sg.info.Size() == 0 {
			return false, nil
		}
		return s.admit(sg)
	}
	fresh := false
	if id := inode(sg.info); e.Path != sg.path || e.Inode != id || e.Out != sg.out || e.Gone {
		fresh = true
		e.Moved = e.Moved || e.Path != sg.path
		e.Path, e.Inode, e.Out, e.Gone = sg.path, id, sg.out, false
	}
	if sg.out {
		e.leave()
	} else {
		e.left = time.Time{}
	}
	e.stale = e.stale || !unchanged(sg, e)
	e.info, e.Changed = sg.info, sg.info.ModTime().UnixMilli()
	if e.stale && admit {
		runs := len(e.Runs)
		changed, err := s.grow(sg)
		if err != nil {
			return fresh, err
		}
		fresh = fresh || changed
		e.stale = !e.Runs[runs-1].Done
	}
	if sg.out && e.readers == 0 && s.delivered(e) && time.Since(sg.info.ModTime()) > s.linger {
		fresh, e.Gone = true, true
	}
	return fresh || e.old != "", nil
}

// delivered reports whether every shard of a file was read to its end.
func (s *Source) delivered(e *entry) bool {
	for n := range e.Runs {
		if !s.progress[shardID(e.ID, n)].Ended {
			return false
		}
	}
	return true
}

// admit makes the row of a file that was never seen.
func (s *Source) admit(sg *sighting) (bool, error) {
	head, err := sg.begins()
	if errors.Is(err, errUnfinished) {
		sg.wait = true
		return false, nil
	}
	if err != nil || len(head) == 0 {
		return false, err // empty: there is nothing to know it by
	}
	if compressed(sg.path) != "" && s.cfg.Follow && !s.isWhole(sg) {
		return false, nil
	}
	e := newEntry()
	e.Path, e.Inode, e.Seen = sg.path, inode(sg.info), time.Now().UnixMilli()
	e.Head = piece{int64(len(head)), hashOf(head)}
	for n := 0; ; n++ {
		e.ID = idOf(e.Path, e.Head.Hash, n)
		_, taken := s.shards[shardID(e.ID, 0)]
		if _, before := s.progress[shardID(e.ID, 0)]; !taken && !before {
			break
		}
	}
	e.info, e.Changed = sg.info, sg.info.ModTime().UnixMilli()
	if err := e.pack(); err != nil {
		return false, err
	}
	sg.e = e
	s.files = append(s.files, e)
	s.add(e, run{To: unbounded})
	return true, nil
}

func (s *Source) add(e *entry, r run) {
	s.shards[shardID(e.ID, len(e.Runs))] = shard{e, len(e.Runs)}
	e.Runs = append(e.Runs, r)
}

// pack notes what a compressed file is known by.
func (e *entry) pack() error {
	e.Packed = nil
	if compressed(e.Path) == "" {
		return nil
	}
	f, err := os.Open(e.Path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	st, err := f.Stat()
	if err != nil {
		return err
	}
	p, err := packedOf(f, st.Size())
	e.Packed = &p
	return err
}

// grow adds a shard for what stands behind the end that the last one was read to; true if the row changed.
func (s *Source) grow(sg *sighting) (bool, error) {
	e := sg.e
	before := e.Packed
	if err := e.pack(); err != nil {
		return false, err
	}
	fresh := before == nil != (e.Packed == nil) || before != nil && *before != *e.Packed
	last := &e.Runs[len(e.Runs)-1]
	if n := len(e.Runs) - 1; !last.Done && s.progress[shardID(e.ID, n)].Ended { // by an earlier version, or when the file was gone
		last.Done = true
		if last.To == unbounded {
			last.To, last.Tail = max(last.From, e.marks[n].End), e.marks[n].Tail
		}
		fresh = true
	}
	if !last.Done {
		return fresh, nil
	}
	if last.Old {
		if to := sg.info.Size(); to > last.To {
			s.add(e, run{From: last.To, To: to, Old: true})
			return true, nil
		}
		return fresh, nil
	}
	if e.Packed == nil && sg.info.Size() <= last.To || e.Packed != nil && !fresh {
		return fresh, nil
	}
	from, more, err := s.goesOn(sg, *last)
	if err != nil || !more {
		return fresh, err
	}
	s.add(e, run{From: from, To: unbounded})
	return true, nil
}

// goesOn is where a text goes on behind the end of a run, if it does. Where the last record had no end of its own and is
// another one now, that is where it begins: it was read before all of it was there.
func (s *Source) goesOn(sg *sighting, last run) (from int64, more bool, err error) {
	f, err := os.Open(sg.path)
	if err != nil {
		return 0, false, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	at := last.To
	if last.Cut != nil {
		at = last.Cut.At
	}
	t := text{name: "file " + sg.path, off: at}
	look := func(in io.Reader) error {
		t.in = bufio.NewReaderSize(in, bufferBytes)
		if last.Cut == nil {
			_, err := t.in.Peek(1)
			from, more = at, err == nil
			return noEOF(err)
		}
		record, _, err := splitterOf(s.cfg.Format, s.framing).next(&t)
		switch {
		case err != nil:
			return noEOF(err)
		case len(record) > last.Cut.Length:
			s.say("%s: the record at byte %d had no end when it was read, and goes on now: it is read anew, whole; the part of it stays where it was delivered", sg.path, at)
			from, more = at, true
		case !t.cut:
			from, more = t.off, true
		}
		return nil
	}
	if compressed(sg.path) == "" {
		err := look(io.NewSectionReader(f, at, 1<<62))
		return from, more, err
	}
	err = withText(sg.path, f, func(in io.Reader) error {
		if _, err := io.CopyN(io.Discard, in, at); err != nil {
			return err
		}
		return look(in)
	})
	return from, more, err
}
