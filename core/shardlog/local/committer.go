package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"time"

	"github.com/penstock/penstock/core/shardlog"
)

// committer is the one goroutine that writes: it gathers a group, decides what counts, writes and syncs it, and only
// then publishes it.
type committer struct {
	e       *Engine
	file    *logFile
	end     int64 // where the next group goes
	ended   bool  // the file has its END group
	alloc   int64 // how far space is allocated
	number  uint64
	crc     uint32 // of the last group
	idle    bool   // the last group was empty, or nothing happened since
	schemas map[uint64]bool
	buf     []byte
}

// allocAhead is how much space is allocated at a time.
const allocAhead = 8 << 20

func (c *committer) run() {
	defer close(c.e.done)
	t := time.NewTimer(c.e.cfg.Idle)
	defer t.Stop()
	for {
		ops, closing := c.e.take()
		switch {
		case len(ops) > 0:
			c.commit(ops)
			t.Reset(c.e.cfg.Idle)
			continue
		case closing:
			if !c.idle {
				c.commit(nil)
			}
			c.free()
			return
		}
		var idle <-chan time.Time
		if !c.idle {
			idle = t.C
		}
		select {
		case <-c.e.wake:
		case <-idle:
			c.commit(nil)
		}
	}
}

// commit makes one group of ops durable and resolves them. When the disk is full, only some of them.
func (c *committer) commit(ops []*op) {
	if err := c.e.poisoned(); err != nil {
		c.resolve(ops, err)
		return
	}
	asked := len(ops)
	if ops = c.admit(ops); len(ops) == 0 && asked > 0 {
		return
	}
	err := c.group(ops)
	if errors.Is(err, shardlog.ErrFull) {
		if ops = c.refuse(ops, err); len(ops) > 0 {
			err = c.persist(func() error { return c.group(ops) })
		}
	}
	if err != nil {
		c.fail(ops, err)
		return
	}
	err = c.e.head.mark(c.file.id, c.number)
	c.publish(ops)
	c.idle = asked == 0
	c.resolve(ops, nil)
	if err != nil {
		c.fail(nil, err)
	}
}

// group writes and syncs a group of ops, in a new file where this one is full.
func (c *committer) group(ops []*op) error {
	if c.end >= c.e.cfg.FileSize {
		if err := c.roll(); err != nil {
			return err
		}
	}
	g, fresh := c.gather(ops)
	if err := c.write(g); err != nil {
		for id := range fresh {
			delete(c.schemas, id)
		}
		return err
	}
	for _, o := range ops {
		o.offset += c.end - g.size()
	}
	return nil
}

// gather decides the ops in order and encodes those that count. It returns the group, without its seal, and the
// schemas that stand in it.
func (c *committer) gather(ops []*op) (group, map[uint64]bool) {
	c.buf = append(c.buf[:0], make([]byte, groupHeader)...)
	states, fresh := c.decide(ops), map[uint64]bool{}
	for _, o := range ops {
		if o.err != nil || o.noop {
			continue
		}
		if o.schema != nil && !c.schemas[o.schema.id] {
			c.schemas[o.schema.id], fresh[o.schema.id] = true, true
			c.put(entry{Header: shardlog.Header{Kind: kindSchema}, schema: o.schema.id}, o.schema.bytes)
		}
		o.offset = c.put(entry{Header: o.header, id: o.id, pos: o.pos, schema: o.schemaID()}, o.payload.parts...)
	}
	clear(states)
	return group{file: c.file.id, number: c.number + 1, prev: c.crc, length: uint32(len(c.buf) - groupHeader)}, fresh //nolint:gosec // below maxGroup
}

func (o *op) schemaID() uint64 {
	if o.schema == nil {
		return 0
	}
	return o.schema.id
}

// put appends an entry to the group and returns its payload's offset in it.
func (c *committer) put(e entry, payload ...[]byte) int64 {
	start := len(c.buf)
	c.buf = beginEntry(c.buf, e)
	at := len(c.buf)
	for _, b := range payload {
		c.buf = append(c.buf, b...)
	}
	c.buf = endEntry(c.buf, start)
	return int64(at)
}

// staged is what a log will be when the group is durable.
type staged struct {
	shardlog.State
	exists bool
}

// decide sets, for each op, what becomes of it, as if those before it were durable.
func (c *committer) decide(ops []*op) map[shardlog.LogID]*staged {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	states := map[shardlog.LogID]*staged{}
	for _, o := range ops {
		o.err, o.noop = nil, false
		s := states[o.id]
		if s == nil {
			s = &staged{}
			if l := c.e.logs[o.id]; l != nil {
				s.State, s.exists = l.State, true
			}
			states[o.id] = s
		}
		if o.kind == kindTrim {
			if l := c.e.logs[o.id]; l != nil {
				l.limit(o)
			}
		}
		s.decide(o)
	}
	return states
}

// limit makes a trim end behind the last entry that goes, not before the first that stays: a reader that stands between
// has missed nothing.
func (l *logState) limit(o *op) {
	switch n := l.at(o.before); {
	case n > 0:
		o.before = l.refs[n-1].pos + 1
	case l.base < o.before:
		o.before = l.base + 1
	case o.floor == 0:
		o.err = errMoved
		return
	default:
		o.before = o.floor
	}
	o.noop = o.before <= l.trim
}

func (s *staged) decide(o *op) {
	o.header = shardlog.Header{Kind: o.kind, Epoch: o.epoch, Arrival: o.batch.Arrival}
	switch o.kind { //nolint:exhaustive // the others are handled below
	case kindCreate:
		if s.exists {
			o.err = fmt.Errorf("%s: %w", o.id, shardlog.ErrExists)
			return
		}
		*s = staged{exists: true}
		return
	case kindDelete:
		o.noop = !s.exists
		*s = staged{}
		return
	}
	if !s.exists {
		o.err = fmt.Errorf("%s: %w", o.id, shardlog.ErrNotFound)
		return
	}
	if o.kind == kindTrim {
		o.pos = o.before
		return
	}
	if o.err = s.refuses(o); o.err != nil || o.noop {
		return
	}
	o.pos, o.prev = s.Last+1, s.Chain
	if o.kind != shardlog.KindOpen {
		o.header.N = s.N + 1
	}
	o.header.Chain = shardlog.Chain(s.Chain, o.payload.crc)
	s.State = s.Apply(o.header, o.pos)
}

// refuses is why an OPEN, DATA or SEAL does not count, if it does not.
func (s *staged) refuses(o *op) error {
	switch {
	case o.kind == shardlog.KindSeal && s.Sealed && o.epoch == s.Epoch:
		o.noop, o.pos = true, s.Last
		return nil
	case s.Sealed:
		return fmt.Errorf("%s: %w", o.id, shardlog.ErrSealed)
	case o.kind == shardlog.KindOpen && o.epoch <= s.Epoch, o.kind != shardlog.KindOpen && o.epoch != s.Epoch:
		return fmt.Errorf("%s is claimed in epoch %d, this is epoch %d: %w", o.id, s.Epoch, o.epoch, shardlog.ErrFenced)
	case o.kind == shardlog.KindData && o.expect != shardlog.Anywhere && o.expect != s.Last+1:
		return fmt.Errorf("%s would give position %d, not %d: %w", o.id, s.Last+1, o.expect, shardlog.ErrConflict)
	case s.Last+1 >= shardlog.MaxPos:
		return fmt.Errorf("%s has no positions left: %w", o.id, shardlog.ErrSealed)
	}
	return nil
}

// write seals the group, writes it at the end of the file and syncs it.
func (c *committer) write(g group) error {
	for int64(len(c.buf)) < g.size() {
		c.buf = append(c.buf, 0)
	}
	g.seal(c.buf)
	if err := c.allocate(c.end + g.size()); err != nil {
		return err
	}
	if _, err := c.file.f.WriteAt(c.buf, c.end); err != nil {
		if !noSpace(err) {
			return fmt.Errorf("write %s: %w", c.file.name, err)
		}
		// What was written of the group must not be found by a recovery.
		if terr := c.file.f.Truncate(c.end); terr != nil {
			return fmt.Errorf("write %s: %w", c.file.name, errors.Join(err, terr))
		}
		c.alloc = 0
		return fmt.Errorf("write %s: %w: %w", c.file.name, shardlog.ErrFull, err)
	}
	began := time.Now()
	if err := c.file.f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", c.file.name, err)
	}
	if c.e.cfg.Synced != nil {
		c.e.cfg.Synced(g.size(), time.Since(began))
	}
	c.end += g.size()
	c.number, c.crc = g.number, g.crc
	return nil
}

// allocate makes sure that the file can grow to end.
func (c *committer) allocate(end int64) error {
	if end <= c.alloc {
		return nil
	}
	ahead := min(allocAhead, max(0, c.e.cfg.FileSize-end)) // no further than the file will go
	err := c.file.f.Allocate(c.end, end-c.end+ahead)
	if err == nil {
		c.alloc = end + ahead
		return nil
	}
	if noSpace(err) {
		if err = c.file.f.Allocate(c.end, end-c.end); err == nil {
			return nil
		}
	}
	if noSpace(err) {
		return fmt.Errorf("grow %s: %w: %w", c.file.name, shardlog.ErrFull, err)
	}
	return fmt.Errorf("grow %s: %w", c.file.name, err)
}

// free gives back the space that was allocated ahead.
func (c *committer) free() {
	if c.e.poisoned() == nil && c.alloc > c.end {
		_ = c.file.f.Truncate(c.end) // its size: only what lies behind goes
		c.alloc = 0
	}
}

func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// fail resolves ops with err: definite where the disk is full, else unknown, and then the log is poisoned.
func (c *committer) fail(ops []*op, err error) {
	if !errors.Is(err, shardlog.ErrFull) {
		c.e.fail(err)
		err = c.e.poisoned()
	}
	c.idle = true
	c.resolve(ops, err)
}

func (e *Engine) poisoned() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.poison
}

// publish applies a durable group.
func (c *committer) publish(ops []*op) {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	for _, o := range ops {
		if o.err == nil && !o.noop {
			c.e.apply(o, c.file, c.number).notify()
		}
	}
	if len(c.e.files) > 1 && c.e.files[0].live == 0 {
		c.e.nudge()
	}
}

// apply changes a log's state by one op of a group. The caller holds e.mu.
func (e *Engine) apply(o *op, file *logFile, number uint64) *logState {
	l := e.logs[o.id]
	switch o.kind { //nolint:exhaustive // the others are handled below
	case kindCreate:
		l = newLogState()
		l.born = number
		e.logs[o.id] = l
		return l
	case kindDelete:
		e.retire(l.trimTo(shardlog.MaxPos, &e.hot))
		delete(e.logs, o.id)
		return l
	case kindTrim:
		e.retire(l.trimTo(o.pos, &e.hot))
		return l
	}
	l.State = l.Apply(o.header, o.pos)
	if o.kind == shardlog.KindData {
		r := &ref{
			pos: o.pos, epoch: o.epoch, file: file, offset: o.offset, size: o.payload.size, prev: o.prev,
			chain: o.header.Chain, arrival: millis(o.header.Arrival), schema: o.schema,
		}
		l.refs = append(l.refs, r)
		file.live++
		file.liveBytes += int64(r.size)
		if o.batch.Rows != nil {
			e.hot.add(r, o.batch.Rows)
		}
	}
	return l
}

func (c *committer) resolve(ops []*op, err error) {
	for _, o := range ops {
		o.release()
		if o.err == nil && !o.noop {
			o.err = err
		}
		if o.err != nil {
			o.pos = 0
		}
		o.future.Resolve(o.pos, o.err)
	}
}

// roll ends the file and begins the next one, with the state of every log.
func (c *committer) roll() error {
	if !c.ended { // else the next file could not be made then
		c.buf = append(c.buf[:0], make([]byte, groupHeader)...)
		if err := c.write(group{file: c.file.id, number: c.number + 1, prev: c.crc, flags: flagEnd}); err != nil {
			return err
		}
		c.ended = true
	}
	c.free()
	h := fileHeader{id: c.file.id + 1, prev: c.file.id, valid: uint64(c.end)} //nolint:gosec // an offset
	c.buf = append(c.buf[:0], make([]byte, groupHeader)...)
	c.e.mu.Lock()
	c.putStates(c.e.logs)
	c.e.mu.Unlock()
	return c.begin(h)
}

// putStates appends the state of every log to the group.
func (c *committer) putStates(logs map[shardlog.LogID]*logState) {
	for _, id := range slices.Sorted(maps.Keys(logs)) {
		l := logs[id]
		head := shardlog.Header{Kind: kindState, Epoch: l.Epoch, N: l.N, Chain: l.Chain, Arrival: l.Arrival}
		c.put(entry{Header: head, id: id, pos: l.Last}, encodeState(l))
	}
}

// encodeState is the payload of a STATE entry: what its header has no room for.
func encodeState(l *logState) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(l.trim)) //nolint:gosec // positions are not negative
	b = append(b, make([]byte, 8)...)
	if l.Sealed {
		b[8] = 1
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(l.lastData())) //nolint:gosec // positions are not negative
	return binary.LittleEndian.AppendUint64(b, l.born)
}

// begin makes the file that h describes, with the gathered group as its first, and goes on there.
func (c *committer) begin(h fileHeader) error {
	g := group{file: h.id, number: c.number + 1, prev: c.crc, length: uint32(len(c.buf) - groupHeader)} //nolint:gosec // below maxGroup
	for int64(len(c.buf)) < g.size() {
		c.buf = append(c.buf, 0)
	}
	g.seal(c.buf)
	h.first = g.number
	f, err := createFile(c.e.fs, c.e.dir, h, c.buf)
	if noSpace(err) {
		return fmt.Errorf("%w: %w", shardlog.ErrFull, err)
	} else if err != nil {
		return err
	}
	c.e.mu.Lock()
	if c.file != nil {
		c.file.size = c.end
		c.e.logBytes += c.end
	}
	c.e.files = append(c.e.files, f)
	c.e.mu.Unlock()
	c.e.nudge()
	c.file, c.end, c.alloc, c.ended = f, headerSize+g.size(), 0, false
	c.number, c.crc = g.number, g.crc
	c.schemas = map[uint64]bool{}
	return nil
}
