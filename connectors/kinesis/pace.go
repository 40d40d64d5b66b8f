package kinesis

import (
	"context"
	"sync"
	"time"

	"github.com/penstock/penstock/core"
)

const (
	readsASecond = 5 // of GetRecords a shard, as AWS allows
	leastGap     = time.Second / readsASecond
	mostGap      = time.Second // between two reads at the tip
)

// pace holds the readers of each shard to the reads that AWS allows in a second.
type pace struct {
	mu    sync.Mutex // guards reads
	reads map[core.ShardID][]time.Time
}

// turn waits until a shard may be read, and counts that as a read.
func (p *pace) turn(ctx context.Context, shard core.ShardID) error {
	for {
		p.mu.Lock()
		now := time.Now()
		last := p.reads[shard]
		wait := time.Duration(0)
		if len(last) >= readsASecond {
			wait = last[0].Add(time.Second).Sub(now)
		}
		if wait <= 0 {
			if len(last) >= readsASecond {
				last = last[1:]
			}
			p.reads[shard] = append(last[:len(last):len(last)], now)
			p.mu.Unlock()
			return nil
		}
		p.mu.Unlock()
		if err := core.Pause(ctx, wait); err != nil {
			return err
		}
	}
}

// forget drops what is known of a shard that ended.
func (p *pace) forget(shard core.ShardID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.reads, shard)
}

// calming makes all readers of a stream slower when one of them is throttled, and faster again with each success.
type calming struct {
	mu    sync.Mutex // guards delay
	delay time.Duration
}

const (
	leastDelay = 50 * time.Millisecond
	mostDelay  = 2 * time.Second
)

func (c *calming) refused() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delay = min(max(2*c.delay, leastDelay), mostDelay)
}

func (c *calming) succeeded() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.delay = c.delay * 3 / 4; c.delay < leastDelay {
		c.delay = 0
	}
}

// wait waits for the delay that there is now, with jitter.
func (c *calming) wait(ctx context.Context) error {
	c.mu.Lock()
	d := c.delay
	c.mu.Unlock()
	if d == 0 {
		return nil
	}
	return core.Pause(ctx, core.Jitter(d))
}
