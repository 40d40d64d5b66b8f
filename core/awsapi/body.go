package awsapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/penstock/penstock/core/awsapi/wire"
	"github.com/penstock/penstock/core/memory"
)

const (
	// room is how long a request waits for memory before it is turned away.
	room = 3 * time.Second
	// turn is how long it waits before it asks whether it may go ahead, and loses its place among those who wait: longer than
	// a busy server needs to come to it.
	turn = 500 * time.Millisecond
)

// growth is how many times as much as came memory is taken for, where as much may come: a body that waits for memory holds
// a small part of what it needs meanwhile, so bodies of the usual sizes do not wait for what others of them hold.
const growth = 8

// ErrNoRoom says that no memory is free for a request; ErrLargeBody and ErrCutBody what is wrong with its body.
var (
	ErrNoRoom    = errors.New("no memory is free for another request")
	ErrLargeBody = errors.New("the body is too large")
	ErrCutBody   = errors.New("the body could not be read to its end")
)

// Bodies reads the bodies of requests. Memory for one is taken from the process's budget as it comes, so who promises a
// large body and does not send it keeps nobody waiting.
//
// Bodies that each have a part of what they need could wait for each other for ever, and a small budget may have no room
// for one large body. So one at a time goes ahead: it gets all that it may still need at once, beyond the budget.
type Bodies struct {
	memory *memory.Holder
	ahead  chan *memory.Holder // has the one that has nothing, while no body goes ahead
	wait   time.Duration       // for memory
}

// NewBodies returns the bodies of a service. A nil budget has no bounds.
func NewBodies(b *memory.Budget) *Bodies {
	s := &Bodies{memory: b.Holder(), ahead: make(chan *memory.Holder, 1), wait: room}
	s.ahead <- b.Holder()
	return s
}

// Charge is what a body may take.
type Charge struct {
	Most  int64 // bytes that the body may have
	Share int64 // of memory for each of its bytes
	With  int64 // of memory that is taken with the last of it
	More  int64 // of memory that Take may ask for after that
}

// Body is a body that was read, and the memory that it holds.
type Body struct {
	Doc []byte

	of    *Bodies
	ctx   context.Context //nolint:containedctx // of the request, as long as its body
	from  io.Reader
	buf   *[]byte
	share int64
	with  int64 // to be taken with the last of it, so that whole bodies do not wait for each other's
	most  int64 // bytes that may come
	read  int64
	paid  int64 // for so many bytes of the body
	left  int64 // of memory that may still be taken
	rooms []*memory.Room
	first *memory.Holder // not nil: it goes ahead, and has all that it may need
}

// Read reads the body of a request. The caller releases it. The error is ErrNoRoom, ErrLargeBody or ErrCutBody.
func (s *Bodies) Read(ctx context.Context, r *http.Request, c Charge) (*Body, error) {
	if r.ContentLength > c.Most {
		return nil, ErrLargeBody
	}
	b := &Body{of: s, ctx: ctx, from: http.MaxBytesReader(nil, r.Body, c.Most), share: c.Share, with: c.With, most: r.ContentLength, buf: bodies.Get().(*[]byte)}
	if b.most < 0 {
		b.most = c.Most // sent in chunks
	}
	b.left = b.share*b.most + c.With + c.More
	var err error
	*b.buf, err = readAll((*b.buf)[:0], (*charged)(b), r.ContentLength)
	if err == nil && b.with > 0 { // it had no end, or nothing
		err = b.Take(b.with)
	}
	if err == nil {
		b.Doc = *b.buf
		return b, nil
	}
	b.Release()
	var large *http.MaxBytesError
	switch {
	case errors.Is(err, ErrNoRoom):
		// What is still sent is taken and dropped, or the connection would be cut before the client has read the answer.
		_, _ = io.CopyN(io.Discard, r.Body, c.Most)
		return nil, ErrNoRoom
	case errors.As(err, &large):
		return nil, ErrLargeBody
	}
	return nil, ErrCutBody
}

// Take takes memory beside that for the body; ErrNoRoom.
func (b *Body) Take(n int64) error {
	if b.first != nil || b.takeNow(n) {
		return nil
	}
	waiting, stop := context.WithTimeout(b.ctx, b.of.wait)
	defer stop()
	for waiting.Err() == nil {
		short, done := context.WithTimeout(waiting, turn)
		taken, err := b.of.memory.Take(short, n)
		done()
		if err == nil {
			b.hold(taken, n)
			return nil
		}
		select {
		case b.first = <-b.of.ahead:
			if taken, err = b.first.Take(waiting, max(b.left, n)); err != nil { // it has nothing, so it gets it
				return ErrNoRoom
			}
			b.hold(taken, b.left)
			return nil
		default:
		}
	}
	return ErrNoRoom
}

// now is the context of who does not wait.
var now = func() context.Context {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	return ctx
}()

// takeNow is Take if that is possible now.
func (b *Body) takeNow(n int64) bool {
	taken, err := b.of.memory.Take(now, n)
	if err == nil {
		b.hold(taken, n)
	}
	return err == nil
}

func (b *Body) hold(taken *memory.Room, n int64) {
	b.rooms, b.left = append(b.rooms, taken), max(0, b.left-n)
}

// keep gives back all memory but n bytes, as far as there are as many, and Doc with it.
func (b *Body) keep(n int64) {
	var kept []*memory.Room
	for _, r := range b.rooms {
		if len(kept) == 0 && r.Shrink(n) {
			kept = append(kept, r)
		} else {
			r.Give()
		}
	}
	b.rooms = kept
	b.forget()
}

// Release gives back the memory, and Doc with it. It may be called more than once.
func (b *Body) Release() {
	for _, r := range b.rooms {
		r.Give()
	}
	b.rooms = nil
	b.forget()
}

// forget gives back Doc, and lets another body go ahead.
func (b *Body) forget() {
	if b.first != nil {
		b.of.ahead <- b.first
		b.first = nil
	}
	if b.buf != nil {
		giveBack(b.buf)
		b.buf, b.Doc = nil, nil
	}
}

// charged is a body that is being read.
type charged Body

func (c *charged) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.read += int64(n)
	if c.read > c.paid {
		more := min(growth*c.read, max(c.most, c.read)) - c.paid
		room := c.share * more
		if c.paid += more; c.paid >= c.most {
			room, c.with = room+c.with, 0
		}
		if terr := (*Body)(c).Take(room); terr != nil {
			return n, terr
		}
	}
	return n, err
}

// bodies are buffers for bodies and answers.
var bodies = sync.Pool{New: func() any { return new([]byte) }}

// keep is the largest buffer that is kept for the next request.
const keep = 4 << 20

func giveBack(buf *[]byte) {
	if cap(*buf) <= keep {
		bodies.Put(buf)
	}
}

// readAll appends all of r to buf. Where the length is said, that much is read; it is allocated as it comes, with room
// for the blobs of a document.
func readAll(buf []byte, r io.Reader, length int64) ([]byte, error) {
	const first = 1 << 20
	whole := int(max(length+1, 512))
	whole += wire.BlobRoom(whole)
	if want := min(whole, first); cap(buf) < want {
		buf = make([]byte, 0, want)
	}
	for {
		if len(buf) == cap(buf) {
			more := make([]byte, len(buf), max(whole, 2*cap(buf))) // the first of it came; what does not come takes no memory
			copy(more, buf)
			buf = more
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}
