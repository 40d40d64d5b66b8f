package lake

import (
	"context"
	"errors"
	"io"
	"time"
)

// Store keeps objects under names with slashes.
type Store interface {
	// Create begins an object that nobody sees before its Commit.
	Create(ctx context.Context, name string, by Origin) (Object, error)
	// Open reads an object; fs.ErrNotExist when there is none.
	Open(ctx context.Context, name string) (Content, error)
	// List calls f with each object whose name begins with prefix.
	List(ctx context.Context, prefix string, f func(name string) error) error
	// Sweep gives up objects that were begun before a time and never committed, as far as ours says that they are.
	Sweep(ctx context.Context, ours func(name string) bool, before time.Time) error
}

// Origin says what an object comes from.
type Origin struct {
	Pipeline, Incarnation string
	Plan                  int64
}

// Sweep gives up what flushes of the pipeline that never became plans left in the store before a time.
func Sweep(ctx context.Context, store Store, pipeline string, before time.Time) error {
	return store.Sweep(ctx, func(name string) bool { return ours(name, pipeline) }, before)
}

// Object is an object being written.
// An Object may have a method Held() int64, the bytes of it that are in memory.
type Object interface {
	io.Writer
	// Commit makes it visible and durable, in place of one of the same name. After ErrBroken that cannot be tried again.
	Commit(ctx context.Context) error
	Abort() error // gives it up; after Commit it does nothing
}

// ErrBroken says that an object lost what was written to it: begin it anew.
var ErrBroken = errors.New("the object is begun anew")

// Content is an object being read.
type Content interface {
	io.ReaderAt
	io.Closer
	Size() int64
}
