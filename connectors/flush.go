package connectors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/memory"
	"github.com/penstock/penstock/core/shardlog"
)

// Why a flush closed.
const (
	reasonBytes    = "bytes"
	reasonRecords  = "records"
	reasonAge      = "age"
	reasonSize     = "size"    // an output reached the target file size
	reasonOutputs  = "outputs" // as many outputs or spans as a plan may have
	reasonMemory   = "memory"
	reasonShardEnd = "shard_end"
	reasonTrimmed  = "trimmed"   // what comes next went before it was read
	reasonHandOver = "hand_over" // another worker asks for a shard
	reasonEnd      = "end"       // of a finite source, or caught up
	reasonPaused   = "paused"
	reasonShutdown = "shutdown"
)

// Bounds of one plan.
const (
	maxSpans       = 1000
	maxLetterBytes = 64 << 20
)

// place is where a shard's consumption stands when a flush begins.
type place struct {
	source    string
	from      core.SequenceNumber
	proofFrom core.SequenceNumber
	carried   Counts
	lost      []Gap // since proofFrom
}

// flush gathers the rows of one plan-to-be. The rows go to the sink's staging at once. When the schema grows, what is
// staged was made under the old one: the flush is stale, and is rebuilt from its spans when it closes.
type flush struct {
	number  int64
	bound   *bound
	staging Staging
	stale   bool
	spans   map[core.ShardID]*PlanSpan
	letters []DeadLetter
	held    int64 // bytes of letters, also of those that a stale flush will have
	bytes   int64
	records int64
	opened  time.Time
	memory  *memory.Account
}

// stage opens the staging of a flush, under its number and schema.
// With a bound, that of its outputs is kept.
func (w *Worker) stage(ctx context.Context, number int64, b *bound, maxOutputs int) (Staging, error) {
	var st Staging
	err := w.retry(ctx, "stage", func() (err error) {
		st, err = b.program.Sink.Stage(ctx, Flush{
			Pipeline: w.cfg.Pipeline, Incarnation: w.incarnation, Number: number, Schema: b.output, MaxOutputs: maxOutputs,
			Memory: w.cfg.Memory.Staging(), Scratch: w.cfg.Scratch,
		})
		return err
	})
	return st, err
}

// newFlush reserves a number and opens a staging under b.
func (w *Worker) newFlush(ctx context.Context, b *bound) (*flush, error) {
	number, err := w.planner.reserve(ctx)
	if err != nil {
		return nil, err
	}
	st, err := w.stage(ctx, number, b, MaxOutputs)
	if err != nil {
		return nil, err
	}
	return &flush{
		number: number, bound: b, staging: st, spans: map[core.ShardID]*PlanSpan{}, opened: time.Now(), memory: w.memory.Account(),
	}, nil
}

// span is the flush's part of a shard, begun at p if it is new.
func (f *flush) span(shard core.ShardID, p place) *PlanSpan {
	s := f.spans[shard]
	if s == nil {
		s = &PlanSpan{
			Source: p.source, Shard: shard, From: p.from, Through: p.from, ProofFrom: p.proofFrom, Counts: p.carried, Lost: p.lost,
		}
		f.spans[shard] = s
	}
	return s
}

// add takes what became of raw. An OutputsError leaves the flush as it was.
func (f *flush) add(ctx context.Context, w *Worker, raw core.Batch, o outcome, p place) error {
	if o.bound != f.bound {
		if err := f.makeStale(w); err != nil {
			return err
		}
		if o.bound.version > f.bound.version {
			f.bound = o.bound
		}
	}
	_, begun := f.spans[raw.Shard]
	s := f.span(raw.Shard, p)
	if err := f.put(ctx, w, s, raw, o); err != nil {
		if !begun {
			delete(f.spans, raw.Shard)
		}
		return err
	}
	s.Through = raw.Span.Last
	f.bytes += raw.Bytes
	f.records += raw.Records
	return nil
}

// put stages rows; those of a stale flush are only looked at, for the outputs that they will need.
func (f *flush) put(ctx context.Context, w *Worker, s *PlanSpan, raw core.Batch, o outcome) error {
	if f.stale {
		if fitter, ok := f.staging.(Fitter); ok && o.rows.NumRows() > 0 {
			if err := fitter.Fit(o.rows); err != nil {
				return err
			}
		}
		f.hold(o.bound.program.letters(w.cfg.Pipeline, w.incarnation, s.Source, raw, o))
		return nil
	}
	letters, err := stageRows(ctx, w, f.staging, s, raw, o)
	switch full := (*OutputsError)(nil); {
	case err == nil:
	case IsPermanent(err), ctx.Err() != nil, errors.As(err, &full):
		return err
	default:
		// A full disk, say. The span is read again when the flush closes, as often as it takes.
		w.cfg.Events.retry("stage", 1, 0, err)
		return f.makeStale(w)
	}
	f.letters = append(f.letters, letters...)
	f.hold(letters)
	f.weigh()
	return nil
}

// hold counts letters.
func (f *flush) hold(letters []DeadLetter) {
	for _, l := range letters {
		f.held += l.size()
	}
}

// weigh tells the process's memory what the flush holds.
func (f *flush) weigh() {
	n := f.staging.Stats().Memory
	if !f.stale {
		n += f.held
	}
	f.memory.Set(n)
}

// spill moves rows out of memory, where there are enough for it to help, and asks anew whether memory is short.
func (f *flush) spill(ctx context.Context, w *Worker) error {
	if f.stale {
		return nil
	}
	err := w.spill(ctx, f.staging)
	switch {
	case err == nil:
	case IsPermanent(err), ctx.Err() != nil:
		return err
	default:
		w.cfg.Events.retry("stage", 1, 0, err)
		return f.makeStale(w)
	}
	f.weigh()
	f.memory.Reconsider()
	return nil
}

// spill moves rows of a staging out of memory. A little is not worth it: the rest is another flush's.
func (w *Worker) spill(ctx context.Context, st Staging) error {
	sp, ok := st.(Spiller)
	if !ok || st.Stats().Memory < w.cfg.Memory.Staging()/4 {
		return nil
	}
	return sp.Spill(ctx)
}

// discard gives up a flush that is not planned, and its memory.
func (f *flush) discard() error {
	f.memory.Close()
	return f.staging.Discard()
}

// makeStale drops what is staged; the spans stay.
func (f *flush) makeStale(w *Worker) error {
	if f.stale {
		return nil
	}
	f.stale = true
	f.letters = nil // and made anew with the rows
	err := f.staging.Discard()
	f.weigh()
	w.cfg.Events.stale(w.cfg.Pipeline)
	return err
}

// stageRows gives rows to the staging, counts them in s, and returns the dead letters. The ledger is checked here: a
// row that no count explains stops the pipeline.
func stageRows(ctx context.Context, w *Worker, st Staging, s *PlanSpan, raw core.Batch, o outcome) ([]DeadLetter, error) {
	o.verdicts.Stage = "sink"
	refused := len(o.verdicts.Refused)
	if o.rows.NumRows() > 0 {
		if err := st.Add(ctx, o.rows, &o.verdicts); err != nil {
			return nil, fmt.Errorf("stage rows of %s: %w", raw.Shard, err)
		}
	}
	dead := int64(len(o.verdicts.Refused))
	c := Counts{
		Records: raw.Records, Rows: o.decoded, Filtered: o.verdicts.Filtered, Null: o.verdicts.Null, Dead: dead,
		Written: o.rows.NumRows() - (dead - int64(refused)), Strays: o.unpacked.strayed(),
	}
	if !c.Balanced() {
		return nil, Permanent(fmt.Errorf("the ledger of records %s to %s of %s does not balance: %+v", raw.Span.First, raw.Span.Last, raw.Shard, c))
	}
	s.Counts = s.Counts.Add(c)
	w.futile.see(w.cfg.Events, c, o.verdicts.Refused)
	if c.Strays > 0 {
		w.cfg.Events.strays(raw.Shard, c.Strays)
	}
	return w.letters(o.bound.program, w.incarnation, s.Source, raw, o), nil
}

// full is the reason to close the flush now, or empty.
func (f *flush) full(cfg *WorkerConfig) string {
	st := f.staging.Stats()
	switch {
	case f.bytes >= int64(cfg.Buffer.MaxBytes):
		return reasonBytes
	case f.records >= cfg.Buffer.MaxRecords:
		return reasonRecords
	case cfg.TargetFileSize > 0 && !f.stale && st.Largest >= int64(cfg.TargetFileSize):
		return reasonSize
	case st.Outputs >= MaxOutputs, len(f.spans) >= mostShards(cfg.Store):
		return reasonOutputs
	case f.held >= maxLetterBytes, f.memory.IsFull():
		return reasonMemory
	}
	return ""
}

// sortedSpans are the flush's spans in order of shard.
func (f *flush) sortedSpans() []PlanSpan {
	out := make([]PlanSpan, 0, len(f.spans))
	for _, s := range f.spans {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b PlanSpan) int { return cmp.Compare(a.Shard, b.Shard) })
	return out
}

// rebuild makes a stale flush anew from its spans, under the newest schema it met. Its counts begin at the carried ones.
func (f *flush) rebuild(ctx context.Context, w *Worker, places map[core.ShardID]place) error {
	if err := f.staging.Discard(); err != nil { // of the try before
		return err
	}
	st, err := w.stage(ctx, f.number, f.bound, 0) // they were counted when the rows came
	if err != nil {
		return err
	}
	f.staging = st
	spans := f.sortedSpans()
	for i := range spans {
		spans[i].Counts = places[spans[i].Shard].carried
	}
	if f.letters, err = w.replay(ctx, f.bound, st, spans, f.memory); err != nil {
		return err
	}
	read := int64(0)
	for i := range spans {
		read += spans[i].Counts.sub(places[spans[i].Shard].carried).Records
		f.spans[spans[i].Shard] = &spans[i]
	}
	if read < f.records {
		return fmt.Errorf("%d of %d records that were gathered are there: %w", read, f.records, shardlog.ErrTrimmed)
	}
	f.stale, f.held = false, 0
	f.hold(f.letters)
	f.weigh()
	return nil
}
