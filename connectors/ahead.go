package connectors

import (
	"context"
	"runtime"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/memory"
)

// decoding is a batch on its way through the decoder and the stages, beside those before and after it.
type decoding struct {
	raw  core.Batch
	room *memory.Room
	err  error // of reading: nothing follows

	done    chan struct{}
	outcome outcome // under the schema that was the newest when it began; its bound is nil where there was none
	failed  error   // of that run
}

// drop gives up a batch that nobody wants.
func (d *decoding) drop() {
	<-d.done
	if d.err != nil {
		return
	}
	if d.failed == nil {
		d.outcome.rows.Release()
	}
	d.raw.Release()
	d.room.Give()
}

// readAhead reads a shard up to its target and begins to run its batches, as many at once as there are processors. They
// come in order, and the reader is not used any more when the channel is closed.
func (s *session) readAhead(ctx context.Context, r *reading, in Reader) <-chan *decoding {
	out := make(chan *decoding, runtime.GOMAXPROCS(0)-1)
	go func() {
		defer close(out)
		for {
			s.w.cfg.Events.asked(r.shard.ID)
			d := &decoding{done: make(chan struct{})}
			d.raw, d.room, d.err = s.next(ctx, in)
			last := d.err != nil || r.target != "" && d.raw.Span.Last.Compare(r.target) >= 0
			d.begin(ctx, s.w.schemas.current())
			select {
			case out <- d:
			case <-ctx.Done():
				d.drop()
				return
			}
			if last {
				return
			}
		}
	}()
	return out
}

// begin starts to run the batch under b. It does not widen the schema: that is done in order.
func (d *decoding) begin(ctx context.Context, b *bound) {
	if d.err != nil || b == nil {
		close(d.done)
		return
	}
	go func() {
		defer close(d.done)
		d.outcome, d.failed = b.run(ctx, d.raw)
		d.outcome.bound = b
	}()
}

// settle is what became of a batch under the newest schema, which it widens first if the batch asks for it.
func (s *session) settle(ctx context.Context, d *decoding) (outcome, error) {
	<-d.done
	o, err := d.outcome, d.failed
	for {
		b := s.w.schemas.current()
		if b != nil && o.bound == b && (err != nil || !o.drift) {
			return o, err
		}
		if b == nil || o.bound == b {
			wider, werr := s.w.schemas.widen(ctx, d.raw)
			if werr == nil && wider == o.bound {
				return o, nil
			}
			if werr != nil {
				o.rows.Release()
				return outcome{}, werr
			}
			b = wider
		}
		if err == nil {
			o.rows.Release()
		}
		o, err = b.run(ctx, d.raw)
		o.bound = b
	}
}
