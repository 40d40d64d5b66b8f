package local

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/vfs"
)

// tend keeps the commit log within its size until the engine is closed: a goroutine of its own, so that the committer
// never waits for it.
func (e *Engine) tend() {
	defer close(e.tended)
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	for {
		if err := e.tidy(); err != nil && !errors.Is(err, errStopped) {
			if !passing(err) {
				e.fail(err)
				return
			}
			retry.Reset(tidyAgain)
		}
		select {
		case <-e.untidy:
		case <-retry.C:
		case <-e.stop:
			return
		}
	}
}

// tidyAgain is how long to wait where the file system refused for a reason that may pass.
const tidyAgain = time.Second

// errStopped says that the engine is being closed.
var errStopped = errors.New("the log is being closed")

// errKept says that a file which is not needed could not be deleted. It is only space.
var errKept = errors.New("it stays for now")

// errUnsynced says that a sync failed of what is not written anew when it is tried again.
var errUnsynced = errors.New("what is durable is not known")

// passing reports whether err may be gone when it is tried again, and says nothing about what is durable.
func passing(err error) bool {
	if errors.Is(err, errUnsynced) {
		return false
	}
	return errors.Is(err, errKept) || noSpace(err) || vfs.Scarce(err) || errors.Is(err, fs.ErrPermission)
}

// nudge tells tend that there may be something to do.
func (e *Engine) nudge() {
	select {
	case e.untidy <- struct{}{}:
	default:
	}
}

// tidy deletes what nothing needs any more, and moves the oldest files of the commit log into segments while the log
// is too large.
func (e *Engine) tidy() error {
	e.tidying.Lock()
	defer e.tidying.Unlock()
	for {
		if err := e.removeDead(); err != nil {
			return err
		}
		f, move := e.oldest()
		if f == nil {
			return nil
		}
		if move {
			if err := e.moveOrBorrow(f); err != nil {
				return err
			}
			if e.needed(f) {
				return fmt.Errorf("%s was moved to segments, and is needed still", f.name)
			}
		}
		if err := e.dropFile(f); err != nil {
			return err
		}
	}
}

// oldest is the file that must go, and whether there is anything in it that must be kept. The last one stays.
func (e *Engine) oldest() (f *logFile, move bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.files) < 2 || e.poison != nil || e.closing {
		return nil, false
	}
	switch f = e.files[0]; {
	case f.live == 0:
		return f, false
	case e.logBytes > max(e.cfg.LogSize-e.cfg.FileSize, 0): // the file that is being written counts as full
		return f, true
	}
	return nil, false
}

func (e *Engine) needed(f *logFile) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return f.live > 0
}

// moveOrBorrow moves f to segments. When the disk is full, it borrows space from the reserve where little of f is
// needed: then f soon frees more than was borrowed. Else f stays until space returns.
func (e *Engine) moveOrBorrow(f *logFile) error {
	err := e.move(f)
	if err == nil || !noSpace(err) || !passing(err) || !e.reserve.lend(e.neededBytes(f)) {
		return err
	}
	defer e.reserve.repay()
	return e.move(f)
}

func (e *Engine) neededBytes(f *logFile) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return f.liveBytes
}

// dropFile deletes the oldest file, of which nothing is needed. That the log begins behind it is durable before. Never
// a later one before an earlier one: a gap is damage where there is no head, and a name that was deleted may come back
// after a power cut until the folder is synced.
func (e *Engine) dropFile(f *logFile) error {
	e.mu.Lock()
	next := e.files[1].id
	e.mu.Unlock()
	if err := e.head.advance(next); err != nil {
		return err
	}
	if err := e.fs.Remove(f.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete %s: %w: %w", f.name, errKept, err)
	}
	if err := e.fs.SyncDir(e.dir); err != nil {
		return fmt.Errorf("sync %s: %w: %w", e.dir, errUnsynced, err)
	}
	_ = f.close() // it was only read
	e.mu.Lock()
	defer e.mu.Unlock()
	e.files = e.files[1:]
	e.logBytes -= f.size
	return nil
}

// removeDead deletes the segments that nothing reads from. Should they be there again after a power cut, the next
// opening sees that they are trimmed, or their log gone.
func (e *Engine) removeDead() error {
	for {
		e.mu.Lock()
		if len(e.dead) == 0 {
			e.mu.Unlock()
			return nil
		}
		seg := e.dead[0]
		e.mu.Unlock()
		if err := e.segs.remove(seg); err != nil {
			return fmt.Errorf("delete %s: %w: %w", seg.name, errKept, err)
		}
		if dir := filepath.Dir(seg.name); filepath.Base(dir) != segFolder {
			_ = e.fs.Remove(dir) // fails as long as something is in it
		}
		e.mu.Lock()
		e.dead = e.dead[1:]
		e.mu.Unlock()
	}
}

// retire hands segments that nothing reads from to removeDead. The caller holds e.mu.
func (e *Engine) retire(dead []*segment) {
	if len(dead) > 0 {
		e.dead = append(e.dead, dead...)
		e.nudge()
	}
}

// fail poisons the log: what is durable is not known any more, or a file of it is damaged.
func (e *Engine) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.poison != nil {
		return
	}
	e.poison = fmt.Errorf("%w: %w", shardlog.ErrUnknown, err)
	for _, l := range e.logs {
		l.notify()
	}
	close(e.failed)
}
