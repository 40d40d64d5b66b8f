package kinesis

import (
	"context"
	"time"

	"github.com/penstock/penstock/core"
)

// lagTime is how long a shard may take to say how far it is ahead.
const lagTime = 10 * time.Second

// Lag is the age of the first record after a sequence number; 0 where there is none. It asks once, and does not wait for a
// server that is away.
func (s *Source) Lag(ctx context.Context, id core.ShardID, after core.SequenceNumber) (time.Duration, error) {
	ctx, stop := context.WithTimeout(ctx, lagTime)
	defer stop()
	p := parsePosition(after)
	it, err := s.iterator(ctx, id, p.where())
	for err == nil && deref(it) != "" {
		page, perr := s.getRecords(ctx, id, it, 2) // the record itself may come first
		if err = perr; err != nil {
			break
		}
		for _, r := range page.Records {
			if p.kind != afterRecord || core.SequenceNumber(deref(r.SequenceNumber)) != p.seq {
				return max(0, time.Since(deref(r.ApproximateArrivalTimestamp))).Round(time.Millisecond), nil
			}
		}
		if behind(page.MillisBehindLatest) == 0 {
			return 0, nil
		}
		it = page.NextShardIterator
	}
	if err != nil {
		return 0, s.about(err)
	}
	return 0, nil
}

// Retention is how long the stream keeps records.
func (s *Source) Retention(context.Context) (time.Duration, error) { return s.retention(), nil }
