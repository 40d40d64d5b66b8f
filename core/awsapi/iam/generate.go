package iam

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsapi/sigv4"
	"github.com/penstock/penstock/core/vfs"
)

const firstFile = `# The keys of this node. Whoever can read this file can use them: keep its mode 0600.
# docs/security.md says what can stand here.
- access_key: %s
  secret_key: %s
  policy:
    Version: "2012-10-17"
    Statement:
      - {Effect: Allow, Action: "*", Resource: "*"}
`

// Generate makes a credentials file with one new key that may do everything, and returns the key, to be shown once. The
// file is durable and whole, or not there; one that is there already is fs.ErrExist and stays as it is. The caller sees
// to it that no other process makes the same file.
func Generate(path string) (sigv4.Key, error) { return generate(vfs.OS{}, path) }

func generate(disk vfs.FS, path string) (sigv4.Key, error) {
	// A hundred bits name the key, two hundred are its secret; letters and digits alone, so that nothing needs quoting.
	key := sigv4.Key{AccessKey: "PSTK" + rand.Text()[:20], Secret: core.NewSecret((rand.Text() + rand.Text())[:40]), Active: true}
	switch old, err := disk.Open(path); {
	case err == nil:
		return sigv4.Key{}, errors.Join(fmt.Errorf("%s: %w", path, fs.ErrExist), old.Close())
	case !errors.Is(err, fs.ErrNotExist):
		return sigv4.Key{}, err
	}
	text := fmt.Sprintf(firstFile, key.AccessKey, key.Secret.Reveal())
	if err := vfs.WritePrivate(disk, path, []byte(text)); err != nil { // nobody would be shown the key
		return sigv4.Key{}, fmt.Errorf("make %s: %w", path, err)
	}
	return key, nil
}
