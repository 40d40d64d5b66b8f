// Package scratch is room on disk, of a bounded size in all, for what does not fit into memory for a while. Its files are
// nobody's but the process's: they have no names where the operating system allows that, and what a process that died
// left behind is removed by the next one.
package scratch

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/penstock/penstock/core/vfs"
)

// Errors.
var (
	ErrFull    = errors.New("the room on disk for what does not fit into memory is used up")
	ErrDamaged = errors.New("what was put on disk for a while is damaged")
)

// Space is the room of one process. Safe for concurrent use.
type Space struct {
	fs  vfs.FS
	dir string

	mu   sync.Mutex // guards what follows
	left int64
	next int
}

// New returns a space of size bytes in a folder that nobody else uses, and removes what is in it.
func New(fsys vfs.FS, dir string, size int64) (*Space, error) {
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, err
	}
	names, err := fsys.List(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, name := range names {
		if err := fsys.Remove(filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	return &Space{fs: fsys, dir: dir, left: size}, nil
}

// Open makes an empty file.
func (s *Space) Open() (*File, error) {
	s.mu.Lock()
	s.next++
	name := filepath.Join(s.dir, strconv.Itoa(s.next))
	s.mu.Unlock()
	f, err := s.fs.Create(name)
	if err != nil {
		return nil, err
	}
	out := &File{space: s, f: f, name: name}
	if s.fs.Remove(name) == nil { // some systems keep an open file's name until it is closed
		out.name = ""
	}
	return out, nil
}

// take takes n bytes; a negative n gives them back.
func (s *Space) take(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > s.left {
		return false
	}
	s.left -= n
	return true
}

// File holds pieces. It is used by one goroutine.
type File struct {
	space *Space
	f     vfs.File
	name  string // empty where it has none any more
	size  int64
}

// Piece says where bytes are.
type Piece struct {
	at, n int64
	sum   uint32
}

// Put puts p away; ErrFull when the space has no room. After an error nothing was put.
func (f *File) Put(p []byte) (Piece, error) {
	n := int64(len(p))
	if !f.space.take(n) {
		return Piece{}, ErrFull
	}
	if _, err := f.f.WriteAt(p, f.size); err != nil {
		f.space.take(-n)
		return Piece{}, err
	}
	out := Piece{f.size, n, crc32.ChecksumIEEE(p)}
	f.size += n
	return out, nil
}

// Get reads a piece into b, if that is large enough. ErrDamaged when it is not what was put.
func (f *File) Get(p Piece, b []byte) ([]byte, error) {
	if int64(cap(b)) < p.n {
		b = make([]byte, p.n)
	}
	b = b[:p.n]
	if _, err := f.f.ReadAt(b, p.at); err != nil {
		return nil, err
	}
	if crc32.ChecksumIEEE(b) != p.sum {
		return nil, fmt.Errorf("%d bytes at %d: %w", p.n, p.at, ErrDamaged)
	}
	return b, nil
}

// Close gives the file's room back. It may be called more than once.
func (f *File) Close() error {
	if f == nil || f.f == nil {
		return nil
	}
	err := f.f.Close()
	if f.name != "" {
		err = errors.Join(err, f.space.fs.Remove(f.name))
	}
	f.space.take(-f.size)
	f.f, f.size = nil, 0
	return err
}
