package local

import (
	"container/list"
	"errors"
	"io/fs"
	"sync"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/vfs"
)

// errGone says that a file was deleted since it was looked up: look up again where its entries are.
var errGone = errors.New("the file was deleted")

// maxOpenSegments bounds the open files and the block tables in memory.
const maxOpenSegments = 64

// segCache keeps the segments open that were read last. Safe for concurrent use.
type segCache struct {
	fs vfs.FS

	mu     sync.Mutex                 // guards what follows
	open   map[*segment]*list.Element // of *cached
	order  list.List                  // last used first
	closed bool
}

type cached struct {
	o     *openSegment
	users int
	gone  bool // to be closed when nobody uses it
}

func newSegCache(fs vfs.FS) *segCache {
	return &segCache{fs: fs, open: map[*segment]*list.Element{}}
}

// use calls f with the open segment. What it returns, if it is not nil, is as openSeg's errors.
func (c *segCache) use(seg *segment, f func(*openSegment) error) error {
	k, err := c.take(seg)
	if err != nil {
		return err
	}
	defer c.give(k)
	return f(k.o)
}

func (c *segCache) take(seg *segment) (*cached, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, shardlog.ErrClosed
	}
	if el := c.open[seg]; el != nil {
		c.order.MoveToFront(el)
		k := el.Value.(*cached)
		k.users++
		return k, nil
	}
	o, err := openSeg(c.fs, seg)
	if err != nil {
		return nil, err
	}
	k := &cached{o: o, users: 1}
	c.open[seg] = c.order.PushFront(k)
	for el := c.order.Back(); el != nil && c.order.Len() > maxOpenSegments; el = c.order.Back() {
		c.evict(el)
	}
	return k, nil
}

func (c *segCache) give(k *cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k.users--
	if k.gone && k.users == 0 {
		_ = k.o.close() // it was only read
	}
}

// evict forgets an open segment. The caller holds mu.
func (c *segCache) evict(el *list.Element) {
	k := c.order.Remove(el).(*cached)
	delete(c.open, k.o.seg)
	k.gone = true
	if k.users == 0 {
		_ = k.o.close() // it was only read
	}
}

// remove closes the segment and deletes its files.
func (c *segCache) remove(seg *segment) error {
	c.mu.Lock()
	if el := c.open[seg]; el != nil {
		c.evict(el)
	}
	c.mu.Unlock()
	return removeSegment(c.fs, seg.name)
}

// removeSegment deletes a segment's files, the index last: without its segment it is nothing.
func removeSegment(files vfs.FS, name string) error {
	for _, n := range []string{name, indexName(name)} {
		if err := files.Remove(n); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (c *segCache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for el := c.order.Front(); el != nil; el = c.order.Front() {
		c.evict(el)
	}
}
