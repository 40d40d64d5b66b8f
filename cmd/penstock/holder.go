package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/penstock/penstock/pipelines"
)

const (
	maxServed = 64              // commands of other processes that run at once
	endTime   = 2 * time.Second // what they have to end in when the holder does
)

// holder runs the commands of other processes on the node of this one.
type holder struct {
	node *pipelines.Node
	dir  string
	l    net.Listener
	who  hello
	ctx  context.Context //nolint:containedctx // of the commands
	stop context.CancelFunc
	slot chan struct{}
	all  sync.WaitGroup

	mu     sync.Mutex // guards what follows
	ending bool
	conns  map[net.Conn]bool
}

// hold listens in the data directory of n. Commands keep the values of ctx but not its end, and end with Close.
func hold(ctx context.Context, n *pipelines.Node, dir string) (*holder, error) {
	wd, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	l, err := listenSocket(ctx, dir)
	if err != nil {
		return nil, err
	}
	h := &holder{
		node: n, dir: dir, l: l, who: hello{PID: os.Getpid(), Dir: wd, Args: callOf(ctx).args},
		slot: make(chan struct{}, maxServed), conns: map[net.Conn]bool{},
	}
	h.ctx, h.stop = context.WithCancel(context.WithoutCancel(ctx))
	h.all.Go(h.accept)
	return h, nil
}

// finishTime is how long the commands of others are waited for without a word.
const finishTime = time.Second

// Finish waits for the commands of other processes that run, until ctx ends, and begins no others: a put that is cut off
// does not know what of it is in the stream. Of no holder there are none.
func (h *holder) Finish(ctx context.Context) {
	if h == nil {
		return
	}
	h.mu.Lock()
	h.ending = true
	h.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		for range cap(h.slot) {
			h.slot <- struct{}{}
		}
	}()
	say := time.NewTimer(finishTime)
	defer say.Stop()
	for {
		select {
		case <-idle:
			return
		case <-ctx.Done():
			return
		case <-say.C:
			_, _ = fmt.Fprintf(callOf(ctx).err, "penstock: done; commands of other processes on %s are waited for (ctrl-C ends them)\n", h.dir)
		}
	}
}

// Close ends the commands that run, and then the listening.
func (h *holder) Close() error {
	h.mu.Lock()
	h.ending = true
	h.mu.Unlock()
	err := h.l.Close()
	_ = atSocket(h.dir, os.Remove) // the next holder removes it too
	h.stop()
	t := time.AfterFunc(endTime, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		for c := range h.conns {
			_ = c.Close() // its client stands still
		}
	})
	defer t.Stop()
	h.all.Wait()
	return err
}

func (h *holder) accept() {
	for {
		conn, err := h.l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no descriptors left, say
			t := time.NewTimer(50 * time.Millisecond)
			select {
			case <-h.ctx.Done():
			case <-t.C:
			}
			t.Stop()
			continue
		}
		h.mu.Lock()
		h.conns[conn] = true
		h.mu.Unlock()
		h.all.Go(func() {
			h.serve(conn)
			h.mu.Lock()
			delete(h.conns, conn)
			h.mu.Unlock()
			_ = conn.Close()
		})
	}
}

// serve runs the one command of a connection.
func (h *holder) serve(conn net.Conn) {
	s := &served{conn: conn, input: make(chan []byte, 1)}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second)) // to say what is wanted; there is no limit to the command
	if writeJSON(conn, frameHello, h.who) != nil {
		return
	}
	kind, text, err := readFrame(conn)
	var r request
	if err != nil || kind != frameCall || json.Unmarshal(text, &r) != nil {
		return // it only asked who has the directory
	}
	_ = conn.SetReadDeadline(time.Time{})
	admitted, ending := h.admit()
	if ending {
		_ = writeFrame(conn, frameLater, nil)
		return
	}
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithCancel(h.ctx)
	defer cancel()
	go s.listen(cancel)
	code := exitFailed
	if admitted {
		code = h.execute(s, r.Args)
		<-h.slot
	} else {
		_, _ = fmt.Fprintf(s.stderr(), "penstock: process %d runs %d commands for others already: try again\n", h.who.PID, maxServed)
	}
	_ = s.send(frameExit, []byte{byte(code)})
}

// admit takes a slot for a command, if there is one, unless the holder ends.
func (h *holder) admit() (admitted, ending bool) {
	h.mu.Lock() // Finish waits for whoever was let in before it
	defer h.mu.Unlock()
	if h.ending {
		return false, true
	}
	select {
	case h.slot <- struct{}{}:
		return true, false
	default:
		return false, false
	}
}

func (h *holder) execute(s *served, args []string) (code int) {
	defer func() {
		if p := recover(); p != nil { // a mistake in a command must not end the pipelines of this process
			_, _ = fmt.Fprintf(s.stderr(), "penstock: process %d: panic: %v\n%s", h.who.PID, p, debug.Stack())
			code = exitFailed
		}
	}()
	c := &call{args: args, in: s, out: s.stdout(), err: s.stderr(), node: h.node, dir: h.dir}
	code = execute(withCall(s.ctx, c), args, s, c.out, c.err)
	if h.ctx.Err() != nil {
		_, _ = fmt.Fprintf(c.err, "penstock: process %d, which has data directory %s, ends\n", h.who.PID, h.dir)
	}
	return code
}

// served is the input and the output of a command that runs for another process.
type served struct {
	conn  net.Conn
	ctx   context.Context //nolint:containedctx // of the command, as long as its input
	input chan []byte
	rest  []byte
	ended bool

	mu sync.Mutex // one frame at a time
}

// listen takes what the other process sends; when it is gone, so is the command.
func (s *served) listen(cancel context.CancelFunc) {
	defer cancel()
	for {
		kind, payload, err := readFrame(s.conn)
		switch {
		case err != nil || kind == frameCancel:
			return
		case kind != frameInput:
			continue
		}
		select {
		case s.input <- payload:
		case <-s.ctx.Done():
			return
		}
	}
}

// Read asks the other process for its standard input, as much as is wanted: what a command does not read stays there.
func (s *served) Read(p []byte) (int, error) {
	if s.ended {
		return 0, io.EOF
	}
	if len(s.rest) == 0 {
		if err := s.send(frameWant, nil); err != nil {
			return 0, err
		}
		select {
		case s.rest = <-s.input:
		case <-s.ctx.Done():
			return 0, s.ctx.Err()
		}
		if s.ended = len(s.rest) == 0; s.ended {
			return 0, io.EOF
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *served) send(kind byte, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return writeFrame(s.conn, kind, payload)
}

func (s *served) stdout() io.Writer {
	return writerFunc(func(p []byte) error { return s.send(frameOut, p) })
}

func (s *served) stderr() io.Writer {
	return writerFunc(func(p []byte) error { return s.send(frameErr, p) })
}

// writerFunc is a writer that hands on pieces of bounded size.
type writerFunc func(p []byte) error

func (f writerFunc) Write(p []byte) (int, error) {
	for n := 0; n < len(p); {
		end := min(len(p), n+maxFrame/4)
		if err := f(p[n:end]); err != nil {
			return n, err
		}
		n = end
	}
	return len(p), nil
}

// samePath reports whether two folders are one.
func samePath(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	if errX != nil || errY != nil {
		return filepath.Clean(a) == filepath.Clean(b)
	}
	return os.SameFile(x, y)
}
