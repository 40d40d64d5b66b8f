package lake

import (
	"context"
	"io"
)

// Store keeps objects under names with slashes.
type Store interface {
	// Create begins an object that nobody sees before its Commit.
	Create(ctx context.Context, name string) (Object, error)
	// Open reads an object; fs.ErrNotExist when there is none.
	Open(ctx context.Context, name string) (Content, error)
	// List calls f with each object whose name begins with prefix.
	List(ctx context.Context, prefix string, f func(name string) error) error
}

// Object is an object being written.
type Object interface {
	io.Writer
	Commit(ctx context.Context) error // makes it visible and durable, in place of one of the same name
	Abort() error                     // gives it up; after Commit it does nothing
}

// Content is an object being read.
type Content interface {
	io.ReaderAt
	io.Closer
	Size() int64
}
