package vfs

import (
	"fmt"
	"io"
	"os"
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
