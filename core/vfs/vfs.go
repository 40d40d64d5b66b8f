// Package vfs is the few file calls that the shard log makes, so that a test can stand in their place: OS is the real
// file system, Mem one in memory that forgets what was not synced, tears writes and fails on demand.
//
// It promises nothing that POSIX does not: a file's data survives a crash after Sync, a name after SyncDir.
package vfs

import (
	"errors"
	"io"
	"syscall"
)

// Scarce reports whether a call failed because the operating system had no descriptor or memory to spare at that moment.
func Scarce(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}

// FS opens and names files. Paths use the separator of the operating system. Safe for concurrent use.
type FS interface { //nolint:interfacebloat // it names the file calls we use, one method each
	MkdirAll(dir string) error         // and makes the names of the folders that it made durable
	Create(name string) (File, error)  // read and write; the file must not exist
	Open(name string) (File, error)    // read only
	Edit(name string) (File, error)    // read and write; the file must exist
	Rename(from, to string) error      // replaces
	Remove(name string) error          // a file, or a folder that is empty
	List(dir string) ([]string, error) // names within dir, of folders too, sorted
	SyncDir(dir string) error          // makes the names in dir durable
	// Lock takes the exclusive lock of a file, making it if needed; ErrLocked when another process has it. The lock ends
	// with Close, or with the process.
	Lock(name string) (io.Closer, error)
}

// File is an open file.
type File interface { //nolint:interfacebloat // see FS
	io.ReaderAt
	io.WriterAt
	Size() (int64, error)
	Sync() error                         // makes the data durable
	Truncate(size int64) error           // makes the file this long
	Allocate(offset, length int64) error // makes sure that writes there will not run out of space; may do nothing
	Close() error
}
