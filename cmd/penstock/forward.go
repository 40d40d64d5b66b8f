package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/core/vfs"
	"github.com/penstock/penstock/pipelines"
)

// call is one command line, and where its input and output go.
type call struct {
	args     []string
	in       io.Reader
	out, err io.Writer
	node     *pipelines.Node // open already, in a process that runs the command for another one
	dir      string          // its data directory
}

type callKey struct{}

// withCall returns a context that carries c to where the data directory is opened.
func withCall(ctx context.Context, c *call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{}
}

// exitError is the outcome of a command that another process ran, also when it succeeded: everything was printed already.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// errLater: the holder ends and has not begun the command.
var errLater = errors.New("the process that has the data directory ends")

// lockWait is how long a process that has the data directory without listening is waited for: it begins or ends.
const lockWait = 2 * time.Second

// withNode calls f with the node of the data directory, which is there, and closes it then. Where another process has the
// directory, the whole command is sent there and run on its node.
func withNode(ctx context.Context, dir string, f func(*pipelines.Node) error) error {
	return onNode(ctx, dir, pipelines.NodeConfig{Existing: true}, f)
}

// makeNode is withNode for a command that may make the data directory.
func makeNode(ctx context.Context, dir string, f func(*pipelines.Node) error) error {
	return onNode(ctx, dir, pipelines.NodeConfig{}, f)
}

func onNode(ctx context.Context, dir string, cfg pipelines.NodeConfig, f func(*pipelines.Node) error) error {
	c := callOf(ctx)
	if c.node != nil {
		return f(c.node)
	}
	var err error
	if cfg.Masters, err = (keyPlaces{}).open(ctx); err != nil {
		return usage(err)
	}
	n, err := openNode(ctx, dir, cfg, func() error { return forward(ctx, c, dir) })
	if errors.Is(err, pipelines.ErrNoData) {
		return usage(err)
	}
	if err != nil || n == nil {
		return err
	}
	return held(ctx, n, dir, func(n *pipelines.Node, h *holder) error {
		defer h.Finish(ctx)
		return f(n)
	})
}

// ownNode is withNode for a command that only the process that has the data directory can run itself.
func ownNode(ctx context.Context, dir string, c pipelines.NodeConfig, f func(*pipelines.Node) error) error {
	if callOf(ctx).node != nil {
		return usage(errors.New("this command cannot be run for another process"))
	}
	n, err := openNode(ctx, dir, c, func() error { return inUse(ctx, dir) })
	if err != nil {
		return err
	}
	return held(ctx, n, dir, func(n *pipelines.Node, _ *holder) error { return f(n) })
}

// held calls f while the commands of other processes are run on n, and closes n.
func held(ctx context.Context, n *pipelines.Node, dir string, f func(*pipelines.Node, *holder) error) error {
	h, err := hold(ctx, n, dir)
	if err != nil {
		return errors.Join(f(n, nil), n.Close()) // others have to wait for this command
	}
	return errors.Join(f(n, h), h.Close(), n.Close())
}

// openNode opens the data directory. While another process has it, taken is called: the node is nil when that returned
// nil, and its error stands, but for what a moment may change.
func openNode(ctx context.Context, dir string, c pipelines.NodeConfig, taken func() error) (*pipelines.Node, error) {
	until := time.Now().Add(lockWait)
	for {
		n, err := c.Open(ctx, dir)
		if !errors.Is(err, vfs.ErrLocked) {
			return n, err
		}
		there := taken()
		if !brief(there) {
			return nil, there
		}
		if time.Now().After(until) {
			if busy := (*busyError)(nil); errors.As(there, &busy) {
				err = busy
			}
			return nil, err
		}
		t := time.NewTimer(50 * time.Millisecond)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, ctx.Err()
		}
	}
}

// brief reports whether what keeps a data directory taken may be over in a moment: a process that begins, ends, or runs
// a short command.
func brief(err error) bool {
	var dial *net.OpError
	var busy *busyError
	return errors.As(err, &dial) && dial.Op == "dial" || errors.Is(err, errLater) || errors.As(err, &busy)
}

// forward sends a command to the process that has the data directory, and its output back.
func forward(ctx context.Context, c *call, dir string) error {
	conn, who, err := dialSocket(ctx, dir)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // everything was read
	args, err := absolute(c.args, who)
	if err != nil {
		return err
	}
	f := &forwarding{conn: conn, call: c}
	if err := writeJSON(conn, frameCall, request{args}); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = f.send(frameCancel, nil) })()
	for {
		kind, payload, err := readFrame(conn)
		switch {
		case err != nil:
			return fmt.Errorf("process %d, which has data directory %s, ended while it ran the command: %w", who.PID, dir, io.ErrUnexpectedEOF)
		case kind == frameLater:
			return errLater
		case kind == frameExit && len(payload) == 1:
			return &exitError{int(payload[0])}
		case kind == frameWant:
			go f.answer() // not here: the command may end before a person has typed
		case kind == frameOut:
			_, err = c.out.Write(payload)
		case kind == frameErr:
			_, err = c.err.Write(payload)
		}
		if err != nil {
			return err
		}
	}
}

// forwarding is a command that another process runs.
type forwarding struct {
	conn net.Conn
	call *call
	mu   sync.Mutex // one frame at a time
}

func (f *forwarding) send(kind byte, payload []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return writeFrame(f.conn, kind, payload)
}

// answer sends the next piece of standard input; an empty one at its end.
func (f *forwarding) answer() {
	buf := make([]byte, inputChunk)
	n := 0
	var err error
	for n == 0 && err == nil {
		n, err = f.call.in.Read(buf)
	}
	_ = f.send(frameInput, buf[:n]) // where the connection is gone, reading it says so
}

// absolute makes the names of pipeline files in args mean the same where they are read. What a file names relative to
// the working directory, such as a folder to write to, cannot be: then the folders have to be one.
func absolute(args []string, who hello) ([]string, error) {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = a
		ext := filepath.Ext(a)
		if strings.HasPrefix(a, "-") || ext != ".yaml" && ext != ".yml" {
			continue
		}
		abs, err := filepath.Abs(a)
		if err != nil {
			return nil, err
		}
		out[i] = abs
		wd, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		if !samePath(wd, who.Dir) {
			return nil, fmt.Errorf("the data directory is in use by process %d, which runs in %s and would read the paths in %s from there: type this command in that folder", who.PID, who.Dir, a)
		}
	}
	return out, nil
}

// busyError says who has a data directory, and what to do.
type busyError struct {
	dir string
	who hello
}

func (e *busyError) Error() string {
	return fmt.Sprintf("data directory %s is in use by process %d (penstock %s): add the pipeline to that command and start it again, or choose another directory with --data",
		e.dir, e.who.PID, strings.Join(e.who.Args, " "))
}

// inUse asks who has a data directory.
func inUse(ctx context.Context, dir string) error {
	conn, who, err := dialSocket(ctx, dir)
	if err != nil {
		return err
	}
	return errors.Join(&busyError{dir, who}, conn.Close())
}
