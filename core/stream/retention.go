package stream

import (
	"sync"
	"time"

	"github.com/penstock/penstock/core/shardlog"
)

// Nothing is deleted because a clock jumped: what has expired stays for this long of monotonic time, and while the wall
// clock and the monotonic one disagree by more than maxSkew since the store was opened, all of it stays.
const (
	expiredStays = 10 * time.Minute
	maxSkew      = time.Minute
)

// retention says what time it is for the trim horizon, and when what has expired may be deleted. The horizon itself is
// logical: a record that is before it is not read, whether it is still stored or not.
type retention struct {
	started time.Time // both clocks

	mu    sync.Mutex // guards marks
	marks map[shardlog.LogID]mark
}

// mark says how much of a log was found expired, and when by the monotonic clock. There is one a log, so what expires
// after it waits for the next one.
type mark struct {
	since time.Time
	expired
}

// expired is what of a log is past its retention.
type expired struct {
	before shardlog.Pos // its entries before it
	whole  bool         // all of it, and nothing more will come
}

func newRetention() *retention {
	return &retention{started: time.Now(), marks: map[shardlog.LogID]mark{}}
}

// skew is how far the wall clock is ahead of what the monotonic one says it should be.
func (r *retention) skew(wall time.Time) time.Duration {
	return wall.Round(0).Sub(r.started.Round(0)) - time.Since(r.started)
}

// agree reports whether the clocks do.
func (r *retention) agree(wall time.Time) bool { return r.skew(wall).Abs() <= maxSkew }

// now is the time by which records expire: the wall clock's, but a jump ahead hides nothing.
func (r *retention) now(wall time.Time) time.Time {
	if skew := r.skew(wall); skew > maxSkew {
		wall = wall.Add(maxSkew - skew)
	}
	return wall
}

// due takes what of a log is expired now, and returns what of it has been so for long enough.
func (r *retention) due(id shardlog.LogID, now expired) expired {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.marks[id]
	if !ok {
		r.marks[id] = mark{time.Now(), now}
		return expired{}
	}
	if time.Since(m.since) < expiredStays {
		return expired{}
	}
	r.marks[id] = mark{time.Now(), now}
	// What a longer retention brought back stays.
	return expired{min(m.before, now.before), m.whole && now.whole}
}

// forget drops what is known of a log that is gone.
func (r *retention) forget(id shardlog.LogID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.marks, id)
}

// horizon is the time before which no record can be read.
func (s *Store) horizon(keep time.Duration) time.Time {
	return s.retention.now(time.Now()).Add(-keep)
}
