package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/sealing"
)

// renewAgain is how long after a new data key could not be had it is asked for again.
const renewAgain = time.Minute

// usesAtOnce is how many uses of a data key a process takes for itself at one time. What it does not come to is lost.
const usesAtOnce = 1 << 20

// keyUse is what this process used a stream's newest data key for.
type keyUse struct {
	mu     sync.Mutex // guards what follows
	key    int64
	left   int64 // uses that were taken
	bytes  int64
	asking bool
	again  time.Time // not before is a new data key asked for
}

// count counts records that are encrypted. The caller takes more uses if short, and has a new data key made if worn.
func (u *keyUse) count(e *Encryption, l KeyLimits, records, bytes int, now time.Time) (short, worn bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case e.Key < u.key:
		return false, false // there is a newer one already
	case e.Key > u.key:
		u.key, u.left, u.bytes, u.again = e.Key, 0, 0, time.Time{}
	}
	u.left -= int64(records)
	u.bytes += int64(bytes)
	worn = e.Uses >= sealing.MaxUses || u.bytes > l.Bytes || now.Sub(e.Since) > l.Age
	worn = worn && !u.asking && !now.Before(u.again)
	u.asking = u.asking || worn
	return u.left < 0, worn
}

func (u *keyUse) asked(again time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asking, u.again = false, again
}

// renew counts what is encrypted by a data key, and has a new one made for later when it was used for long or for much.
// While none can be had the old one goes on being used, but never more often than is safe.
func (s *Stream) renew(ctx context.Context, e *Encryption, records, bytes int) error {
	short, worn := s.used.count(e, s.store.keyLimits, records, bytes, time.Now())
	if worn {
		s.newKeyFor(ctx, e)
	}
	if !short {
		return nil
	}
	err := s.amend(ctx, func(i *Info) error {
		now := i.Encryption
		if now == nil || now.Key != e.Key {
			return errSame
		}
		if now.Uses >= 2*sealing.MaxUses {
			return fmt.Errorf("the data key of stream %s was used as often as it may be, and there is no new one: %w", s.name, sealing.ErrState)
		}
		now.Uses += usesAtOnce
		return nil
	})
	if err == nil {
		s.used.mu.Lock()
		defer s.used.mu.Unlock()
		if s.used.key == e.Key {
			s.used.left += usesAtOnce
		}
	}
	return err
}

// newKeyFor makes a data key in the place of one, unless somebody has already.
func (s *Stream) newKeyFor(ctx context.Context, e *Encryption) {
	ctx, stop := context.WithTimeout(ctx, renewPatience)
	defer stop()
	err := s.newKey(ctx, e.Master, func(i *Info) error {
		if i.Encryption == nil || i.Encryption.Key != e.Key {
			return errSame
		}
		return nil
	})
	again := time.Time{}
	if err != nil {
		again = time.Now().Add(renewAgain)
	}
	s.used.asked(again)
}

// renewPatience is how long the put that happens to need a new data key waits for it.
const renewPatience = 5 * time.Second

// Rewrap wraps all data keys of the stream by another master key, so that the ones that wrapped them before are not needed
// any more. Records stay as they are. If what is put is encrypted, it is so under that master key from now on.
func (s *Stream) Rewrap(ctx context.Context, master string) error {
	m, err := s.store.masters("rewrap stream " + string(s.name))
	if err != nil {
		return err
	}
	for {
		info, err := s.Info(ctx)
		if err != nil {
			return err
		}
		writes, err := s.rewrapped(ctx, m, master, info)
		if err != nil {
			return fmt.Errorf("rewrap stream %s: %w", s.name, err)
		}
		err = s.amendWith(ctx, func(i *Info) ([]control.Write, error) {
			if i.Keys != info.Keys {
				return nil, errMoreKeys
			}
			if i.Encryption != nil {
				i.Encryption.Master = master
			}
			return writes, nil
		})
		if !errors.Is(err, errMoreKeys) {
			return err
		}
	}
}

var errMoreKeys = errors.New("there is another data key")

// rewrapped are the rows of a stream's data keys, as another master key wraps them.
func (s *Stream) rewrapped(ctx context.Context, m sealing.Masters, master string, info Info) ([]control.Write, error) {
	var writes []control.Write
	for n := int64(1); n <= info.Keys; n++ {
		old, err := s.store.wrapped(ctx, dataKeyAt(s.id, n))
		if err != nil {
			return nil, err
		}
		text, err := m.Unwrap(ctx, s.id, old)
		if err != nil {
			return nil, fmt.Errorf("unwrap data key %d: %w", n, err)
		}
		fresh, err := m.Wrap(ctx, master, s.id, text)
		if err != nil {
			return nil, fmt.Errorf("wrap data key %d: %w", n, err)
		}
		w, err := writeDataKey(s.id, n, fresh)
		if err != nil {
			return nil, err
		}
		writes = append(writes, w)
	}
	return writes, nil
}
