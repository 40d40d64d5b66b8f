package kinesis

import (
	"context"
	"fmt"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/internal/awserr"
	"github.com/penstock/penstock/core"
)

// Resolve turns a start into the number of the position to read from; see the package's comment.
func (s *Source) Resolve(ctx context.Context, id core.ShardID, start connectors.Start) (core.SequenceNumber, error) {
	switch start.Kind {
	case connectors.StartTrimHorizon, "":
		return s.horizon(ctx, id)
	case connectors.StartLatest:
		return s.latest(ctx, id)
	case connectors.StartAt:
		if start.At.Before(time.Now().Add(-s.retention())) {
			return s.horizon(ctx, id)
		}
		return s.atTime(ctx, id, start.At)
	case connectors.StartAfter:
		return s.afterNumber(ctx, id, start)
	}
	return "", fmt.Errorf("start %q is none of trim_horizon, latest, at, after: %w", start.Kind, core.ErrInvalid)
}

// horizon is before the first record that is there. Where there is none, it is the shard's start, or now, if records of the
// shard may have expired.
func (s *Source) horizon(ctx context.Context, id core.ShardID) (core.SequenceNumber, error) {
	look, err := s.look(ctx, id, position{}, 1)
	if err != nil {
		return "", err
	}
	if look.first != "" {
		p, ok := before(look.first)
		if !ok {
			p = position{}
		}
		return p.number(), nil
	}
	if sh, ok := s.cached(id); ok && s.outlived(sh.start) {
		return position{kind: atTime, at: look.time}.number(), nil
	}
	return "", nil
}

// outlived reports whether a shard is older than its stream keeps records.
func (s *Source) outlived(start core.SequenceNumber) bool {
	at, ok := createdAt(start)
	return ok && time.Since(at) > s.retention()
}

// latest is after the newest record. Records of the server's present second are looked through, since its clock is only
// known by the second; where there are none, that second is the position.
func (s *Source) latest(ctx context.Context, id core.ShardID) (core.SequenceNumber, error) {
	end, err := s.look(ctx, id, position{kind: atLatest}, 1)
	if err != nil {
		return "", err
	}
	if end.first != "" { // it came since
		if p, ok := before(end.first); ok {
			return p.number(), nil
		}
	}
	p := position{kind: atTime, at: end.time}
	look, err := s.look(ctx, id, p, 0)
	if err != nil || look.last == "" {
		return p.number(), err
	}
	return look.last, nil
}

// atTime is before the first record that arrived at a time or later; where there is none yet, that time.
func (s *Source) atTime(ctx context.Context, id core.ShardID, at time.Time) (core.SequenceNumber, error) {
	p := position{kind: atTime, at: at}
	if at.After(time.Now().Add(-clockSkew)) {
		return p.number(), nil
	}
	look, err := s.look(ctx, id, p, 1)
	if err != nil || look.first == "" {
		return p.number(), err
	}
	if b, ok := before(look.first); ok {
		p = b
	}
	return p.number(), nil
}

// afterNumber is after a record, or within it: the record is read then, and its beginning passed over.
func (s *Source) afterNumber(ctx context.Context, id core.ShardID, start connectors.Start) (core.SequenceNumber, error) {
	p := after(start.After)
	if _, err := s.iterator(ctx, id, p.where()); err != nil {
		return "", fmt.Errorf("start after %s: %w", start.After, err)
	}
	if start.Sub != nil {
		var ok bool
		if p, ok = before(start.After); !ok {
			return "", fmt.Errorf("start after %s: sub_sequence needs a sequence number as AWS gives them: %w", start.After, core.ErrInvalid)
		}
	}
	return p.number(), nil
}

// Gap is what of the records after a sequence number nobody can read any more, as far as that can be told.
func (s *Source) Gap(ctx context.Context, id core.ShardID, from core.SequenceNumber) (connectors.Gap, error) {
	gap := connectors.Gap{From: from}
	sh, err := s.shard(ctx, id)
	if err != nil {
		return gap, err
	}
	p := parsePosition(from)
	switch p.kind {
	case atStart:
		if !s.outlived(sh.start) {
			return gap, nil
		}
	case atTime:
		if p.at.After(time.Now().Add(-s.retention())) {
			return gap, nil
		}
	case afterRecord, beforeRecord, atLatest:
	}
	look, err := s.look(ctx, id, p, 1)
	if err != nil || look.first == "" {
		return gap, err
	}
	if p.kind == atStart || p.kind == atTime || p.missed(look.first) {
		if b, ok := before(look.first); ok {
			gap.Through = b.number()
		}
	}
	return gap, nil
}

// looked is what was seen of a shard.
type looked struct {
	first, last core.SequenceNumber // empty: no record
	time        time.Time           // of the server when it answered, by the second
}

// look reads a shard from a position on, through what was there when it began, or so many records at most.
func (s *Source) look(ctx context.Context, id core.ShardID, p position, most int32) (out looked, err error) {
	it, err := s.iterator(ctx, id, p.where())
	if err != nil {
		return out, err
	}
	t := tries{s: s, what: "look at " + string(id)}
	for began := time.Now(); deref(it) != ""; {
		page, err := s.getRecords(ctx, id, it, most)
		switch {
		case awserr.Code(err) == codeNotFound:
			return out, s.missing(ctx, id, err)
		case err != nil:
			if err := t.failed(ctx, err); err != nil {
				return out, s.failure(ctx, err)
			}
			continue
		}
		t.done()
		out.see(page)
		it = page.NextShardIterator
		if most > 0 && out.first != "" || behind(page.MillisBehindLatest) <= time.Since(began) && (most == 0 || behind(page.MillisBehindLatest) == 0) {
			break
		}
	}
	return out, nil
}

func behind(ms *int64) time.Duration { return time.Duration(deref(ms)) * time.Millisecond }

func (l *looked) see(page *kinesis.GetRecordsOutput) {
	if n := len(page.Records); n > 0 {
		if l.first == "" {
			l.first = core.SequenceNumber(deref(page.Records[0].SequenceNumber))
		}
		l.last = core.SequenceNumber(deref(page.Records[n-1].SequenceNumber))
	}
	if at, ok := awsmiddleware.GetServerTime(page.ResultMetadata); ok && l.time.IsZero() {
		l.time = at.Truncate(time.Second)
	} else if l.time.IsZero() {
		l.time = time.Now().Truncate(time.Second)
	}
}
