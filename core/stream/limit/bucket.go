package limit

import "time"

// bucket is what may be used of a limit now. It may be overdrawn, which golang.org/x/time/rate has no way to say: a
// record may be larger than a second of its shard's bytes, and how large an answer is is known after the reading.
type bucket struct {
	rate  float64 // a second, and the most that it holds
	level float64
	at    time.Time // of level
}

func newBucket(rate float64, now time.Time) bucket { return bucket{rate, rate, now} }

func (b *bucket) fill(now time.Time) {
	if past := now.Sub(b.at); past > 0 {
		b.level = min(b.rate, b.level+past.Seconds()*b.rate)
		b.at = now
	}
}

// has reports whether n may be used. What is more than the bucket ever holds may be used when it is full.
func (b *bucket) has(n float64) bool { return b.level >= min(n, b.rate) }

func (b *bucket) use(n float64) { b.level -= n }

// owe uses n afterwards. What is more than a second's worth is not helped by what was saved up: 10 MiB at 2 MiB a
// second are owed for five seconds.
func (b *bucket) owe(n float64) {
	if n > b.rate {
		b.level = min(b.level, 0)
	}
	b.level -= n
}

// debt is how long it takes until nothing is owed.
func (b *bucket) debt() time.Duration {
	return time.Duration(max(0, -b.level) / b.rate * float64(time.Second))
}

func (b *bucket) full() bool { return b.level >= b.rate }
