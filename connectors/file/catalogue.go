package file

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
)

// catalogued is the row of one file: what makes it the file it is, and its shards.
type catalogued struct {
	Path   string `json:"path"`
	Prefix int64  `json:"prefix"` // how many first bytes were hashed
	Hash   string `json:"hash"`   // of them, SHA-256
	Seen   int64  `json:"seen"`   // when, in milliseconds: the arrival time of its records
	Sizes  []int64
}

// prefixBytes is how much of a file is hashed at most.
const prefixBytes = 4096

// unbounded is the size of a shard that is followed.
const unbounded = 1<<62 - 1

// id names shard n of the file.
func (c catalogued) id(n int) core.ShardID {
	h := sha256.Sum256([]byte(c.Path + "\x00" + c.Hash))
	return core.ShardID(fmt.Sprintf("file-%s-%d", hex.EncodeToString(h[:8]), n))
}

// span is from where to where, in bytes of the file as it is stored, shard n goes.
func (c catalogued) span(n int) (from, to int64) {
	if n > 0 {
		from = c.Sizes[n-1]
	}
	return from, c.Sizes[n]
}

func catalogueKey(path string) string {
	h := sha256.Sum256([]byte(path))
	return "files/" + hex.EncodeToString(h[:16])
}

// hashPrefix is the hash of the first n bytes of a file, or of all where it is shorter.
func hashPrefix(path string, n int64) (string, int64, error) {
	f, err := os.Open(path) //nolint:gosec // the user named it
	if err != nil {
		return "", 0, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	h := sha256.New()
	got, err := io.Copy(h, io.LimitReader(f, n))
	return hex.EncodeToString(h.Sum(nil)), got, err
}

// see returns the row of a file as it is now, with a shard for everything in it, and commits it if that is news.
// replaced reports that the path held another file before.
func see(ctx context.Context, store lease.Store, pipeline, path string, follow bool) (c catalogued, replaced bool, err error) {
	key := "pipelines/" + pipeline + "/" + catalogueKey(path)
	for {
		row, ok, err := store.Get(ctx, key)
		if err != nil {
			return c, false, err
		}
		c = catalogued{}
		if ok {
			if err := json.Unmarshal(row.Value, &c); err != nil {
				return c, false, fmt.Errorf("read %s: %w", key, err)
			}
		}
		size, news, err := c.update(path, follow)
		if err != nil {
			return c, false, err
		}
		if !news {
			return c, false, nil
		}
		replaced = ok && c.Sizes == nil
		c.Sizes = append(c.Sizes, size)
		b, err := json.Marshal(c)
		if err != nil {
			return c, false, err
		}
		_, err = store.Commit(ctx, control.Txn{
			Checks: []control.Check{{Key: key, Version: row.Version}}, Writes: []control.Write{{Key: key, Value: b}},
		})
		if err == nil {
			return c, replaced, nil
		}
		if !errors.Is(err, control.ErrConflict) && !errors.Is(err, control.ErrUnknown) {
			return c, false, fmt.Errorf("note file %s: %w", path, err)
		}
	}
}

// update compares c with the file and reports whether there is a shard to add, up to size.
func (c *catalogued) update(path string, follow bool) (size int64, news bool, err error) {
	st, err := os.Stat(path)
	if err != nil {
		return 0, false, err
	}
	size = st.Size()
	if follow {
		size = unbounded
	}
	hash, n, err := hashPrefix(path, max(c.Prefix, 1))
	if err != nil {
		return 0, false, err
	}
	if c.Prefix == 0 || hash != c.Hash || n < c.Prefix || st.Size() < c.last() && c.last() != unbounded {
		if st.Size() == 0 {
			return 0, false, nil
		}
		hash, n, err = hashPrefix(path, prefixBytes)
		*c = catalogued{Path: path, Prefix: n, Hash: hash, Seen: time.Now().UnixMilli()}
		return size, true, err
	}
	return size, size > c.last(), nil
}

func (c *catalogued) last() int64 {
	if len(c.Sizes) == 0 {
		return 0
	}
	return c.Sizes[len(c.Sizes)-1]
}
