//go:build !linux

package vfs

import "os"

// SyncDir does what the platform offers; Windows has no such call.
func (OS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	d.Sync() //nolint:errcheck // not every platform can sync a directory
	return d.Close()
}

// Allocate does nothing: a full disk is then noticed when writing.
func (f *osFile) Allocate(int64, int64) error { return nil }

// lockFile takes no lock: off Linux, keep to one process by hand.
func lockFile(*os.File) error { return nil }
