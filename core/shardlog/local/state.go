package local

import (
	"slices"
	"sort"
	"time"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/penstock/penstock/core/shardlog"
)

// logState is what is durable of one log. Engine.mu guards it.
type logState struct {
	shardlog.State
	born    uint64        // number of the group that created it
	trim    shardlog.Pos  // entries before it are trimmed
	runs    []run         // the DATA entries that are not and are in segments, in order
	base    shardlog.Pos  // of the last DATA entry before refs, trimmed or in a segment; 0 if there is none
	refs    []*ref        // the others, in the commit log, in order
	damage  []error       // of its segments, found when they were opened
	changed chan struct{} // closed when anything here changed; nil while nobody waits
}

// ref says where a DATA entry is stored.
type ref struct {
	pos     shardlog.Pos
	epoch   shardlog.Epoch
	file    *logFile
	offset  int64 // of the payload in the file
	size    int
	prev    uint32 // chain before the entry
	chain   uint32 // and with it
	arrival int64  // milliseconds
	schema  *schema
	hot     arrow.Record // nil when it is to be read from the file
}

func newLogState() *logState { return &logState{trim: 1} }

// wait returns what is closed at the next change.
func (l *logState) wait() <-chan struct{} {
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

func (l *logState) notify() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

func (l *logState) tail() shardlog.Tail {
	t := l.Tail
	t.First = min(l.trim, l.Last+1)
	return t
}

// at is the index in refs of the first entry at or after pos.
func (l *logState) at(pos shardlog.Pos) int {
	return sort.Search(len(l.refs), func(i int) bool { return l.refs[i].pos >= pos })
}

// since is the index in refs of the first entry that arrived at or after t.
func (l *logState) since(t time.Time) int {
	ms := t.UnixMilli()
	return sort.Search(len(l.refs), func(i int) bool { return l.refs[i].arrival >= ms })
}

// last is the position of the last DATA entry there ever was; 0 if there is none.
func (l *logState) lastData() shardlog.Pos {
	if n := len(l.refs); n > 0 {
		return l.refs[n-1].pos
	}
	return l.base
}

// trimTo forgets the entries before pos. It returns the segments that nothing reads from any more.
func (l *logState) trimTo(pos shardlog.Pos, hot *hotTail) (dead []*segment) {
	if pos <= l.trim {
		return nil
	}
	l.cut(l.at(pos), hot)
	l.trim = pos
	for len(l.runs) > 0 && l.runs[0].last < pos {
		dead = append(dead, l.runs[0].leave()...)
		l.runs[0] = run{}
		l.runs = l.runs[1:]
	}
	return dead
}

// cut forgets the first n entries in the commit log.
func (l *logState) cut(n int, hot *hotTail) {
	if n == 0 {
		return
	}
	l.base = l.refs[n-1].pos
	for i, r := range l.refs[:n] {
		r.file.live--
		r.file.liveBytes -= int64(r.size)
		hot.release(r)
		l.refs[i] = nil
	}
	if l.refs = l.refs[n:]; len(l.refs) == 0 {
		l.refs = nil
	}
}

// leave says that a log does not read from r any more, and returns the segments that nothing reads from.
func (r *run) leave() (dead []*segment) {
	for _, p := range r.parts {
		if p.seg.live--; p.seg.live == 0 {
			dead = append(dead, p.seg)
		}
	}
	return dead
}

// hotTail keeps the newest records in memory, within a budget. Engine.mu guards it.
type hotTail struct {
	budget int64
	bytes  int64
	count  int
	order  []*ref // oldest first; some may have been released
}

func (h *hotTail) add(r *ref, rec arrow.Record) {
	rec.Retain()
	r.hot = rec
	h.bytes += int64(r.size)
	h.count++
	h.order = append(h.order, r)
	if len(h.order) > 2*h.count+32 { // many were trimmed
		h.order = slices.DeleteFunc(h.order, func(r *ref) bool { return r.hot == nil })
	}
	for h.bytes > h.budget && len(h.order) > 0 {
		h.release(h.order[0])
		h.order[0] = nil
		h.order = h.order[1:]
	}
}

func (h *hotTail) release(r *ref) {
	if r.hot == nil {
		return
	}
	r.hot.Release()
	r.hot = nil
	h.bytes -= int64(r.size)
	h.count--
}

func (h *hotTail) drop() {
	for _, r := range h.order {
		h.release(r)
	}
	h.order = nil
}
