package sealing

import (
	"context"
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

// Wrap encrypts a data key.
func (f *File) Wrap(_ context.Context, name string, key []byte) ([]byte, error) {
	k, err := f.find(name)
	if err != nil {
		return nil, err
	}
	return k.Seal(nil, key, []byte(name)), nil
}

// Unwrap decrypts a data key.
func (f *File) Unwrap(_ context.Context, name string, wrapped []byte) ([]byte, error) {
	k, err := f.find(name)
	if err != nil {
		return nil, err
	}
	out, err := k.Open(nil, wrapped, []byte(name))
	if err != nil {
		return nil, fmt.Errorf("key %s is not the one that it was when the data was encrypted: %w", name, err)
	}
	return out, nil
}

var _ Masters = (*File)(nil)
