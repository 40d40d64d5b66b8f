package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// socket is a listener at a path. Closing it takes the path away, if it is still this one's.
type socket struct {
	net.Listener
	path  string
	made  fs.FileInfo
	close func() error
}

// openSocket makes a socket in a folder that is nobody else's, and moves it to its path once its mode is as it should be:
// there is no moment at which others could connect.
func openSocket(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	if err := unused(ctx, path); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".ps")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // an empty folder may stay
	name := filepath.Join(dir, "s")
	var cfg net.ListenConfig
	l, err := cfg.Listen(ctx, "unix", name)
	if err != nil {
		return nil, fmt.Errorf("%w (the names of sockets have at most about 100 bytes)", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // its name will be another
	err = os.Chmod(name, mode)
	var made fs.FileInfo
	if err == nil {
		made, err = os.Lstat(name)
	}
	if err == nil {
		err = os.Rename(name, path)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s := &socket{Listener: l, path: path, made: made}
	s.close = sync.OnceValue(s.end)
	return s, nil
}

// unused returns nil if nobody listens at a path, and nothing but a socket is lost when it is replaced.
func unused(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there already, and is no socket", path)
	}
	d := net.Dialer{Timeout: 5 * time.Second}
	c, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(fmt.Errorf("another process listens at %s", path), c.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("whether a process listens there is not known: %w", err)
	}
	return nil
}

// Addr is the path, which is not that at which the socket was made.
func (s *socket) Addr() net.Addr { return &net.UnixAddr{Name: s.path, Net: "unix"} }

// Close ends the listener. It may be called again.
func (s *socket) Close() error { return s.close() }

func (s *socket) end() error {
	if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.made) {
		_ = os.Remove(s.path) // else the next one finds it stale
	}
	return s.Listener.Close()
}
