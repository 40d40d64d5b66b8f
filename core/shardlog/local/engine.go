package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/vfs"
)

// Engine is the shard log of one machine. See shardlog.Engine for its methods' contracts.
type Engine struct {
	cfg  Config
	fs   vfs.FS
	dir  string
	lock io.Closer

	codecs  codecs
	head    *head
	reserve *reserve
	wake    chan struct{} // tells the committer that there is something to do
	done    chan struct{} // closed when the committer has ended
	failed  chan struct{} // closed when the log was poisoned
	untidy  chan struct{} // tells tend that there is something to do
	stop    chan struct{} // tells tend to end
	tended  chan struct{} // closed when tend has ended

	segs    *segCache
	tidying sync.Mutex // held while files are moved and deleted

	mu       sync.Mutex // guards what follows
	logs     map[shardlog.LogID]*logState
	files    []*logFile // oldest first; the last one is being written
	logBytes int64      // size of all but the last one
	dead     []*segment // to be deleted
	damage   []error    // of segments that logs share, found when they were opened
	hot      hotTail
	queue    []*op
	queued   int64 // bytes in queue
	closing  bool
	poison   error
}

var (
	_ shardlog.Engine = (*Engine)(nil)
	_ shardlog.Roomer = (*Engine)(nil)
)

// Open opens the log in dir, making it if it is not there, and recovers it. It returns vfs.ErrLocked when another
// process has it, and shardlog.ErrCorrupt when stored bytes are damaged other than by a cut tail.
func Open(fs vfs.FS, dir string, cfg Config) (*Engine, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if err := fs.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("make the log's folder: %w", err)
	}
	lock, err := fs.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	e := &Engine{
		cfg: cfg, fs: fs, dir: dir, lock: lock, logs: map[shardlog.LogID]*logState{},
		wake: make(chan struct{}, 1), done: make(chan struct{}), failed: make(chan struct{}),
		untidy: make(chan struct{}, 1), stop: make(chan struct{}), tended: make(chan struct{}), segs: newSegCache(fs),
	}
	e.hot.budget = cfg.HotTail
	if e.reserve, err = openReserve(fs, dir, cfg.Reserve); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", filepath.Join(dir, reserveName), err), lock.Close())
	}
	c, err := e.recover()
	if err != nil {
		return nil, errors.Join(err, e.closeFiles(), lock.Close())
	}
	go c.run()
	go e.tend()
	return e, nil
}

// Failed is closed when a write or sync of the log failed in a way that leaves its outcome unknown. The process should
// end: only opening the log again tells what is durable.
func (e *Engine) Failed() <-chan struct{} { return e.failed }

// Close completes the queued appends and closes the files. Cursors and writers get ErrClosed.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closing {
		e.mu.Unlock()
		<-e.done
		return nil
	}
	e.closing = true
	e.mu.Unlock()
	e.kick()
	close(e.stop)
	<-e.done
	<-e.tended
	e.segs.close()
	e.mu.Lock()
	for _, l := range e.logs {
		l.notify()
	}
	e.hot.drop()
	e.mu.Unlock()
	return errors.Join(e.closeFiles(), e.lock.Close())
}

func (e *Engine) closeFiles() error {
	var errs []error
	if e.head != nil {
		errs = append(errs, e.head.close())
	}
	for _, f := range e.files {
		errs = append(errs, f.close())
	}
	return errors.Join(errs...)
}

func (e *Engine) kick() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// find is the state of a log. The caller holds e.mu.
func (e *Engine) find(id shardlog.LogID) (*logState, error) {
	switch l := e.logs[id]; {
	case e.poison != nil:
		return nil, e.poison
	case e.closing:
		return nil, shardlog.ErrClosed
	case l == nil:
		return nil, fmt.Errorf("%s: %w", id, shardlog.ErrNotFound)
	default:
		return l, nil
	}
}

// Tail is where the log ends. What is durable is published before its append is acknowledged.
func (e *Engine) Tail(_ context.Context, id shardlog.LogID) (shardlog.Tail, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l, err := e.find(id)
	if err != nil {
		return shardlog.Tail{}, err
	}
	return l.tail(), nil
}
