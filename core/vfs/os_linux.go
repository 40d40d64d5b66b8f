package vfs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// SyncDir makes the names in dir durable.
func (OS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Sync is fdatasync: the data and the size are durable, times may not be.
func (f *osFile) Sync() error {
	for {
		err := unix.Fdatasync(int(f.Fd())) //nolint:gosec // a file descriptor fits
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// Allocate reserves blocks without changing the size; a file system that cannot do so is no error.
func (f *osFile) Allocate(offset, length int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, offset, length) //nolint:gosec // a file descriptor fits
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return nil
		}
		return err
	}
}

func lockFile(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) //nolint:gosec // a file descriptor fits
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}
