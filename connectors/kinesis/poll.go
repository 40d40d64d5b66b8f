package kinesis

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/penstock/penstock/connectors/internal/awserr"
	"github.com/penstock/penstock/core"
)

// poller reads a shard with GetRecords.
type poller struct {
	progress
	iterator *string
	gap      time.Duration // to the next read, longer each time that there was nothing
	ended    bool          // nothing follows
	children []types.ChildShard
}

// Next returns the records of one answer, waiting for some at the tip.
func (p *poller) Next(ctx context.Context) (core.Batch, error) {
	for {
		if err := p.waits(p.ended); err != nil {
			return core.Batch{}, err
		}
		if p.ended {
			return core.Batch{}, p.s.closed(ctx, p.shard.ID, p.children)
		}
		out, err := p.page(ctx)
		if err != nil {
			return core.Batch{}, err
		}
		p.iterator = out.NextShardIterator
		p.ended, p.children = deref(out.NextShardIterator) == "", out.ChildShards
		records, err := p.take(out.Records)
		if err != nil {
			return core.Batch{}, err
		}
		late := behind(out.MillisBehindLatest)
		p.saw(late, len(records) > 0)
		if p.gap = min(2*p.gap, mostGap); len(records) > 0 || late > 0 || p.gap == 0 {
			p.gap = leastGap
		}
		if len(records) > 0 {
			return p.read(records), nil
		}
	}
}

// page is the next answer, however often it has to be asked for.
func (p *poller) page(ctx context.Context) (*kinesis.GetRecordsOutput, error) {
	t := tries{s: p.s, what: "read " + string(p.shard.ID)}
	if err := core.Pause(ctx, p.gap); err != nil {
		return nil, err
	}
	for invalid := 0; ; {
		if p.iterator == nil {
			if err := p.begin(ctx); err != nil {
				return nil, err
			}
		}
		out, err := p.s.getRecords(ctx, p.shard.ID, p.iterator, 0)
		if err == nil {
			t.done()
			return out, nil
		}
		switch awserr.Code(err) {
		case codeExpired:
			p.iterator = nil
			continue
		case codeInvalid: // the server was made anew, perhaps, and does not know its own iterators
			if invalid++; invalid < maxInvalid {
				p.iterator = nil
				continue
			}
		case codeNotFound:
			return nil, p.s.missing(ctx, p.shard.ID, err)
		}
		if err := t.failed(ctx, err); err != nil {
			return nil, p.s.failure(ctx, err)
		}
	}
}

// maxInvalid is how many iterators are tried before it is believed that another would be as invalid.
const maxInvalid = 3

// begin gets an iterator at the reader's position.
func (p *poller) begin(ctx context.Context) (err error) {
	p.restart()
	p.iterator, err = p.s.iterator(ctx, p.shard.ID, p.at.where())
	return err
}

// Close does nothing.
func (p *poller) Close() error { return nil }

// failure is an error of a request that trying again does not help, or the end of the context.
func (s *Source) failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.about(err)
}

// getRecords is one read, at its turn.
func (s *Source) getRecords(ctx context.Context, id core.ShardID, iterator *string, limit int32) (out *kinesis.GetRecordsOutput, err error) {
	if err := s.calm.wait(ctx); err != nil {
		return nil, err
	}
	if err := s.pace.turn(ctx, id); err != nil {
		return nil, err
	}
	in := &kinesis.GetRecordsInput{ShardIterator: iterator}
	if limit > 0 {
		in.Limit = &limit
	}
	_, in.StreamARN = s.cfg.names()
	err = bounded(ctx, func(ctx context.Context) error {
		out, err = s.client.GetRecords(ctx, in)
		return err
	})
	if err == nil {
		s.calm.succeeded()
	}
	return out, err
}

// iterator is one that begins at a place.
func (s *Source) iterator(ctx context.Context, id core.ShardID, at types.StartingPosition) (it *string, err error) {
	what := "begin to read " + string(id)
	shard := string(id)
	in := &kinesis.GetShardIteratorInput{ShardId: &shard, ShardIteratorType: at.Type, StartingSequenceNumber: at.SequenceNumber, Timestamp: at.Timestamp}
	in.StreamName, in.StreamARN = s.cfg.names()
	if at.Timestamp != nil { // the API knows no time to come
		if err := core.Pause(ctx, time.Until(*at.Timestamp)); err != nil {
			return nil, err
		}
	}
	t := tries{s: s, what: what}
	for {
		err := bounded(ctx, func(ctx context.Context) error {
			out, err := s.client.GetShardIterator(ctx, in)
			if err == nil {
				it = out.ShardIterator
			}
			return err
		})
		switch {
		case err == nil:
			t.done()
			return it, nil
		case awserr.Code(err) == codeNotFound:
			return nil, s.missing(ctx, id, err)
		case awserr.Code(err) == codeInvalid && at.Timestamp != nil && time.Since(*at.Timestamp) < clockSkew:
			err = earlyError{err} // by the server's clock
		case awserr.Code(err) == codeInvalid && s.expired(id, in.StartingSequenceNumber): // AWS begins at the first record that is there
			in.ShardIteratorType, in.StartingSequenceNumber = types.ShardIteratorTypeTrimHorizon, nil
			continue
		case awserr.Code(err) == codeInvalid: // a number of another stream's that had the name, perhaps
			if ferr := s.try(ctx, what, s.refresh); ferr != nil {
				return nil, s.failure(ctx, ferr)
			}
		}
		if err := t.failed(ctx, err); err != nil {
			return nil, s.failure(ctx, err)
		}
	}
}

// expired reports whether a number that the server does not take is one of the shard's, so that its record must be gone.
func (s *Source) expired(id core.ShardID, seq *string) bool {
	sh, ok := s.cached(id)
	return ok && seq != nil && sameShard(core.SequenceNumber(*seq), sh.start)
}

// clockSkew is how far the server's clock may be behind.
const clockSkew = time.Minute

// earlyError says that a time has not come by the server's clock. It goes by itself.
type earlyError struct{ err error }

func (e earlyError) Error() string { return "the server's clock is behind: " + e.err.Error() }
