package iam

import (
	"sync"
	"sync/atomic"

	"github.com/penstock/penstock/core/awsapi/sigv4"
	"github.com/penstock/penstock/core/vfs"
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
	text, err := vfs.ReadPrivate(s.path, maxFile)
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
