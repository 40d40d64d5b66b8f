package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/shardlog/shardlogtest"
	"github.com/penstock/penstock/core/vfs"
	"github.com/penstock/penstock/core/vfs/vfstest"
)

// step is one thing that a workload does to the engine.
type step struct {
	do  string // create, claim, put, together, trim, seal, delete, tidy, reopen, kill
	log shardlog.LogID
	n   int // rows of a put; entries that a trim lets go
}

// outcome is what a caller knows of what it asked for.
type outcome int

const (
	no outcome = iota
	maybe
	yes
)

// entryTold is an append and what its caller was told.
type entryTold struct {
	first int64 // value; the others follow
	rows  int
	pos   shardlog.Pos // 0 where it was not told
	out   outcome
}

// logTold is what the callers were told of one log.
type logTold struct {
	exists, sealed outcome
	entries        []entryTold
	gone, mayGo    int // how many of the first entries were trimmed for sure, or perhaps
}

// driver runs a workload and remembers what it was told.
type driver struct {
	fs      *vfs.Mem
	fail    func(op, name string) error
	cfg     Config
	e       *Engine
	writers map[shardlog.LogID]shardlog.Writer
	epoch   shardlog.Epoch
	next    int64
	logs    map[shardlog.LogID]*logTold
	left    []*Engine // killed; closed at the end, so that no goroutine stays
}

// errWrong is the engine showing something else than what it told.
var errWrong = errors.New("not what was told")

func newDriver(cfg Config, fail func(op, name string) error) *driver {
	cfg.Idle = time.Hour // the calls of a workload are the same every time
	d := &driver{fs: vfs.NewMem(), fail: fail, cfg: cfg, logs: map[shardlog.LogID]*logTold{}}
	d.fs.Fail(fail)
	return d
}

// run does the steps until one fails in a way that ends the process.
func (d *driver) run(ctx context.Context, steps []step) error {
	defer d.end()
	if err := d.open(ctx); err != nil {
		return err
	}
	for _, s := range steps {
		if err := d.do(ctx, s); err != nil {
			return fmt.Errorf("%s %s %d: %w", s.do, s.log, s.n, err)
		}
	}
	return nil
}

// end closes the engine, as a process that is stopped does.
func (d *driver) end() {
	if d.e != nil {
		_ = d.e.Close()
		d.e = nil
	}
	for _, e := range d.left {
		_ = e.Close()
	}
	d.left = nil
}

func (d *driver) open(ctx context.Context) error {
	e, err := Open(d.fs, "/log", d.cfg)
	if err != nil {
		return err
	}
	d.e, d.writers = e, map[shardlog.LogID]shardlog.Writer{}
	return d.settle(ctx)
}

// do does a step. What the engine refuses definitely is no error.
func (d *driver) do(ctx context.Context, s step) error {
	l := d.logs[s.log]
	if l == nil {
		l = &logTold{}
		d.logs[s.log] = l
	}
	switch s.do {
	case "create":
		return d.create(ctx, s.log, l)
	case "delete":
		return l.deleted(d.e.Delete(ctx, s.log))
	case "claim":
		return d.claim(ctx, s.log)
	case "put":
		return d.put(ctx, s.n, s.log)
	case "together":
		return d.put(ctx, s.n, "a", "b", "c")
	case "trim":
		return d.trim(ctx, s.log, l, s.n)
	case "seal":
		return d.seal(ctx, s.log, l)
	case "tidy":
		err := d.e.tidy()
		if err == nil || passing(err) {
			return nil
		}
		d.e.fail(err) // as tend does
		return d.e.poisoned()
	case "reopen":
		_ = d.e.Close()
		d.e = nil
		return d.open(ctx)
	case "kill":
		old := d.fs
		d.fs = old.Clone()
		d.fs.Fail(d.fail)
		old.Fail(func(string, string) error { return vfstest.ErrCut })
		d.left = append(d.left, d.e)
		d.e = nil
		return d.open(ctx)
	}
	panic("unknown step " + s.do)
}

// fatal is err where it leaves the engine in doubt.
func fatal(err error) error {
	if errors.Is(err, shardlog.ErrUnknown) || errors.Is(err, errWrong) || errors.Is(err, shardlog.ErrCorrupt) || errors.Is(err, vfstest.ErrCut) {
		return err
	}
	return nil
}

func (d *driver) create(ctx context.Context, id shardlog.LogID, l *logTold) error {
	err := d.e.Create(ctx, id)
	switch {
	case err == nil && l.exists == yes:
		return fmt.Errorf("%w: %s was created twice", errWrong, id)
	case err == nil:
		*l = logTold{exists: yes}
	case errors.Is(err, shardlog.ErrExists) && l.exists == no:
		return fmt.Errorf("%w: %s was never created", errWrong, id)
	case errors.Is(err, shardlog.ErrUnknown) && l.exists == no:
		*l = logTold{exists: maybe}
	}
	return fatal(err)
}

func (l *logTold) deleted(err error) error {
	switch {
	case err == nil:
		*l = logTold{}
	case errors.Is(err, shardlog.ErrUnknown) && l.exists != no:
		l.exists = maybe
	}
	return fatal(err)
}

func (d *driver) claim(ctx context.Context, id shardlog.LogID) error {
	d.epoch++
	w, _, err := d.e.Claim(ctx, id, d.epoch, "test")
	if err == nil {
		d.writers[id] = w
	}
	return fatal(err)
}

// put appends an entry to each log, and only then waits.
func (d *driver) put(ctx context.Context, rows int, ids ...shardlog.LogID) error {
	futures := make([]*shardlog.Future, len(ids))
	for i, id := range ids {
		l, w := d.logs[id], d.writers[id]
		if l == nil || w == nil {
			continue
		}
		values := make([]int64, rows)
		for i := range values {
			values[i] = d.next
			d.next++
		}
		l.entries = append(l.entries, entryTold{first: values[0], rows: rows})
		b := shardlogtest.Batch(d.next, values...)
		futures[i] = w.Append(shardlog.Anywhere, b)
		b.Rows.Release()
	}
	var failed error
	for i, f := range futures {
		if f == nil {
			continue
		}
		pos, err := f.Wait(ctx)
		en := &d.logs[ids[i]].entries[len(d.logs[ids[i]].entries)-1]
		switch {
		case err == nil:
			en.out, en.pos = yes, pos
		case errors.Is(err, shardlog.ErrUnknown):
			en.out = maybe
		}
		failed = errors.Join(failed, fatal(err))
	}
	return failed
}

// trim lets the first n acknowledged entries go.
func (d *driver) trim(ctx context.Context, id shardlog.LogID, l *logTold, n int) error {
	before := shardlog.Pos(0)
	upTo := 0
	for i, en := range l.entries {
		if en.out == yes && n > 0 {
			n--
			before, upTo = en.pos+1, i+1
		}
	}
	if upTo <= l.gone {
		return nil
	}
	err := d.e.Trim(ctx, id, before)
	switch {
	case err == nil:
		l.gone, l.mayGo = upTo, max(l.mayGo, upTo)
	case errors.Is(err, shardlog.ErrUnknown):
		l.mayGo = max(l.mayGo, upTo)
	}
	return fatal(err)
}

func (d *driver) seal(ctx context.Context, id shardlog.LogID, l *logTold) error {
	w := d.writers[id]
	if w == nil {
		return nil
	}
	_, err := w.Seal(ctx)
	switch {
	case err == nil:
		l.sealed = yes
	case errors.Is(err, shardlog.ErrUnknown) && l.sealed == no:
		l.sealed = maybe
	}
	return fatal(err)
}

// settle compares every log with what its callers were told, and from then on holds the engine to what it showed: what
// was served must not be gone later.
func (d *driver) settle(ctx context.Context) error {
	for id, l := range d.logs {
		tail, err := d.e.Tail(ctx, id)
		if errors.Is(err, shardlog.ErrNotFound) {
			if l.exists == yes {
				return fmt.Errorf("%w: log %s is gone", errWrong, id)
			}
			*l = logTold{}
			continue
		}
		if err != nil {
			return err
		}
		if l.exists == no {
			return fmt.Errorf("%w: log %s was deleted, or never created", errWrong, id)
		}
		if tail.Sealed != (l.sealed == yes) && l.sealed != maybe {
			return fmt.Errorf("%w: log %s: sealed %v", errWrong, id, tail.Sealed)
		}
		l.exists, l.sealed = yes, no
		if tail.Sealed {
			l.sealed = yes
		}
		d.epoch = max(d.epoch, tail.Epoch)
		if err := l.compare(ctx, d.e, id); err != nil {
			return fmt.Errorf("log %s: %w", id, err)
		}
	}
	return nil
}

// compare reads a log and settles its entries.
func (l *logTold) compare(ctx context.Context, e *Engine, id shardlog.LogID) error {
	c, err := e.Read(ctx, id, 0, shardlog.ReadOpts{NoWait: true})
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // a cursor has nothing to lose
	i, kept := 0, 0
	lost := func(upTo int) error {
		for ; i < upTo; i++ {
			if en := l.entries[i]; en.out == yes && (i >= l.mayGo || kept > 0) {
				return fmt.Errorf("%w: acknowledged entry %d at %d is lost", errWrong, en.first, en.pos)
			} else if en.out == maybe && i >= l.mayGo {
				l.entries[i].out = no
			}
		}
		return nil
	}
	for {
		got, err := c.Next(ctx)
		if errors.Is(err, shardlog.ErrTip) || errors.Is(err, io.EOF) {
			return lost(len(l.entries))
		} else if err != nil {
			return err
		}
		values := shardlogtest.Values(got)
		at := i
		for at < len(l.entries) && l.entries[at].first != values[0] {
			at++
		}
		if at == len(l.entries) {
			return fmt.Errorf("%w: %d was never appended, or stands in another place", errWrong, values[0])
		}
		if err := lost(at); err != nil {
			return err
		}
		if err := l.entries[at].is(got, values); err != nil {
			return err
		}
		if at < l.gone {
			return fmt.Errorf("%w: %d was trimmed", errWrong, values[0])
		}
		l.mayGo = min(l.mayGo, at)
		i, kept = at+1, kept+1
	}
}

// is compares a stored entry with an append that may have made it.
func (en *entryTold) is(got shardlog.Entry, values []int64) error {
	if en.out == no {
		return fmt.Errorf("%w: %d was refused", errWrong, en.first)
	}
	if len(values) != en.rows || en.pos != 0 && en.pos != got.Pos {
		return fmt.Errorf("%w: %d has %d rows at %d, appended were %d at %d", errWrong, en.first, len(values), got.Pos, en.rows, en.pos)
	}
	for i, v := range values {
		if v != en.first+int64(i) {
			return fmt.Errorf("%w: row %d of %d is %d", errWrong, i, en.first, v)
		}
	}
	en.out, en.pos = yes, got.Pos
	return nil
}

// check opens what a crash left of a workload, compares it, and uses it.
func (d *driver) check(t *testing.T, left *vfs.Mem) error {
	t.Helper()
	after := d.copy(left)
	defer after.end()
	if err := after.open(t.Context()); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	for id, l := range after.logs { // it can be written to at once
		if l.exists != yes || l.sealed == yes {
			continue
		}
		if err := after.claim(t.Context(), id); err != nil {
			return err
		}
		if err := after.put(t.Context(), 1, id); err != nil {
			return err
		}
		if en := l.entries[len(l.entries)-1]; en.out != yes {
			return fmt.Errorf("%w: log %s took no entry", errWrong, id)
		}
	}
	return after.do(t.Context(), step{do: "reopen"})
}

// copy is a driver that knows the same and goes on with other files.
func (d *driver) copy(fs *vfs.Mem) *driver {
	out := &driver{fs: fs, cfg: d.cfg, epoch: d.epoch, next: d.next, logs: map[shardlog.LogID]*logTold{}}
	for id, l := range d.logs {
		c := *l
		c.entries = append([]entryTold(nil), l.entries...)
		out.logs[id] = &c
	}
	return out
}
