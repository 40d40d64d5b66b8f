package connectors

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/penstock/penstock/core"
)

// Semantics numbers what this binary makes of a spec: it rises whenever the same spec, schema and spans would give
// other rows. A plan made under another number is not executed.
const Semantics = 4

// Program is the pure part of a pipeline, and its sink: what turns raw records into rows at a destination.
type Program struct {
	Spec     string // hash of SpecText
	SpecText []byte // the checked spec as YAML, environment variables as references
	Decoder  Decoder
	Declared []arrow.Field // columns that the user declared; they come first and never widen
	Stages   []NamedTransform
	Pinned   []string // columns that an expression, a partition or the sink names
	Sink     Sink

	Unpack Unpacking // what becomes of records that user records were packed into
	Skip   Sub       // user records that are not wanted
}

// NamedTransform is a stage and its place in the pipeline, such as stages[2].compute.
type NamedTransform struct {
	Name      string
	Transform Transform
	Hide      func(string) string // takes out of what is said of the stage what must not be shown; nil: nothing
}

// pinned is the set of columns of s whose types stay as they are.
func (p *Program) pinned(s *arrow.Schema) map[string]bool {
	out := map[string]bool{}
	for _, f := range p.Declared {
		out[f.Name] = true
	}
	for _, name := range p.Pinned {
		if s != nil && s.HasField(name) {
			out[name] = true
		}
	}
	return out
}

// bound is a program under one version of its schema: a pure function from raw records to rows.
type bound struct {
	program *Program
	version int64
	input   *arrow.Schema // what the decoder makes, without hidden columns
	stages  []boundStage
	output  *arrow.Schema // what the sink gets, with hidden columns
}

type boundStage struct {
	name  string
	stage Stage
	hide  func(string) string // nil: nothing
}

// concealed is an error of the stage as it may be shown.
func (s boundStage) concealed(err error) error {
	if s.hide == nil {
		return err
	}
	return Conceal(err, s.hide)
}

// apply is the stage's, and says nothing that must not be shown.
func (s boundStage) apply(ctx context.Context, b core.Batch, v *Verdicts) (core.Batch, error) {
	before := len(v.Refused)
	out, err := s.stage.Apply(ctx, b, v)
	if s.hide != nil {
		for i := range v.Refused[before:] {
			r := &v.Refused[before+i]
			r.Reason = s.hide(r.Reason)
		}
	}
	return out, s.concealed(err)
}

// bind checks every stage against the schema that the one before it returns.
func (p *Program) bind(version int64, input *arrow.Schema) (*bound, error) {
	b := &bound{program: p, version: version, input: input, output: core.SchemaOf(input.Fields()...)}
	for _, nt := range p.Stages {
		s := boundStage{name: nt.Name, hide: nt.Hide}
		st, err := nt.Transform.Bind(b.output)
		if err != nil {
			return nil, Permanent(fmt.Errorf("%s: %w", nt.Name, s.concealed(err)))
		}
		s.stage = st
		b.stages = append(b.stages, s)
		b.output = st.Schema()
	}
	return b, nil
}

// Absent is a column that the pipeline names, and no record had yet.
type Absent struct {
	Column string `json:"column"`
	Meant  string `json:"did_you_mean,omitempty"` // the column that it nearly is, if there is one
}

func (a Absent) String() string {
	if a.Meant == "" {
		return a.Column
	}
	return fmt.Sprintf("%s (did you mean %s?)", a.Column, a.Meant)
}

// absent are the columns that the program names, and that neither the decoder nor a stage makes.
func (b *bound) absent() []Absent {
	known := map[string]bool{}
	for _, f := range b.input.Fields() {
		known[f.Name] = true
	}
	for _, s := range b.stages {
		for _, f := range s.stage.Schema().Fields() {
			known[f.Name] = true
		}
	}
	have := slices.DeleteFunc(slices.Sorted(maps.Keys(known)), core.IsHidden)
	var out []Absent
	for _, name := range b.program.Pinned {
		if !known[name] {
			known[name] = true
			out = append(out, Absent{name, core.Meant(name, have)})
		}
	}
	return out
}

// outcome is what became of one raw batch.
type outcome struct {
	bound    *bound
	rows     core.Batch // that go to the sink; released by whoever takes the outcome
	decoded  int64      // rows that the records held, refused ones included
	verdicts Verdicts
	drift    bool
	unpacked *unpacked // nil where no record was taken apart
}

// run decodes raw and sends the rows through the stages.
func (b *bound) run(ctx context.Context, raw core.Batch) (outcome, error) {
	return b.runSeen(ctx, raw, func(string, core.Batch, *Verdicts) {})
}

// runSeen is run that shows what is left after decoding and after each stage, and the verdicts so far.
func (b *bound) runSeen(ctx context.Context, raw core.Batch, see func(stage string, rows core.Batch, v *Verdicts)) (outcome, error) {
	o := outcome{bound: b, verdicts: Verdicts{Stage: "decode"}, unpacked: b.program.unpack(raw)}
	var err error
	if o.rows, o.drift, err = b.decode(ctx, raw, o.unpacked, &o.verdicts); err != nil {
		return o, fmt.Errorf("decode records %s to %s of %s: %w", raw.Span.First, raw.Span.Last, raw.Shard, err)
	}
	o.decoded = o.rows.NumRows() + int64(len(o.verdicts.Refused))
	see("decode", o.rows, &o.verdicts)
	for _, s := range b.stages {
		o.verdicts.Stage = s.name
		next, err := s.apply(ctx, o.rows, &o.verdicts)
		o.rows.Release()
		if err != nil {
			return o, fmt.Errorf("%s: records %s to %s of %s: %w", s.name, raw.Span.First, raw.Span.Last, raw.Shard, err)
		}
		o.rows = next
		see(s.name, o.rows, &o.verdicts)
	}
	return o, nil
}

// decode makes rows of raw, or of the user records that were found in it.
func (b *bound) decode(ctx context.Context, raw core.Batch, u *unpacked, v *Verdicts) (core.Batch, bool, error) {
	if u == nil {
		return b.program.Decoder.Decode(ctx, raw, b.input, v)
	}
	defer u.batch.Release()
	rows, drift, err := b.program.Decoder.Decode(ctx, u.batch, b.input, v)
	if err != nil {
		return rows, drift, err
	}
	defer rows.Release()
	return u.settle(rows, v), drift, nil
}

// through returns the records of raw up to and including seq, as a batch of its own.
func through(raw core.Batch, seq core.SequenceNumber) core.Batch {
	n := int(raw.NumRows())
	cut := sort.Search(n, func(i int) bool { return raw.SequenceOf(i).Compare(seq) > 0 })
	if cut == n {
		raw.Retain()
		return raw
	}
	out := Head(raw, cut)
	return out
}

// Head returns the first n records of raw, as a batch of its own.
func Head(raw core.Batch, n int) core.Batch {
	out := raw.WithRows(raw.Rows.NewSlice(0, int64(n)))
	out.Records = int64(n)
	out.Span.Last = ""
	if n > 0 {
		out.Span.Last = out.SequenceOf(n - 1)
	} else {
		out.Span.First = ""
	}
	out.Bytes = rawBytes(out)
	return out
}

// after returns the records of raw behind seq, as a batch of its own.
func after(raw core.Batch, seq core.SequenceNumber) core.Batch {
	n := int(raw.NumRows())
	cut := sort.Search(n, func(i int) bool { return raw.SequenceOf(i).Compare(seq) > 0 })
	out := raw.WithRows(raw.Rows.NewSlice(int64(cut), int64(n)))
	out.Records = int64(n - cut)
	if cut < n {
		out.Span.First = out.SequenceOf(0)
	}
	out.Bytes = rawBytes(out)
	return out
}

// rawBytes is how many bytes the keys and data of a raw batch have.
func rawBytes(raw core.Batch) int64 {
	n := raw.NumRows()
	if n == 0 {
		return 0
	}
	return core.ValueBytes(raw.Keys()) + core.ValueBytes(rawData(raw))
}
