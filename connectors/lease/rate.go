package lease

import (
	"math"
	"time"
)

// trickle is a load, in bytes a second, that nothing is done for.
const trickle = 64 << 10

// rate measures bytes a second, smoothed.
type rate struct {
	since     time.Duration
	at        time.Duration
	bytes     int64
	perSecond float64
	noted     time.Duration // when the row was last to say it
}

// measure takes in how many bytes there were in all at a time. What is older counts less and less.
func (r *rate) measure(at time.Duration, bytes int64, over time.Duration) {
	d := at - r.at
	if d <= 0 {
		return
	}
	now := float64(bytes-r.bytes) / d.Seconds()
	young := d.Seconds() / (at - r.since).Seconds()
	r.perSecond += (now - r.perSecond) * max(young, 1-math.Exp(-d.Seconds()/over.Seconds()))
	r.at, r.bytes = at, bytes
}

// load is what a row says of the rate.
func (r *rate) load() int64 { return int64(r.perSecond) }

// noteworthy reports whether a row that says something else is to be written: the rate is another by a quarter at least,
// and more than a trickle, and it was not said for some time.
func (r *rate) noteworthy(says int64, at, failover time.Duration) bool {
	now := r.load()
	return at-r.noted >= 3*failover && apart(now, says) > max(now, says, trickle)/4
}
