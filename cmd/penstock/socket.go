package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// The process that has a data directory listens on a socket in it and runs the commands of other processes. One
// connection is one command. Both sides send frames: a kind, a length of four bytes, big-endian, and that many bytes.
const (
	frameHello  = 'h' // from the holder, first: hello
	frameCall   = 'c' // to the holder: request
	frameWant   = 'w' // from the holder: the command reads its standard input
	frameInput  = 'i' // to the holder: the answer to each frameWant; empty at the end of the input
	frameCancel = 'x' // to the holder: end the command
	frameOut    = 'o' // from the holder: standard output
	frameErr    = 'e' // from the holder: standard error
	frameExit   = 'q' // from the holder, last: the exit code, one byte
	frameLater  = 'l' // from the holder: it ends, and has not begun the command
)

const (
	maxFrame   = 1 << 20
	inputChunk = 256 << 10
	socketName = "penstock.sock"
	maxPath    = 100 // of a socket's name; systems take 104 or 108 bytes
)

// hello says who has the data directory.
type hello struct {
	PID  int      `json:"pid"`
	Dir  string   `json:"dir"` // its working directory
	Args []string `json:"args"`
}

// request is a command to run for another process.
type request struct {
	Args []string `json:"args"`
}

func writeFrame(w io.Writer, kind byte, payload []byte) error {
	b := append(make([]byte, 0, 5+len(payload)), kind)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload))) //nolint:gosec // at most maxFrame
	_, err := w.Write(append(b, payload...))
	return err
}

func readFrame(r io.Reader) (kind byte, payload []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, fmt.Errorf("a frame of %d bytes, at most %d are allowed", n, maxFrame)
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(r, payload)
	return head[0], payload, err
}

func writeJSON(w io.Writer, kind byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > maxFrame {
		return fmt.Errorf("the command line has %d bytes, at most %d are allowed", len(b), maxFrame)
	}
	return writeFrame(w, kind, b)
}

// atSocket calls f with a name of the socket in dir that is short enough for the system: where the directory's own name
// is too long, through a symbolic link that is there while f runs.
func atSocket(dir string, f func(name string) error) error {
	name := filepath.Join(dir, socketName)
	if len(name) <= maxPath {
		return f(name)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	short, err := os.MkdirTemp("", "ps")
	if err != nil {
		return err
	}
	link := filepath.Join(short, "d")
	if err = os.Symlink(abs, link); err == nil {
		if name = filepath.Join(link, socketName); len(name) > maxPath {
			err = fmt.Errorf("the name %s is too long for a socket: set TMPDIR to a shorter folder", name)
		} else {
			err = f(name)
		}
		err = errors.Join(err, os.Remove(link))
	}
	return errors.Join(err, os.Remove(short))
}

// listenSocket listens in dir, whose lock the caller has: a socket that is there already is that of a dead process.
func listenSocket(ctx context.Context, dir string) (net.Listener, error) {
	var l net.Listener
	err := atSocket(dir, func(name string) error {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		var cfg net.ListenConfig
		made, err := cfg.Listen(ctx, "unix", name)
		if err != nil {
			return err
		}
		made.(*net.UnixListener).SetUnlinkOnClose(false) // by then its name may be another
		l = made
		return os.Chmod(name, 0o600)
	})
	if err != nil && l != nil {
		err = errors.Join(err, l.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("listen in %s: %w", dir, err)
	}
	return l, nil
}

// dialSocket connects to the process that has dir.
func dialSocket(ctx context.Context, dir string) (net.Conn, hello, error) {
	var conn net.Conn
	err := atSocket(dir, func(name string) (err error) {
		var d net.Dialer
		conn, err = d.DialContext(ctx, "unix", name)
		return err
	})
	if err != nil {
		return nil, hello{}, err
	}
	kind, text, err := readFrame(conn)
	var h hello
	if err != nil { // it ends, and had not accepted the connection
		return nil, h, errors.Join(fmt.Errorf("%w: %w", errLater, err), conn.Close())
	}
	err = json.Unmarshal(text, &h)
	if err == nil && kind != frameHello {
		err = fmt.Errorf("the process that listens in %s is no penstock", dir)
	}
	if err != nil {
		return nil, hello{}, errors.Join(err, conn.Close())
	}
	return conn, h, nil
}
