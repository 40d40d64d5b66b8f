package connectors

import (
	"context"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/penstock/penstock/core"
)

// Trial runs a program over records in memory, without leases, a control store or a destination: what is seen is what a
// worker would make of these records if they were the first that it met. It is used by one goroutine.
type Trial struct {
	pipeline string
	program  *Program
	cur      *bound // nil before the first records
	advice   string
}

// NewTrial returns a trial of a pipeline's program.
func NewTrial(pipeline string, p *Program) *Trial { return &Trial{pipeline: pipeline, program: p} }

// TrialStep is what decoding, a stage or the sink made of a batch.
type TrialStep struct {
	Stage    string     // decode, stages[2].filter, sink
	Rows     core.Batch // that go on; valid until the func that is shown the step returns
	Refused  []Refusal  // by this step
	Filtered int64
	Null     int64
	Outputs  map[string]int64 // of the sink: rows by the prefix under which they would stand; nil where it cannot tell
}

// Schema is the columns that records are decoded into; none before the first.
func (t *Trial) Schema() []arrow.Field {
	if t.cur == nil {
		return nil
	}
	return t.cur.input.Fields()
}

// Advice is the decoder's on the first records, or empty.
func (t *Trial) Advice() string { return t.advice }

// Absent are the columns that the pipeline names, and no record had yet: they are null.
func (t *Trial) Absent() []Absent {
	if t.cur == nil {
		return nil
	}
	return t.cur.absent()
}

// Learn widens the schema until it holds raw's records too, as a worker does when it meets them.
func (t *Trial) Learn(ctx context.Context, raw core.Batch) error {
	if t.cur != nil {
		o, err := t.cur.run(ctx, raw)
		if err != nil {
			return err
		}
		o.rows.Release()
		if !o.drift {
			return nil
		}
	}
	if t.cur == nil {
		t.advice = t.program.advice(raw)
	}
	input, err := t.program.wider(t.cur, raw)
	if err != nil {
		return err
	}
	if t.cur != nil && input.Equal(t.cur.input) {
		return nil
	}
	next, err := t.program.bind(t.version()+1, input)
	if err != nil {
		return err
	}
	t.cur = next
	return t.Learn(ctx, raw) // a first schema comes of the first records only
}

func (t *Trial) version() int64 {
	if t.cur == nil {
		return 0
	}
	return t.cur.version
}

// Run sends raw, which was learnt, through the program, shows each step, and returns the letters of what was refused.
func (t *Trial) Run(ctx context.Context, raw core.Batch, see func(TrialStep)) ([]DeadLetter, error) {
	var before Verdicts
	step := func(stage string, rows core.Batch, v *Verdicts) TrialStep {
		s := TrialStep{
			Stage: stage, Rows: rows, Refused: v.Refused[len(before.Refused):],
			Filtered: v.Filtered - before.Filtered, Null: v.Null - before.Null,
		}
		before = *v
		return s
	}
	o, err := t.cur.runSeen(ctx, raw, func(stage string, rows core.Batch, v *Verdicts) { see(step(stage, rows, v)) })
	if err != nil {
		return nil, err
	}
	defer o.rows.Release()
	var outputs map[string]int64
	if p, ok := t.program.Sink.(Previewer); ok {
		o.verdicts.Stage = "sink"
		f := Flush{Pipeline: t.pipeline, Incarnation: "0000000000000000", Number: 1, Schema: t.cur.output}
		if outputs, err = p.Preview(f, o.rows, &o.verdicts); err != nil {
			return nil, err
		}
	}
	s := step("sink", o.rows, &o.verdicts)
	s.Outputs = outputs
	see(s)
	return t.program.letters(t.pipeline, "", "", raw, o), nil
}
