package vfs

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// ReadPrivate reads a file of secrets, of at most so many bytes, that nobody but its owner can read; on Windows that is not
// looked at. The mode is that of the file that was opened, so it cannot be another one by the time it is read.
func ReadPrivate(path string, most int64) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // the user named it
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
	case info.Size() > most:
		return nil, fmt.Errorf("%s has %d bytes, more than %d", path, info.Size(), most)
	}
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s grew past %d bytes while it was read", path, most)
	}
	return text, err
}

// WritePrivate makes a file that nobody but its owner can read, in the place of one that is there. After nil it is whole and
// durable; after an error there is no new file.
func WritePrivate(disk FS, path string, text []byte) error {
	made := path + "." + rand.Text() + ".tmp"
	if err := writeNew(disk, made, text); err != nil {
		return errors.Join(err, discard(disk, made))
	}
	if err := disk.Rename(made, path); err != nil {
		return errors.Join(err, discard(disk, made))
	}
	if err := disk.SyncDir(filepath.Dir(path)); err != nil {
		return errors.Join(err, discard(disk, path))
	}
	return nil
}

func writeNew(disk FS, path string, text []byte) error {
	file, err := disk.Create(path) // mode 0600
	if err != nil {
		return err
	}
	if _, err := file.WriteAt(text, 0); err != nil {
		return errors.Join(err, file.Close())
	}
	return errors.Join(file.Sync(), file.Close())
}

// discard takes away what was left half made.
func discard(disk FS, path string) error {
	if err := disk.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
