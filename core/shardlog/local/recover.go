package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/vfs"
)

// recovery folds the files of the log again.
type recovery struct {
	e       *Engine
	schemas map[uint64]*schema // of the file being folded
	group   group              // the last valid one
	last    *held              // it, not folded yet
	unborn  []string           // files that were being made when the process ended
	done    []string           // files that do not count any more
}

// held is a group whose successor was not seen yet: only a successor proves that it was synced.
type held struct {
	group
	file    *logFile
	offset  int64
	first   bool // in its file
	payload []byte
}

// recover reads the files and returns a committer that goes on in a new one.
func (e *Engine) recover() (*committer, error) {
	h, err := openHead(e.fs, e.dir)
	if err != nil {
		return nil, err
	}
	e.head = h
	r := &recovery{e: e}
	files, err := r.openFiles()
	if err != nil {
		return nil, err
	}
	e.files = files
	for i, f := range files {
		limit := int64(-1)
		if i+1 < len(files) {
			limit = int64(files[i+1].valid) //nolint:gosec // checked against the file's size
		}
		if err := r.file(f, limit); err != nil {
			return nil, err
		}
	}
	if err := h.missing(e.dir, r.group.number); err != nil {
		return nil, err
	}
	if r.last == nil {
		if err := e.expectNoSegments(); err != nil {
			return nil, err
		}
	}
	// Only now is it known that no acknowledged entry stands there.
	if err := e.remove(r.unborn); err != nil {
		return nil, err
	}
	c, err := r.resume()
	if err != nil {
		return nil, err
	}
	if err := h.begin(e.fs, e.dir, headMark{oldest: e.files[0].id, newest: c.file.id, group: c.number}); err != nil {
		return nil, errors.Join(err, c.file.close())
	}
	// Only now is what says that something does not count any more durable.
	if err := e.remove(r.done); err != nil {
		return nil, err
	}
	return c, e.recoverSegments()
}

func (e *Engine) remove(names []string) error {
	for _, name := range names {
		if err := e.fs.Remove(name); err != nil {
			return fmt.Errorf("delete %s, which does not count any more: %w", name, err)
		}
	}
	return nil
}

// resume begins a new file with a copy of the last group, the only one that is not proven to be synced: a group that
// is served must not be gone after a power cut.
func (r *recovery) resume() (*committer, error) {
	c := &committer{e: r.e, schemas: map[uint64]bool{}}
	c.buf = make([]byte, groupHeader)
	if r.last == nil {
		return c, c.persist(func() error { return c.begin(fileHeader{id: 1}) })
	}
	last := r.last
	c.number, c.crc = last.number-1, last.prev                                            // the copy takes its place
	h := fileHeader{id: last.file.id + 1, prev: last.file.id, valid: uint64(last.offset)} //nolint:gosec // an offset
	if last.first {                                                                       // nothing of that file counts any more: it is left out
		h.prev, h.valid = last.file.prev, last.file.valid
	} else {
		c.putStates(r.e.logs)
		c.putSchemas(r.schemas)
	}
	base := headerSize + int64(len(c.buf))
	c.buf = append(c.buf, last.payload...)
	old := last.file
	if err := c.persist(func() error { return c.begin(h) }); err != nil {
		return nil, err
	}
	freeBehind(r.e.fs, old.name)
	if err := r.apply(*last, c.file, base); err != nil {
		return nil, corrupt(old.name, last.offset, err.Error())
	}
	for id := range r.schemas {
		c.schemas[id] = true
	}
	if last.first {
		return c, r.leaveOut(old)
	}
	return c, nil
}

// freeBehind gives back the space that a file which was being written had allocated ahead.
func freeBehind(fs vfs.FS, name string) {
	f, err := fs.Edit(name)
	if err != nil {
		return // it is only space
	}
	if size, err := f.Size(); err == nil {
		_ = f.Truncate(size)
	}
	_ = f.Close()
}

// putSchemas appends the schemas that the entries to follow may refer to.
func (c *committer) putSchemas(known map[uint64]*schema) {
	for _, id := range slices.Sorted(maps.Keys(known)) {
		c.put(entry{Header: shardlog.Header{Kind: kindSchema}, schema: id}, known[id].bytes)
	}
}

// leaveOut gives up a file whose only group was copied.
func (r *recovery) leaveOut(f *logFile) error {
	for i, have := range r.e.files {
		if have == f {
			r.e.files = append(r.e.files[:i:i], r.e.files[i+1:]...)
			break
		}
	}
	r.done = append(r.done, f.name)
	r.e.logBytes -= f.size
	return f.close()
}

// file folds the groups of f up to limit, or, where limit is negative, to the last valid one.
func (r *recovery) file(f *logFile, limit int64) error {
	s, err := scan(f.f)
	if err != nil {
		return fmt.Errorf("read %s: %w", f.name, err)
	}
	if limit > s.size {
		return corrupt(f.name, s.size, fmt.Sprintf("the file is shorter than the %d bytes it had", limit))
	}
	if limit >= 0 {
		s.size = limit
	}
	r.e.mu.Lock()
	f.size = s.size
	r.e.logBytes += f.size
	r.e.mu.Unlock()
	schemas := map[uint64]*schema{}
	first := true
	for off := int64(headerSize); off < s.size; {
		g, payload, err := s.group(off)
		if err == nil && (!r.follows(g, f) || first && f.first != 0 && g.number != f.first) {
			err = errTorn
		}
		if errors.Is(err, errTorn) {
			return r.torn(s, f, off, first || limit >= 0)
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", f.name, err)
		}
		if err := r.settle(); err != nil {
			return err
		}
		if first {
			r.schemas = schemas
		}
		r.group, r.last = g, &held{g, f, off, first, payload}
		first = false
		off += g.size()
	}
	return nil
}

// torn decides what a bad group at off is: the end of the last file, or damage. It is damage where one must be there.
func (r *recovery) torn(s *scanner, f *logFile, off int64, later bool) error {
	if !later {
		var err error
		if later, err = s.laterGroup(off, f.id, r.group.number); err != nil {
			return fmt.Errorf("read %s: %w", f.name, err)
		}
	}
	if later {
		return corrupt(f.name, off, "a group of entries does not match its checksum")
	}
	return nil
}

// follows reports whether g is the group after the last one.
func (r *recovery) follows(g group, f *logFile) bool {
	if g.file != f.id {
		return false
	}
	return r.group.number == 0 || g.number == r.group.number+1 && g.prev == r.group.crc
}

// settle folds the group that was held back.
func (r *recovery) settle() error {
	if r.last == nil {
		return nil
	}
	last := r.last
	r.last = nil
	if err := r.apply(*last, last.file, last.offset+groupHeader); err != nil {
		return corrupt(last.file.name, last.offset, err.Error())
	}
	return nil
}

// apply folds the entries of a group whose payload lies at base in file. The states that a file begins with count only
// where nothing was folded before it.
func (r *recovery) apply(h held, file *logFile, base int64) error {
	fresh := h.first && len(r.e.logs) == 0
	return decodeEntries(h.payload, func(off int, en entry) error {
		switch en.Kind { //nolint:exhaustive // entries of a log follow below
		case kindSchema:
			r.schemas[en.schema] = r.e.codecs.stored(en.schema, en.payload)
			return nil
		case kindState:
			if fresh {
				return r.state(en)
			}
			return nil
		}
		return r.entry(en, file, base+int64(off)+entryFixed+int64(len(en.id)), h.number)
	})
}

func (r *recovery) state(en entry) error {
	if len(en.payload) < 9 {
		return fmt.Errorf("state of log %s is cut off", en.id)
	}
	l := newLogState()
	l.Last, l.Epoch, l.N, l.Chain = en.pos, en.Epoch, en.N, en.Chain
	if millis(en.Arrival) != 0 {
		l.Arrival = en.Arrival
	}
	l.trim = shardlog.Pos(binary.LittleEndian.Uint64(en.payload)) //nolint:gosec // it was a position
	l.Sealed = en.payload[8] == 1
	if len(en.payload) >= 32 { // format 1 had no more
		l.base = shardlog.Pos(binary.LittleEndian.Uint64(en.payload[16:])) //nolint:gosec // it was a position
		l.born = binary.LittleEndian.Uint64(en.payload[24:])
	}
	r.e.logs[en.id] = l
	return nil
}

func (r *recovery) entry(en entry, file *logFile, offset int64, number uint64) error {
	l := r.e.logs[en.id]
	if l == nil && en.Kind != kindCreate {
		return fmt.Errorf("entry of log %s, which does not exist", en.id)
	}
	o := &op{kind: en.Kind, id: en.id, epoch: en.Epoch, pos: en.pos, header: en.Header, offset: offset}
	o.payload.size = len(en.payload)
	switch en.Kind {
	case shardlog.KindOpen, shardlog.KindData, shardlog.KindSeal:
		if !l.Counts(en.Header) {
			return fmt.Errorf("entry %d of log %s does not follow the one before it", en.pos, en.id)
		}
		o.prev = l.Chain
		if en.Kind == shardlog.KindData {
			if o.schema = r.schemas[en.schema]; o.schema == nil {
				return fmt.Errorf("entry %d of log %s has an unknown schema", en.pos, en.id)
			}
		}
	case kindCreate, kindDelete, kindTrim:
	default:
		return fmt.Errorf("entry of unknown kind %d", en.Kind)
	}
	r.e.apply(o, file, number)
	return nil
}

// openFiles opens the files that count, oldest first. A newest file without a valid group was being made when the
// process ended; a file that a later one leaves out, or that was trimmed, was being deleted.
func (r *recovery) openFiles() (out []*logFile, err error) {
	e := r.e
	defer func() {
		for _, f := range out {
			if err != nil {
				err = errors.Join(err, f.close())
			}
		}
	}()
	names, err := e.fs.List(e.dir)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", e.dir, err)
	}
	var ids []uint64
	for _, name := range names {
		if id, ok := parseFileName(name); ok {
			ids = append(ids, id)
		}
	}
	if old := e.head.oldest; len(ids) > 0 && old != 0 && !slices.Contains(ids, old) {
		return nil, corrupt(fileName(e.dir, old), 0, "the file is missing")
	}
	for i := len(ids) - 1; i >= 0; i-- {
		name := fileName(e.dir, ids[i])
		switch {
		case ids[i] < e.head.oldest, len(out) > 0 && ids[i] > out[0].prev:
			r.done = append(r.done, name)
			continue
		case len(out) > 0 && out[0].prev != ids[i]:
			return out, corrupt(fileName(e.dir, out[0].prev), 0, "the file is missing")
		}
		f, err := openFile(e.fs, name, ids[i])
		if errors.Is(err, errTorn) && len(out) == 0 {
			if err = e.unborn(name, ids[i]); err == nil {
				r.unborn = append(r.unborn, name)
				continue
			}
		}
		if errors.Is(err, errTorn) {
			err = corrupt(name, 0, "the file's beginning is damaged")
		}
		if err != nil {
			return out, err
		}
		out = append([]*logFile{f}, out...)
	}
	return out, nil
}

// unborn returns nil for a newest file without a valid beginning in which nothing valid stands.
func (e *Engine) unborn(name string, id uint64) error {
	f, err := e.fs.Open(name)
	if err != nil {
		return err
	}
	s, err := scan(f)
	later := false
	if err == nil {
		later, err = s.laterGroup(0, id, 0)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if later {
		return corrupt(name, 0, "the file's beginning is damaged")
	}
	return nil
}

// openFile opens a file and checks its header and that it has a first group; errTorn if not.
func openFile(fs vfs.FS, name string, id uint64) (*logFile, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	s, err := scan(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", name, err), f.Close())
	}
	var h fileHeader
	b, err := s.bytes(0, headerSize)
	if err == nil {
		h, err = decodeFileHeader(b)
	}
	if err == nil {
		_, _, err = s.group(headerSize)
	}
	if err == nil && h.id != id {
		err = corrupt(name, 16, fmt.Sprintf("the file was renamed: its id is %d", h.id))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", name, err), f.Close())
	}
	return &logFile{fileHeader: h, name: name, f: f}, nil
}
