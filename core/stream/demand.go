package stream

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/stream/limit"
)

// An on-demand stream grows as its traffic does. Every put counts what was put; the tick that trims looks at the
// peaks since the one before.

// flow is how much went to a shard or stream.
type flow struct{ bytes, records int64 }

// capacity is what one shard is made for in a second, as Kinesis has it.
var capacity = flow{limit.WriteBytes, limit.WriteRecords}

// above reports whether a flow is more than a part of what so many shards are made for.
func (f flow) above(shards, part int) bool {
	n, d := int64(shards), int64(part)
	return f.bytes*d > n*capacity.bytes || f.records*d > n*capacity.records
}

func (f *flow) add(g flow) { f.bytes, f.records = f.bytes+g.bytes, f.records+g.records }

func (f *flow) raise(g flow) { f.bytes, f.records = max(f.bytes, g.bytes), max(f.records, g.records) }

// meterWindow is the time that a rate is the mean of.
const meterWindow = 10 * time.Second

// meter measures the rates at which a stream's shards are put to.
type meter struct {
	mu    sync.Mutex // guards what follows
	began time.Time  // of the window
	now   map[core.ShardID]flow
	peak  flow                  // a second, of the whole stream, in a window since it was taken
	peaks map[core.ShardID]flow // likewise, of each shard
}

// roll ends the window if it is over. The caller holds m.mu.
func (m *meter) roll(now time.Time) {
	if now.Sub(m.began) < meterWindow {
		return
	}
	if m.peaks == nil {
		m.peaks = map[core.ShardID]flow{}
	}
	var all flow
	for id, f := range m.now {
		all.add(f)
		p := m.peaks[id]
		p.raise(f.second())
		m.peaks[id] = p
	}
	m.peak.raise(all.second())
	m.began, m.now = now, map[core.ShardID]flow{}
}

func (f flow) second() flow {
	n := int64(meterWindow / time.Second)
	return flow{f.bytes / n, f.records / n}
}

// count notes what became of a put. What a shard's limits refused counts as well: else a shard that is held to its
// limits would never be seen to need more.
func (m *meter) count(now time.Time, records []Record, results []Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.roll(now)
	for i, r := range results {
		if r.Err == nil || errors.Is(r.Err, core.ErrThrottled) {
			f := m.now[r.Shard]
			f.add(flow{int64(len(records[i].Key) + len(records[i].Data)), 1})
			m.now[r.Shard] = f
		}
	}
}

// take returns the peaks since it was called last.
func (m *meter) take(now time.Time) (peak flow, peaks map[core.ShardID]flow) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.roll(now)
	peak, peaks = m.peak, m.peaks
	m.peak, m.peaks = flow{}, nil
	return peak, peaks
}

// measure counts a put to an on-demand stream.
func (s *Stream) measure(v *view, records []Record, results []Result) {
	if v.Mode == OnDemand {
		s.meter.count(time.Now(), records, results)
	}
}

// grow gives an on-demand stream more shards if its traffic since the last call was near what they are made for: twice
// as many if the whole stream's was, else a shard whose own was beyond it is split.
func (s *Store) grow(ctx context.Context, info Info, now time.Time) error {
	s.mu.Lock()
	st := s.open[info.ID]
	s.mu.Unlock()
	if st == nil || info.Mode != OnDemand || info.Status(now) != Active {
		return nil
	}
	peak, peaks := st.meter.take(now)
	open := info.OpenShards()
	most := max(MaxOnDemand, info.Warm)
	if peak.above(open, 2) && open < most {
		err := st.amend(ctx, func(i *Info) error {
			if i.Mode != OnDemand || i.Status(now) != Active || i.OpenShards() != open {
				return errSame
			}
			return i.scale(min(2*open, most, MaxShards), now)
		})
		if err == nil {
			err = st.FinishScaling(ctx)
		}
		return tolerate(err)
	}
	for _, sh := range info.Shards {
		if sh.Closed || open >= most || !peaks[sh.ID].above(1, 1) || !wide(sh.Range, open) {
			continue
		}
		if _, err := st.Split(ctx, sh.ID, nil); err != nil {
			return tolerate(err)
		}
		open++
	}
	return nil
}

// narrowest is how many times a shard may be smaller than it would be if all were even: where one partition key is hot,
// no split helps.
const narrowest = 256

// wide reports whether a range is worth to be split.
func wide(r core.HashRange, open int) bool {
	return r.End.Hi-r.Start.Hi >= math.MaxUint64/uint64(narrowest*open) //nolint:gosec // not negative
}

// tolerate passes over what keeps a stream from growing and is nobody's fault.
func tolerate(err error) error {
	if err == nil || errors.Is(err, ErrLimit) || errors.Is(err, ErrBusy) || errors.Is(err, ErrShardClosed) {
		return nil
	}
	return fmt.Errorf("grow: %w", err)
}
