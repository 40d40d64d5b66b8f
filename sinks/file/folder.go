package file

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/penstock/penstock/sinks/internal/lake"
)

// folder is a lake.Store in a folder that no name leaves.
type folder struct{ root *os.Root }

// staged is where files grow before they are visible.
const staged = "_penstock/tmp"

// Create begins a file.
func (d *folder) Create(_ context.Context, name string, _ lake.Origin) (lake.Object, error) {
	if err := d.root.MkdirAll(staged, 0o755); err != nil {
		return nil, err
	}
	tmp := path.Join(staged, rand.Text())
	f, err := d.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	return &object{d: d, f: f, w: bufio.NewWriterSize(f, bufferBytes), tmp: tmp, name: name}, nil
}

// object is a file that grows under another name.
type object struct {
	d         *folder
	f         *os.File
	w         *bufio.Writer
	tmp, name string
	synced    bool
	done      bool
}

// bufferBytes is small, because a flush may have hundreds of files open.
const bufferBytes = 32 << 10

// Held is how many bytes of the file are in memory.
func (o *object) Held() int64 {
	if o.synced || o.done {
		return 0
	}
	return bufferBytes
}

func (o *object) Write(p []byte) (int, error) { return o.w.Write(p) }

// Commit syncs the file, renames it and syncs the folders that have its name.
func (o *object) Commit(context.Context) error {
	if o.done {
		return nil
	}
	if !o.synced {
		if err := errors.Join(o.w.Flush(), o.f.Sync(), o.f.Close()); err != nil { // a full disk, say
			return fmt.Errorf("%w: %w", lake.ErrBroken, err)
		}
		o.synced, o.w = true, nil
	}
	dir := path.Dir(o.name)
	if err := o.d.root.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := o.d.root.Rename(o.tmp, o.name); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", lake.ErrBroken, err) // swept, or renamed by a try whose folders could not be synced
	} else if err != nil {
		return err
	}
	for {
		if err := o.d.syncDir(dir); err != nil {
			return err
		}
		if dir == "." {
			break
		}
		dir = path.Dir(dir)
	}
	o.done = true
	return nil
}

// Abort removes the file.
func (o *object) Abort() error {
	if o.done {
		return nil
	}
	o.done = true
	if !o.synced {
		_ = o.f.Close() // it is removed
	}
	if err := o.d.root.Remove(o.tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d *folder) syncDir(dir string) error {
	f, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// content is a file being read.
type content struct {
	*os.File
	size int64
}

func (c *content) Size() int64 { return c.size }

// Open reads a file.
func (d *folder) Open(_ context.Context, name string) (lake.Content, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &content{f, st.Size()}, nil
}

// List calls f with each file whose name begins with prefix.
func (d *folder) List(ctx context.Context, prefix string, f func(string) error) error {
	start := path.Dir(prefix)
	if strings.HasSuffix(prefix, "/") {
		start = path.Clean(prefix)
	}
	err := fs.WalkDir(d.root.FS(), start, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case e.IsDir() && name == staged:
			return fs.SkipDir
		case e.IsDir() || !strings.HasPrefix(name, prefix):
			return nil
		}
		return f(name)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", prefix, err)
	}
	return nil
}

// Sweep removes staged files that nobody wrote to since a time. Their names do not say whose they are.
func (d *folder) Sweep(ctx context.Context, _ func(string) bool, before time.Time) error {
	files, err := fs.ReadDir(d.root.FS(), staged)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range files {
		st, serr := e.Info()
		if serr != nil || e.IsDir() || !st.ModTime().Before(before) || ctx.Err() != nil {
			continue
		}
		if rerr := d.root.Remove(path.Join(staged, e.Name())); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	return err
}
