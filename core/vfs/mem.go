package vfs

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Mem is a file system in memory that knows what was synced. CrashClone shows what a power cut would leave of it, and
// Fail makes calls fail. The zero Mem is not usable; see NewMem.
type Mem struct {
	mu    sync.Mutex
	names map[string]*inode // as a running process sees them
	kept  map[string]*inode // as SyncDir left them
	locks map[string]bool
	fail  func(op, name string) error
	trace func(op, name string)
	limit int64 // bytes that the files may take; 0 for any
}

type inode struct {
	data  []byte         // as a running process sees it
	kept  []byte         // as Sync left it
	dirty map[int64]bool // sectors written since
	alloc int64          // bytes of space taken, where more than data
}

// sector is what a disk writes whole or not at all.
const sector = 512

// NewMem returns an empty file system.
func NewMem() *Mem {
	return &Mem{names: map[string]*inode{}, kept: map[string]*inode{}, locks: map[string]bool{}}
}

// Fail makes every later call ask f first; an error is what the call returns, having done nothing, except that a
// failed "sync" marks the data clean, as Linux does, and a failed "write" may have written half. Ops are create, open,
// rename, remove, write, read, sync, syncdir, truncate, allocate.
func (m *Mem) Fail(f func(op, name string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = f
}

// Trace makes every later change tell f, before it happens.
func (m *Mem) Trace(f func(op, name string)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trace = f
}

// Limit makes the file system so large: what does not fit gets ENOSPC. 0 takes the limit away.
func (m *Mem) Limit(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limit = bytes
}

// room is how many of the bytes up to end n can get, with m locked.
func (m *Mem) room(n *inode, end int64) int64 {
	have := max(n.alloc, int64(len(n.data)))
	if m.limit == 0 || end <= have {
		return end
	}
	free := m.limit
	for _, other := range m.names {
		free -= max(other.alloc, int64(len(other.data)))
	}
	return min(end, have+max(0, free))
}

// Clone returns what the next process sees after this one was killed: everything, synced or not.
func (m *Mem) Clone() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := NewMem()
	for name, n := range m.names {
		data := slices.Clone(n.data)
		c := &inode{data: data, kept: slices.Clone(data), dirty: map[int64]bool{}, alloc: n.alloc}
		out.names[name], out.kept[name] = c, c
	}
	out.limit = m.limit
	return out
}

// Get returns a file's data; nil where there is no such file.
func (m *Mem) Get(name string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.names[name]; n != nil {
		return slices.Clone(n.data)
	}
	return nil
}

// Set gives a file other data, as damage does, making it where it is not there; nil removes it.
func (m *Mem) Set(name string, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if data == nil {
		delete(m.names, name)
		delete(m.kept, name)
		return
	}
	n := &inode{data: slices.Clone(data), kept: slices.Clone(data), dirty: map[int64]bool{}}
	m.names[name], m.kept[name] = n, n
}

// ask is called before a call has an effect, with m locked.
func (m *Mem) ask(op, name string) error {
	if m.trace != nil && op != "read" && op != "open" {
		m.trace(op, name)
	}
	if m.fail != nil {
		return m.fail(op, name)
	}
	return nil
}

// CrashClone returns what a power cut now might leave: everything synced, and of the rest each sector and each name or
// not, as rng decides. A nil rng keeps nothing that was not synced.
func (m *Mem) CrashClone(rng *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := NewMem()
	names := map[string]*inode{}
	for name, node := range m.kept {
		names[name] = node
	}
	if rng != nil {
		for _, name := range sortedNames(m.names, m.kept) {
			if m.names[name] == m.kept[name] || rng.IntN(2) == 0 {
				continue
			}
			if node := m.names[name]; node != nil {
				names[name] = node
			} else {
				delete(names, name)
			}
		}
	}
	for name, node := range names {
		data := node.crashed(rng)
		n := &inode{data: data, kept: slices.Clone(data), dirty: map[int64]bool{}}
		out.names[name], out.kept[name] = n, n
	}
	return out
}

func sortedNames(maps ...map[string]*inode) []string {
	var out []string
	for _, m := range maps {
		for name := range m {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// crashed is the node's data after a crash.
func (n *inode) crashed(rng *rand.Rand) []byte {
	out := slices.Clone(n.kept)
	if rng == nil {
		return out
	}
	if len(n.data) < len(out) && rng.IntN(2) == 0 {
		out = out[:len(n.data)] // the truncation reached the disk
	}
	for s := int64(0); s*sector < int64(len(n.data)); s++ {
		if !n.dirty[s] || rng.IntN(2) == 0 {
			continue
		}
		end := min((s+1)*sector, int64(len(n.data)))
		if int64(len(out)) < end {
			out = append(out, make([]byte, end-int64(len(out)))...)
		}
		copy(out[s*sector:end], n.data[s*sector:end])
	}
	return out
}

// MkdirAll does nothing: folders are made by the names in them, and as durable.
func (m *Mem) MkdirAll(string) error { return nil }

// Create makes a file that must not exist.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask("create", name); err != nil {
		return nil, err
	}
	if m.names[name] != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	n := &inode{dirty: map[int64]bool{}}
	m.names[name] = n
	return &memFile{m, n, name}, nil
}

// Open opens a file for reading.
func (m *Mem) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask("open", name); err != nil {
		return nil, err
	}
	n := m.names[name]
	if n == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memFile{m, n, name}, nil
}

// Edit opens a file for reading and writing.
func (m *Mem) Edit(name string) (File, error) { return m.Open(name) }

// Rename renames a file, replacing what has the name.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask("rename", to); err != nil {
		return err
	}
	n := m.names[from]
	if n == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	delete(m.names, from)
	m.names[to] = n
	return nil
}

// Remove removes a file; who has it open goes on with it.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask("remove", name); err != nil {
		return err
	}
	if m.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(m.names, name)
	return nil
}

// List returns the names in dir, sorted. A folder is there as long as a file is in it.
func (m *Mem) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for name := range m.names {
		if rest, ok := strings.CutPrefix(name, filepath.Clean(dir)+string(filepath.Separator)); ok {
			first, _, _ := strings.Cut(rest, string(filepath.Separator))
			out = append(out, first)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// SyncDir makes the names in dir durable.
func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask("syncdir", dir); err != nil {
		return err
	}
	for _, name := range sortedNames(m.names, m.kept) {
		if filepath.Dir(name) != filepath.Clean(dir) {
			continue
		}
		if n := m.names[name]; n != nil {
			m.kept[name] = n
		} else {
			delete(m.kept, name)
		}
	}
	return nil
}

// Lock takes a lock that only this file system knows.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] {
		return nil, ErrLocked
	}
	m.locks[name] = true
	return memLock{m, name}, nil
}

type memLock struct {
	m    *Mem
	name string
}

func (l memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locks, l.name)
	return nil
}

// Flip changes one bit of a file's data, as a failing disk does.
func (m *Mem) Flip(name string, bit int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, data := range [][]byte{m.names[name].data, m.names[name].kept} {
		if bit/8 < int64(len(data)) {
			data[bit/8] ^= 1 << (bit % 8)
		}
	}
}

type memFile struct {
	m    *Mem
	n    *inode
	name string
}

var errNegative = errors.New("negative offset")

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.ask("read", f.name); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, errNegative
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	err := f.m.ask("write", f.name)
	if err != nil {
		p = p[:len(p)/2]
	}
	if fits := max(0, f.m.room(f.n, off+int64(len(p)))-off); fits < int64(len(p)) {
		p, err = p[:fits], &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
	}
	if len(p) == 0 {
		return 0, err
	}
	if need := off + int64(len(p)); need > int64(len(f.n.data)) {
		f.n.data = append(f.n.data, make([]byte, need-int64(len(f.n.data)))...)
	}
	copy(f.n.data[off:], p)
	for s := off / sector; s*sector < off+int64(len(p)); s++ {
		f.n.dirty[s] = true
	}
	return len(p), err
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.n.data)), nil
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	err := f.m.ask("sync", f.name)
	if err == nil {
		f.n.kept = slices.Clone(f.n.data)
	}
	f.n.dirty = map[int64]bool{}
	return err
}

func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.ask("truncate", f.name); err != nil {
		return err
	}
	f.n.alloc = min(f.n.alloc, size)
	if size <= int64(len(f.n.data)) {
		f.n.data = f.n.data[:size:size]
		return nil
	}
	f.n.data = append(f.n.data, make([]byte, size-int64(len(f.n.data)))...)
	return nil
}

func (f *memFile) Allocate(offset, length int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.ask("allocate", f.name); err != nil {
		return err
	}
	end := offset + length
	if f.m.room(f.n, end) < end {
		return &fs.PathError{Op: "allocate", Path: f.name, Err: syscall.ENOSPC}
	}
	f.n.alloc = max(f.n.alloc, end)
	return nil
}

func (f *memFile) Close() error { return nil }
