package local

import (
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/penstock/penstock/core/shardlog"
)

// mover moves one file of the commit log into segments: a log that has much in it gets its own, the leftovers of all
// others go together, log after log.
type mover struct {
	e      *Engine
	file   *logFile
	shared []*segWriter // one a schema
	count  int          // of shared segments begun
	done   []finished
	dirs   []string
	start  time.Time
	moved  int64

	window   []byte // of the file
	windowAt int64
	decoders map[*schema]*decoder
}

// finished is a segment that has its name.
type finished struct {
	seg   *segment
	index *segIndex
}

// maxWriters bounds the segments that are being written at a time, and so the schemas that are gathered at a time.
const maxWriters = 16

// move copies what is needed of f into segments, durably, and lets the logs read from them.
func (e *Engine) move(f *logFile) error {
	m := &mover{e: e, file: f, start: time.Now(), decoders: map[*schema]*decoder{}}
	defer func() {
		for _, d := range m.decoders {
			d.r.Release()
		}
	}()
	if err := m.run(); err != nil {
		return errors.Join(fmt.Errorf("move %s to segments: %w", f.name, err), m.undo())
	}
	e.swap(f, m.done)
	return nil
}

func (m *mover) run() error {
	root := filepath.Join(m.e.dir, segFolder)
	if err := m.e.fs.MkdirAll(root); err != nil {
		return fmt.Errorf("make %s: %w", root, err)
	}
	logs := m.logs()
	if err := m.e.removeDead(); err != nil { // of an earlier log with the id of one of these
		return err
	}
	for _, l := range logs {
		if err := m.log(l); err != nil {
			return err
		}
	}
	if err := m.finish(m.shared); err != nil {
		return err
	}
	m.shared = nil
	for _, dir := range append(m.dirs, root, m.e.dir) { // root may be of a try that ended before its name was durable
		if err := m.e.fs.SyncDir(dir); err != nil {
			return fmt.Errorf("sync %s: %w: %w", dir, errUnsynced, err)
		}
	}
	return nil
}

// undo deletes what a move that failed left.
func (m *mover) undo() error {
	var errs []error
	for _, w := range m.shared {
		errs = append(errs, w.abort())
	}
	for _, d := range m.done {
		errs = append(errs, removeSegment(m.e.fs, d.seg.name))
	}
	return errors.Join(errs...)
}

// moving is a log with entries in the file.
type moving struct {
	id   shardlog.LogID
	born uint64
}

// logs are the logs that have entries in the file.
func (m *mover) logs() []moving {
	m.e.mu.Lock()
	defer m.e.mu.Unlock()
	var out []moving
	for id, l := range m.e.logs {
		if len(l.refs) > 0 && l.refs[0].file == m.file {
			out = append(out, moving{id, l.born})
		}
	}
	slices.SortFunc(out, func(a, b moving) int { return strings.Compare(string(a.id), string(b.id)) })
	return out
}

// refsAtATime bounds how long the engine's lock is held, and the memory.
const refsAtATime = 1024

// refs are some of a log's entries in the file after pos, and the position of the DATA entry before them.
func (m *mover) refs(l moving, pos shardlog.Pos) (out []ref, prev shardlog.Pos) {
	m.e.mu.Lock()
	defer m.e.mu.Unlock()
	s := m.e.logs[l.id]
	if s == nil || s.born != l.born {
		return nil, 0 // deleted meanwhile
	}
	i := s.at(pos + 1)
	if prev = s.base; i > 0 {
		prev = s.refs[i-1].pos
	}
	for ; i < len(s.refs) && s.refs[i].file == m.file && len(out) < refsAtATime; i++ {
		r := *s.refs[i]
		r.hot = nil // it is not retained
		out = append(out, r)
	}
	return out, prev
}

// log moves one log's entries.
func (m *mover) log(l moving) error {
	size, pos := int64(0), shardlog.Pos(0)
	for refs, _ := m.refs(l, pos); len(refs) > 0 && size < m.e.cfg.OwnSegment; refs, _ = m.refs(l, pos) {
		for _, r := range refs {
			size += int64(r.size)
		}
		pos = refs[len(refs)-1].pos
	}
	t := &target{m: m, log: l, writers: m.shared}
	if size >= m.e.cfg.OwnSegment {
		dir := filepath.Dir(segName(m.e.dir, l.id, 0))
		if err := m.e.fs.MkdirAll(dir); err != nil {
			return fmt.Errorf("make %s: %w", dir, err)
		}
		m.dirs = append(m.dirs, dir)
		t.own, t.writers = true, nil
	}
	err := t.copy()
	if !t.own {
		m.shared = t.writers
		return err
	}
	if err == nil {
		err = m.finish(t.writers)
	}
	if err != nil {
		for _, w := range t.writers {
			err = errors.Join(err, w.abort())
		}
	}
	return err
}

// finish ends segments.
func (m *mover) finish(writers []*segWriter) error {
	for _, w := range writers {
		if err := w.finish(); err != nil {
			return errors.Join(err, w.abort())
		}
		x := w.index
		x.blocks = nil // they are read when they are needed
		m.done = append(m.done, finished{&segment{name: w.name, id: w.owner}, &x})
	}
	return nil
}

// pace is called after each block: it keeps to the rate at which segments may be written, unless the log outgrows its
// size, and stops when the engine is closed.
func (m *mover) pace(bytes int) error {
	m.moved += int64(bytes)
	m.e.mu.Lock()
	late := m.e.logBytes > m.e.cfg.LogSize+m.e.cfg.FileSize
	m.e.mu.Unlock()
	select {
	case <-m.e.stop:
		return errStopped
	default:
	}
	wait := time.Duration(float64(m.moved)/float64(m.e.cfg.MoveRate)*float64(time.Second)) - time.Since(m.start)
	if late || wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-m.e.stop:
		return errStopped
	case <-t.C:
		return nil
	}
}

// read returns the payload of refs[i], and reads ahead where the next ones stand close by.
func (m *mover) read(refs []ref, i int) ([]byte, error) {
	r := refs[i]
	if end := m.windowAt + int64(len(m.window)); r.offset < m.windowAt || r.offset+int64(r.size) > end {
		end := r.offset + int64(r.size)
		for _, next := range refs[i+1:] {
			if next.offset-end > readGap || next.offset+int64(next.size)-r.offset > blockBytes {
				break
			}
			end = next.offset + int64(next.size)
		}
		b, err := m.file.read(r.offset, int(end-r.offset))
		if err != nil {
			return nil, err
		}
		m.window, m.windowAt = b, r.offset
	}
	b := m.window[r.offset-m.windowAt:][:r.size]
	if shardlog.Chain(r.prev, crc32.Checksum(b, castagnoli)) != r.chain {
		return nil, corrupt(m.file.name, r.offset, fmt.Sprintf("entry %d does not match its checksum", r.pos))
	}
	return b, nil
}

// readGap is how much between two entries is read along with them rather than skipped.
const readGap = 16 << 10

func (m *mover) decode(refs []ref, i int) (arrow.Record, error) {
	b, err := m.read(refs, i)
	if err != nil {
		return nil, err
	}
	s := refs[i].schema
	d := m.decoders[s]
	if d == nil {
		if len(m.decoders) >= maxWriters {
			m.decoders = map[*schema]*decoder{}
		}
		if d, err = newDecoder(s.bytes); err != nil {
			return nil, corrupt(m.file.name, refs[i].offset, err.Error())
		}
		m.decoders[s] = d
	}
	rec, err := d.decode(b)
	if err != nil {
		delete(m.decoders, s)
		return nil, corrupt(m.file.name, refs[i].offset, err.Error())
	}
	return rec, nil
}

// swap lets the logs read from the segments that f was moved to.
func (e *Engine) swap(f *logFile, done []finished) {
	e.mu.Lock()
	defer e.mu.Unlock()
	runs := map[shardlog.LogID]*run{}
	for _, d := range done {
		for _, s := range d.index.logs {
			l := e.logs[s.id]
			if l == nil || l.born != s.born || s.last < l.trim {
				continue
			}
			r := runs[s.id]
			if r == nil {
				r = &run{source: f.id}
				runs[s.id] = r
			}
			r.add(part{d.seg, s})
			d.seg.live++
		}
		if d.seg.live == 0 {
			e.retire([]*segment{d.seg})
		}
	}
	for id, r := range runs {
		l := e.logs[id]
		l.runs = append(l.runs, *r)
		l.cut(l.at(r.last+1), &e.hot)
	}
}
