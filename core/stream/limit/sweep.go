package limit

import "time"

// firstSweep is how many shards, consumers and operations are remembered before those that need not be are looked for.
const firstSweep = 1024

// sweep forgets whose buckets are full, each time there are twice as many as were left the time before. The caller holds
// l.mu.
func (l *Limiter) sweep(now time.Time) {
	if l.entries() < l.sweepAt {
		return
	}
	for k, s := range l.shards {
		if full(now, &s.writeBytes, &s.writeRecords, &s.readBytes, &s.readCalls, &s.iterators) {
			delete(l.shards, k)
		}
	}
	for k, c := range l.consumers {
		if full(now, &c.calls, &c.bytes) {
			delete(l.consumers, k)
		}
	}
	for k, b := range l.calls {
		if full(now, b) {
			delete(l.calls, k)
		}
	}
	l.sweepAt = max(firstSweep, 2*l.entries())
}

func (l *Limiter) entries() int { return len(l.shards) + len(l.consumers) + len(l.calls) }

func full(now time.Time, all ...*bucket) bool {
	for _, b := range all {
		if b.fill(now); !b.full() {
			return false
		}
	}
	return true
}
