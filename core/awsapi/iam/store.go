package iam

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/penstock/penstock/core/awsapi/sigv4"
)

// maxFile is room for thousands of keys.
const maxFile = 4 << 20

// Store is the keys of a credentials file. It is safe for concurrent use.
type Store struct {
	path    string
	reading sync.Mutex // one Reload at a time, so that the last one to begin is the one that stays
	keys    atomic.Pointer[map[string]Credential]
}

var _ sigv4.Keys = (*Store)(nil)

// Open reads a credentials file. It must belong to its owner alone: a mode that lets others read or write it is an error,
// but on Windows. Errors in it come all at once, as Errors.
func Open(path string) (*Store, error) {
	s := &Store{path: path}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Reload reads the file again. From its return on, keys and policies are those of the file; after an error they are as
// they were.
func (s *Store) Reload() error {
	s.reading.Lock()
	defer s.reading.Unlock()
	text, err := readPrivate(s.path)
	if err != nil {
		return err
	}
	keys, err := parse(s.path, text)
	if err != nil {
		return err
	}
	s.keys.Store(&keys)
	return nil
}

// Key is the credential with an access key.
func (s *Store) Key(accessKey string) (sigv4.Key, bool) {
	c, ok := (*s.keys.Load())[accessKey]
	return c.Key, ok
}

// Policy is what the holder of a key may do; nil, which allows nothing, when the key is gone since it was checked.
func (s *Store) Policy(id sigv4.Identity) *Policy { return (*s.keys.Load())[id.AccessKey()].Policy }

// readPrivate reads a file that nobody but its owner can read. The mode is that of the file that was opened, so it cannot
// be another one by the time it is read.
func readPrivate(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return nil, fmt.Errorf("%s is not a file", path)
	case runtime.GOOS != "windows" && mode.Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s holds secrets but has mode %04o, which lets others use it: chmod 600 %s", path, mode.Perm(), path)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s has %d bytes, more than %d", path, info.Size(), maxFile)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s grew past %d bytes while it was read", path, maxFile)
	}
	return text, err
}
