package sealing

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/core/vfs"
)

// File are master keys that stand in a file.
type File struct{ keys map[string]*Key }

// maxFile is far more than master keys take.
const maxFile = 1 << 20

// OpenFile reads master keys: a YAML mapping of names, such as alias/main or a key's ARN, to 32 bytes in base64, or to
// ${NAME} for an environment variable that holds them. The file must belong to its owner alone, but on Windows.
func OpenFile(path string) (*File, error) {
	text, err := vfs.ReadPrivate(path, maxFile)
	if err != nil {
		return nil, err
	}
	var named map[string]string
	if err := yaml.Unmarshal(text, &named); err != nil {
		return nil, fmt.Errorf("%s: want a mapping of names to keys in base64", path) // yaml's words could show a key
	}
	f := &File{keys: map[string]*Key{}}
	for name, value := range named {
		if env, ok := strings.CutPrefix(value, "${"); ok {
			value = os.Getenv(strings.TrimSuffix(env, "}"))
		}
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
		if err == nil {
			f.keys[name], err = NewKey(b)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: key %s is not %d bytes in base64; make one with: head -c 32 /dev/urandom | base64", path, name, keyBytes)
		}
	}
	if len(f.keys) == 0 {
		return nil, fmt.Errorf("%s: it holds no key", path)
	}
	return f, nil
}

func (f *File) find(name string) (*Key, error) {
	k, ok := f.keys[name]
	if !ok {
		return nil, fmt.Errorf("key %s: %w", name, ErrNoKey)
	}
	return k, nil
}

// bound is what a wrapped data key is bound to.
func bound(name, of string) []byte { return []byte(name + "\x00" + of) }

// Generate returns a new data key.
func (f *File) Generate(ctx context.Context, name, of string) ([]byte, Wrapped, error) {
	key := make([]byte, keyBytes)
	_, _ = rand.Read(key) // never fails
	w, err := f.Wrap(ctx, name, of, key)
	return key, w, err
}

// Wrap encrypts a data key.
func (f *File) Wrap(_ context.Context, name, of string, key []byte) (Wrapped, error) {
	k, err := f.find(name)
	if err != nil {
		return Wrapped{}, err
	}
	return Wrapped{name, k.Seal(nil, key, bound(name, of))}, nil
}

// Unwrap decrypts a data key.
func (f *File) Unwrap(_ context.Context, of string, w Wrapped) ([]byte, error) {
	k, err := f.find(w.Master)
	if err != nil {
		return nil, err
	}
	out, err := k.Open(nil, w.Key, bound(w.Master, of))
	if err != nil {
		return nil, fmt.Errorf("key %s is not the one that it was when the data was encrypted: %w", w.Master, err)
	}
	return out, nil
}

// Or are the master keys of the file and those of others, which have every name that the file has not.
func (f *File) Or(others Masters) Masters { return either{f, others} }

type either struct {
	file   *File
	others Masters
}

func (e either) of(name string) Masters {
	if _, ok := e.file.keys[name]; ok {
		return e.file
	}
	return e.others
}

func (e either) Generate(ctx context.Context, name, of string) ([]byte, Wrapped, error) {
	return e.of(name).Generate(ctx, name, of)
}

func (e either) Wrap(ctx context.Context, name, of string, key []byte) (Wrapped, error) {
	return e.of(name).Wrap(ctx, name, of, key)
}

func (e either) Unwrap(ctx context.Context, of string, w Wrapped) ([]byte, error) {
	return e.of(w.Master).Unwrap(ctx, of, w)
}

var _ Masters = (*File)(nil)
