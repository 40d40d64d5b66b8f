package warehouse

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// The messages of a worker to PostgreSQL, before or after which somebody dies, by what stands in them. After: PostgreSQL did
// what it was asked, and nobody heard of it.
var messages = []struct {
	name string
	kind byte
	text string
}{
	{"begin", 'Q', "begin\x00"},
	{"claim", 'P', `INSERT INTO "_penstock"."checkpoints"`},
	{"lock", 'P', "FOR UPDATE OF c"},
	{"copy", 'Q', "COPY "},
	{"rows", 'd', ""},
	{"copied", 'c', ""},
	{"merge", 'P', "WITH latest"},
	{"move", 'P', `UPDATE "_penstock"."checkpoints"`},
	{"manifest", 'P', `INSERT INTO "_penstock"."plans"`},
	{"commit", 'Q', "commit"}, // behind a manifest
}

// manifest is the index of that message.
const manifest = 8

// is reports whether a message is the one of an index.
func is(at int, kind byte, payload []byte) bool {
	return kind == messages[at].kind && bytes.Contains(payload[:min(len(payload), 200)], []byte(messages[at].text))
}

// wire is a proxy that knows the messages of PostgreSQL's protocol. At one of them it calls strike and cuts the connection.
type wire struct {
	URL    string
	target string

	mu     sync.Mutex
	at     int  // index of messages
	after  bool // its answer came
	left   int  // how many of them are to pass, and this one; 0: none is waited for
	strike func()
}

// newWire makes a proxy before the server of a URL.
func newWire(t *testing.T, url, target string) *wire {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	w := &wire{target: target, URL: string(bytes.Replace([]byte(url), []byte(target), []byte(l.Addr().String()), 1))}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.serve(c)
		}
	}()
	return w
}

// arm has the n-th message of a kind that comes from now on be the last of its connection.
func (w *wire) arm(at int, after bool, n int, strike func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at, w.after, w.left, w.strike = at, after, n, strike
}

// disarm ends the wait for a message.
func (w *wire) disarm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = 0
}

// due returns what is to be done at a message, nil for nothing, and whether that is once it was answered.
func (w *wire) due(kind byte, payload []byte, settled bool) (strike func(), after bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left == 0 || !is(w.at, kind, payload) || w.at > manifest && !settled {
		return nil, false
	}
	if w.left--; w.left > 0 {
		return nil, false
	}
	return w.strike, w.after
}

// link is one connection through the proxy.
type link struct {
	w                *wire
	client, upstream net.Conn

	settled bool // a manifest went by

	mu     sync.Mutex
	struck func() // at the next answer of the server
}

func (w *wire) serve(client net.Conn) {
	defer client.Close() //nolint:errcheck // of a proxy
	upstream, err := net.Dial("tcp", w.target)
	if err != nil {
		return
	}
	l := &link{w: w, client: client, upstream: upstream}
	defer upstream.Close() //nolint:errcheck // of a proxy
	go func() {
		_ = pump(upstream, client, true, l.answer)
		_ = client.Close()
		_ = upstream.Close()
	}()
	_ = pump(client, upstream, false, l.question)
}

var errCut = errors.New("the connection is cut")

// question sees a message of the client, and says whether it passes.
func (l *link) question(kind byte, payload []byte) (bool, error) {
	l.settled = l.settled || is(manifest, kind, payload)
	strike, after := l.w.due(kind, payload, l.settled)
	switch {
	case strike == nil:
		return true, nil
	case after:
		l.mu.Lock()
		l.struck = strike
		l.mu.Unlock()
		return true, nil
	}
	strike()
	return false, errCut
}

// answer sees a message of the server. Nothing passes of an answer that nobody is to hear.
func (l *link) answer(kind byte, _ []byte) (bool, error) {
	l.mu.Lock()
	strike := l.struck
	l.mu.Unlock()
	switch {
	case strike == nil:
		return true, nil
	case kind != 'Z' && kind != 'G': // ready for a query, or for rows
		return false, nil
	}
	strike()
	return false, errCut
}

// pump passes messages on, each once see has seen it. Those of a server all have a kind; the first of a client has none.
func pump(from io.Reader, to io.Writer, server bool, see func(kind byte, payload []byte) (bool, error)) error {
	in, out := bufio.NewReaderSize(from, 64<<10), bufio.NewWriterSize(to, 64<<10)
	begun := server
	var head [5]byte
	var payload []byte
	for {
		h := head[1:]
		if begun {
			h = head[:]
		}
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
		if _, err := io.ReadFull(in, h); err != nil {
			return err
		}
		n := int(binary.BigEndian.Uint32(h[len(h)-4:])) - 4
		if cap(payload) < n {
			payload = make([]byte, n)
		}
		payload = payload[:n]
		if _, err := io.ReadFull(in, payload); err != nil {
			return err
		}
		kind := byte(0)
		if begun {
			kind = h[0]
		}
		begun = true
		pass, err := see(kind, payload)
		if err != nil {
			return err
		}
		if !pass {
			continue
		}
		if _, err := out.Write(h); err != nil {
			return err
		}
		if _, err := out.Write(payload); err != nil {
			return err
		}
	}
}
