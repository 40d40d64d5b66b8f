package sealing

import (
	"container/list"
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// ringSize is how many data keys are held open. One is used by many records, so others can be fetched when needed.
	ringSize = 4096
	// freshFor is how long a data key is used before its master key is asked again. It is how long one that was disabled
	// still opens what it wrapped.
	freshFor = 5 * time.Minute
	// askAgain is how long an open data key is used after its master key could not be asked.
	askAgain = 30 * time.Second
	// patience is how long a call for a data key that is open waits to hear that it may be used.
	patience = 2 * time.Second
	// longest is how long data keys are waited for that nobody has open.
	longest = 10 * time.Second
)

// Ring holds data keys open: what they encrypt is used on while their master keys cannot be reached. A master key that
// refuses closes its data keys within five minutes. It is safe for concurrent use.
type Ring struct {
	masters Masters
	flights singleflight.Group // of names

	mu    sync.Mutex // guards what follows
	open  map[string]*list.Element
	order *list.List // of *held, the one used last in front
}

type held struct {
	name string
	key  *Key
	ask  time.Time // when its master key is asked again
}

// NewRing returns an empty ring.
func NewRing(m Masters) *Ring {
	return &Ring{masters: m, open: map[string]*list.Element{}, order: list.New()}
}

// Stored is where a data key stands.
type Stored func(ctx context.Context) (Wrapped, error)

// Open returns the data key of a name, which belongs to of. What is stored is read when the key is not open, and again
// from time to time.
func (r *Ring) Open(ctx context.Context, name, of string, stored Stored) (*Key, error) {
	key, ask := r.find(name, time.Now())
	if key != nil && !ask {
		return key, nil
	}
	waiting := ctx
	if key != nil {
		var stop context.CancelFunc
		waiting, stop = context.WithTimeout(ctx, patience)
		defer stop()
	}
	select {
	case done := <-r.flights.DoChan(name, func() (any, error) { return r.unwrap(context.WithoutCancel(ctx), name, of, stored) }):
		if done.Err == nil {
			return done.Val.(*Key), nil
		}
		if key == nil || !Brief(done.Err) {
			return nil, done.Err
		}
	case <-waiting.Done():
		if key == nil {
			return nil, context.Cause(ctx)
		}
	}
	return key, nil
}

// unwrap opens a data key and keeps it, or closes it if its master key refuses.
func (r *Ring) unwrap(ctx context.Context, name, of string, stored Stored) (*Key, error) {
	ctx, stop := context.WithTimeoutCause(ctx, longest, ErrUnreachable)
	defer stop()
	w, err := stored(ctx)
	if err != nil {
		return nil, err
	}
	text, err := r.masters.Unwrap(ctx, of, w)
	if err != nil {
		if !Brief(err) {
			r.drop(name)
		}
		return nil, err
	}
	key, err := NewKey(text)
	if err == nil {
		r.Keep(name, key)
	}
	return key, err
}

// find is an open data key. One caller is told to ask for it again when it is time.
func (r *Ring) find(name string, now time.Time) (key *Key, ask bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.open[name]
	if !ok {
		return nil, true
	}
	r.order.MoveToFront(e)
	h := e.Value.(*held)
	if ask = !now.Before(h.ask); ask {
		h.ask = now.Add(askAgain)
	}
	return h.key, ask
}

// Keep holds a data key open, such as a new one.
func (r *Ring) Keep(name string, key *Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(name)
	r.open[name] = r.order.PushFront(&held{name, key, time.Now().Add(freshFor)})
	if len(r.open) > ringSize {
		r.forget(r.order.Back().Value.(*held).name)
	}
}

func (r *Ring) drop(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(name)
}

// forget closes a data key. The caller holds r.mu.
func (r *Ring) forget(name string) {
	if e, ok := r.open[name]; ok {
		r.order.Remove(e)
		delete(r.open, name)
	}
}

// Masters are the master keys.
func (r *Ring) Masters() Masters { return r.masters }
