package pipelines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// Bounds of a dry run, which holds everything that it shows.
const (
	MaxDryRecords = 10_000
	maxDryBytes   = 64 << 20
)

// DryRun is what a pipeline would make of some records. Nothing was written, and no checkpoint moved.
type DryRun struct {
	Pipeline    string                  `json:"pipeline"`
	Records     int64                   `json:"records"`
	Schema      []DryColumn             `json:"schema"` // that the records are decoded into
	Steps       []DryStep               `json:"steps"`
	Prefixes    map[string]int64        `json:"prefixes,omitempty"` // rows by the prefix they would stand under
	Changes     []connectors.Change     `json:"changes,omitempty"`  // of the destination's form, so that it holds these rows
	Unasked     string                  `json:"unasked,omitempty"`  // why the destination did not say which form it has
	DeadLetters []connectors.DeadLetter `json:"dead_letters"`
	Advice      string                  `json:"advice,omitempty"` // the decoder's, on the first records
	Absent      []connectors.Absent     `json:"absent,omitempty"` // columns that the pipeline names, and none of the records has
}

// DryColumn is a column.
type DryColumn struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// DryStep is what decoding, a stage or the sink made of the rows that it was given.
type DryStep struct {
	Stage    string            `json:"stage"`
	Kept     int64             `json:"kept"`
	Filtered int64             `json:"filtered"` // a filter said false
	Null     int64             `json:"null"`     // a filter said null
	Refused  int64             `json:"refused"`
	Rows     []json.RawMessage `json:"rows,omitempty"` // after it; not of the sink, which changes none
}

// DryRun reads up to n records of a source, a fair share of each of its shards, and runs them through the pipeline.
func (r *Registry) DryRun(ctx context.Context, s *Spec, source connectors.Source, n int64) (out *DryRun, err error) {
	if n < 1 || n > MaxDryRecords {
		return nil, fmt.Errorf("records: want 1 to %d, not %d: %w", MaxDryRecords, n, core.ErrInvalid)
	}
	p, err := r.Program(ctx, s)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Sink.Close(ctx)) }()
	batches, err := sample(ctx, source, s.Source.Start, n)
	defer func() {
		for _, b := range batches {
			b.Release()
		}
	}()
	if err != nil {
		return nil, err
	}
	trial := connectors.NewTrial(s.Name, p)
	for _, b := range batches { // first, as a flush whose schema grows is made again under the last one
		if err := trial.Learn(ctx, b); err != nil {
			return nil, fmt.Errorf("pipeline %s: %w", s.Name, s.Conceal(err))
		}
	}
	out = &DryRun{Pipeline: s.Name, Schema: []DryColumn{}, Steps: []DryStep{}, DeadLetters: []connectors.DeadLetter{}}
	for _, f := range trial.Schema() {
		out.Schema = append(out.Schema, DryColumn{f.Name, f.Type.String()})
	}
	out.Advice, out.Absent = trial.Advice(), trial.Absent()
	var last *arrow.Schema // of what the sink is given
	for _, b := range batches {
		if last, err = out.add(ctx, trial, b); err != nil {
			return nil, fmt.Errorf("pipeline %s: %w", s.Name, s.Conceal(err))
		}
	}
	if f, ok := p.Sink.(connectors.Former); ok && last != nil {
		ctx, cancel := context.WithTimeout(ctx, askTime)
		defer cancel()
		var away error
		if out.Changes, away = f.Changes(ctx, last); away != nil {
			out.Unasked = s.Conceal(away).Error()
		}
	}
	return out, nil
}

// askTime is how long the destination may take to say which form it has: what it does not say is no reason to show nothing.
const askTime = 10 * time.Second

// add runs one batch through and adds what comes of it. It returns the schema of the rows at the end.
func (d *DryRun) add(ctx context.Context, trial *connectors.Trial, raw core.Batch) (last *arrow.Schema, err error) {
	var errs []error
	at := 0
	letters, err := trial.Run(ctx, raw, func(s connectors.TrialStep) {
		if at == len(d.Steps) {
			d.Steps = append(d.Steps, DryStep{Stage: s.Stage})
		}
		errs = append(errs, d.Steps[at].add(s))
		last = s.Rows.Rows.Schema()
		at++
		for prefix, rows := range s.Outputs {
			if d.Prefixes == nil {
				d.Prefixes = map[string]int64{}
			}
			d.Prefixes[prefix] += rows
		}
	})
	d.Records += raw.Records
	d.DeadLetters = append(d.DeadLetters, letters...)
	return last, errors.Join(append(errs, err)...)
}

func (d *DryStep) add(s connectors.TrialStep) error {
	d.Kept += s.Rows.NumRows()
	d.Filtered += s.Filtered
	d.Null += s.Null
	d.Refused += int64(len(s.Refused))
	if s.Stage == "sink" {
		d.Kept -= int64(len(s.Refused))
		return nil
	}
	rows, err := jsonRows(s.Rows)
	for _, text := range rows {
		d.Rows = append(d.Rows, json.RawMessage(text))
	}
	return err
}

// sample reads up to n records, without waiting for more than there are. It returns what it read with an error, too.
func sample(ctx context.Context, source connectors.Source, start connectors.Start, n int64) ([]core.Batch, error) {
	shards, err := source.Shards(ctx)
	if err != nil {
		return nil, fmt.Errorf("list shards: %w", err)
	}
	var out []core.Batch
	bytes := int64(0)
	for i, sh := range shards {
		left := len(shards) - i
		share := (n + int64(left) - 1) / int64(left)
		after, err := source.Resolve(ctx, sh.ID, start)
		if err != nil {
			return out, fmt.Errorf("find the start of %s: %w", sh.ID, err)
		}
		got, err := sampleShard(ctx, source, sh, after, share, maxDryBytes-bytes)
		for _, b := range got {
			n -= b.Records
			bytes += b.Bytes
		}
		out = append(out, got...)
		if err != nil || n <= 0 || bytes >= maxDryBytes {
			return out, err
		}
	}
	return out, nil
}

// sampleShard reads up to n records of a shard, ending where it ends now.
func sampleShard(ctx context.Context, source connectors.Source, sh connectors.Shard, after core.SequenceNumber, n, room int64) (out []core.Batch, err error) {
	read := source.Read
	finite, ends := source.(connectors.Finite)
	if c, ok := source.(connectors.Chaser); ok {
		read = c.Chase
	} else if endless := !ends || !finite.Finite(); endless && waits(source) && (sh.Last == "" || after != "" && sh.Last.Compare(after) <= 0) {
		return nil, nil // there is nothing, and reading would wait for it
	}
	r, err := read(ctx, sh.ID, after)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", sh.ID, err)
	}
	defer r.Close() //nolint:errcheck // a reader has nothing to lose
	for n > 0 && room > 0 {
		b, err := r.Next(ctx)
		if errors.Is(err, io.EOF) || errors.Is(err, connectors.ErrCaughtUp) {
			return out, nil
		} else if err != nil {
			return out, fmt.Errorf("read %s: %w", sh.ID, err)
		}
		last := sh.Last != "" && b.Span.Last.Compare(sh.Last) >= 0
		if b.Records > n {
			part := connectors.Head(b, int(n))
			b.Release()
			b = part
		}
		out = append(out, b)
		n -= b.Records
		room -= b.Bytes
		if last {
			return out, nil
		}
	}
	return out, nil
}
