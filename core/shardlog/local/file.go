package local

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/vfs"
)

// logFile is one file of the commit log.
type logFile struct {
	fileHeader
	name string
	live int   // DATA entries in it that are neither trimmed nor in a segment; Engine.mu guards it
	size int64 // once it is not written any more; Engine.mu guards it

	liveBytes int64 // of those entries; Engine.mu guards it

	mu     sync.RWMutex // held for reading while f is read
	f      vfs.File
	closed bool
}

const (
	filePrefix = "commit-"
	fileSuffix = ".log"
)

func fileName(dir string, id uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%s%016x%s", filePrefix, id, fileSuffix))
}

// parseFileName is the id in a commit-log file's name.
func parseFileName(name string) (uint64, bool) {
	hex, ok := strings.CutPrefix(name, filePrefix)
	hex, ok2 := strings.CutSuffix(hex, fileSuffix)
	if !ok || !ok2 {
		return 0, false
	}
	id, err := strconv.ParseUint(hex, 16, 64)
	return id, err == nil
}

// createFile makes a commit-log file that holds its header and one group, all durable.
func createFile(fs vfs.FS, dir string, h fileHeader, first []byte) (*logFile, error) {
	name := fileName(dir, h.id)
	f, err := fs.Create(name)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", name, err)
	}
	undo := func(err error) (*logFile, error) {
		return nil, errors.Join(fmt.Errorf("begin %s: %w", name, err), f.Close(), fs.Remove(name))
	}
	if _, err := f.WriteAt(append(h.encode(), first...), 0); err != nil {
		return undo(err)
	}
	if err := f.Sync(); err != nil {
		return undo(err)
	}
	if err := fs.SyncDir(dir); err != nil {
		return undo(err)
	}
	return &logFile{fileHeader: h, name: name, f: f}, nil
}

// read reads size bytes at off. errGone says that all in it was trimmed or moved to segments, and the file deleted.
func (f *logFile) read(off int64, size int) ([]byte, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return nil, errGone
	}
	b := make([]byte, size)
	if n, err := f.f.ReadAt(b, off); err != nil && (n < size || !errors.Is(err, io.EOF)) {
		return nil, fmt.Errorf("read %d bytes at %d of %s: %w", size, off, f.name, err)
	}
	return b, nil
}

func (f *logFile) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	return f.f.Close()
}

// corrupt is the error for damage in a file that a cut tail does not explain.
func corrupt(name string, off int64, what string) error {
	return fmt.Errorf("%s at byte %d: %s: %w. Restore the file from a copy; to go on without what follows, move the "+
		"file away and keep it", name, off, what, shardlog.ErrCorrupt)
}
