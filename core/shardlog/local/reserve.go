package local

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/vfs"
)

// reserve is the file "reserve", which only takes space, so that checkpoints and trims go on when the disk is full: it
// is given up for them piece by piece. Until it is whole again, everything else is refused. Where the file system cannot
// allocate, it holds nothing, and a full disk refuses all alike.
type reserve struct {
	fs   vfs.FS
	name string
	want int64

	mu    sync.Mutex // guards what follows: the committer gives it up and fills it, tend borrows from it
	have  int64      // at most
	whole bool
	lent  bool      // half of it, until that is paid back; it is not filled meanwhile
	tried time.Time // when there was too little space for it
}

// ReserveName is the file below the log's folder that takes the space of the reserve, and DefaultReserve how much that is.
const (
	ReserveName    = "reserve"
	DefaultReserve = 64 << 20
)

const (
	reserveName  = ReserveName
	reserveStep  = 8 << 20                // is given up at a time
	reserveRetry = 250 * time.Millisecond // between two attempts to make it whole
)

// openReserve takes over the file that is there, or makes it. A disk that has no space for it is no error.
func openReserve(fsys vfs.FS, dir string, want int64) (*reserve, error) {
	r := &reserve{fs: fsys, name: filepath.Join(dir, reserveName), want: max(0, want)}
	f, err := fsys.Edit(r.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		r.have = r.want // what it has of it is not known
		err = f.Allocate(0, r.want)
		if r.whole = err == nil; err != nil && !noSpace(err) {
			return nil, errors.Join(err, f.Close())
		}
		return r, f.Close()
	}
	r.fill()
	return r, nil
}

// fill makes the reserve whole, if there is space, and reports whether it is.
func (r *reserve) fill() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.whole || r.want == 0 {
		return true
	}
	if r.lent || time.Since(r.tried) < reserveRetry {
		return false
	}
	if r.whole = r.take(r.want); !r.whole {
		r.tried = time.Now()
	}
	return r.whole
}

// take makes the file hold so much, or leaves it as it is.
func (r *reserve) take(size int64) bool {
	f, err := r.fs.Edit(r.name)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = r.fs.Create(r.name)
	}
	if err != nil {
		return false
	}
	err = f.Allocate(0, size)
	if err == nil {
		r.have = size
	} else if r.have == 0 {
		_ = r.fs.Remove(r.name) // with what part of it there was
	}
	return errors.Join(err, f.Close()) == nil
}

// give gives up a piece, and reports whether there was one.
func (r *reserve) give() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.have > 0 && r.shrink(r.have-reserveStep)
}

// lend gives up half of the reserve for so many bytes that are copied to free more than their space, and reports whether
// it did: they must be far fewer, and nothing else may have been taken of that half. The other half stays for the rest.
func (r *reserve) lend(bytes int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	half := r.want / 2
	if r.lent || r.have <= half || bytes > half/2 {
		return false
	}
	r.lent = r.shrink(half)
	return r.lent
}

// repay ends the loan: the reserve may be filled again.
func (r *reserve) repay() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lent, r.tried = false, time.Time{}
}

// shrink gives up what the reserve has beyond left, or more.
func (r *reserve) shrink(left int64) bool {
	if err := r.fs.Remove(r.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	r.whole, r.have = false, 0
	for left > 0 && !r.take(left) {
		left -= reserveStep
	}
	return true
}

// admit refuses, while the reserve is not whole, what may not use it, and returns the others.
func (c *committer) admit(ops []*op) []*op {
	r := c.e.reserve
	if len(ops) == 0 || r.fill() {
		return ops
	}
	return c.refuse(ops, fmt.Errorf("%s has less space than the %d bytes that are kept for checkpoints and trims: %w. Make room there", c.e.dir, r.want, shardlog.ErrFull))
}

// refuse resolves with err the ops that may not use the reserve, and returns the others.
func (c *committer) refuse(ops []*op, err error) []*op {
	var vital, others []*op
	for _, o := range ops {
		if c.e.vital(o) {
			vital = append(vital, o)
		} else {
			others = append(others, o)
		}
	}
	for _, o := range others {
		o.err, o.noop = nil, false
	}
	c.resolve(others, err)
	return vital
}

// vital reports whether an op may use the reserve: it frees space, or is of a log that must go on.
func (e *Engine) vital(o *op) bool {
	return o.kind == kindTrim || o.kind == kindDelete || slices.Contains(e.cfg.Vital, o.id)
}

// persist calls try again while it fails for want of space and there is a reserve to give up.
func (c *committer) persist(try func() error) error {
	for {
		err := try()
		if !errors.Is(err, shardlog.ErrFull) || !c.e.reserve.give() {
			return err
		}
	}
}
