package connectors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/stream"
)

// chaos is the ill luck of one worker: delays, freezes, lost answers. The world that the workers share has none.
type chaos struct {
	mu   sync.Mutex
	rng  *rand.Rand
	dead atomic.Bool // the process was killed: nothing that it does reaches anybody
}

var errKilled = errors.New("killed")

// alive returns an error once the process was killed, or ctx has ended.
func (c *chaos) alive(ctx context.Context) error {
	if c.dead.Load() {
		return errKilled
	}
	return ctx.Err()
}

func (c *chaos) n(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rng.IntN(n)
}

// stall waits a little, and now and then longer than any lease lasts.
func (c *chaos) stall(ctx context.Context) {
	d := time.Duration(c.n(40)) * time.Millisecond
	if c.n(60) == 0 {
		d = 7 * time.Second
	}
	_ = core.Pause(ctx, d)
}

// table is the control store that the workers share.
type table struct {
	mu   sync.Mutex
	rows map[string]control.Row
	next int64
}

func (t *table) get(key string) (control.Row, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.rows[key]
	return r, ok
}

func (t *table) list(prefix string) []control.Row {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []control.Row
	for k, r := range t.rows {
		if strings.HasPrefix(k, prefix) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b control.Row) int { return strings.Compare(a.Key, b.Key) })
	return out
}

func (t *table) commit(x control.Txn) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range x.Checks {
		if t.rows[c.Key].Version != c.Version {
			return fmt.Errorf("%s: %w", c.Key, control.ErrConflict)
		}
	}
	for _, w := range x.Writes {
		t.next++
		if w.Value == nil {
			delete(t.rows, w.Key)
			continue
		}
		t.rows[w.Key] = control.Row{Key: w.Key, Value: w.Value, Version: t.next}
	}
	return nil
}

// view is one worker's access to the table, with its ill luck.
type view struct {
	*table
	chaos *chaos
}

func (v view) Get(ctx context.Context, key string) (control.Row, bool, error) {
	v.chaos.stall(ctx)
	r, ok := v.get(key)
	return r, ok, v.chaos.alive(ctx)
}

func (v view) List(ctx context.Context, prefix string) ([]control.Row, error) {
	v.chaos.stall(ctx)
	return v.list(prefix), v.chaos.alive(ctx)
}

func (v view) Commit(ctx context.Context, x control.Txn) (int64, error) {
	v.chaos.stall(ctx)
	if err := v.chaos.alive(context.Background()); err != nil {
		return 0, err
	}
	if v.chaos.n(25) == 0 { // the question is lost
		return 0, control.ErrUnknown
	}
	err := v.commit(x)
	v.chaos.stall(ctx)
	if v.chaos.n(25) == 0 { // the answer is lost
		return 0, control.ErrUnknown
	}
	return 1, err
}

// river is the source that the workers share: shards that grow, and split once.
type river struct {
	mu     sync.Mutex
	shards []Shard
	data   map[core.ShardID][]string
	gone   map[core.ShardID]int // records that were trimmed
}

// drought trims some records of some shards: mostly those that no open plan needs, now and then whatever there is.
func (r *river) drought(t *table, rng *rand.Rand) {
	pins := t.list("pins/")
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.shards {
		if rng.IntN(4) != 0 {
			continue
		}
		to := rng.IntN(len(r.data[s.ID]) + 1)
		if rng.IntN(3) != 0 {
			to = min(to, held(pins, s.ID))
		}
		r.gone[s.ID] = max(r.gone[s.ID], to)
	}
}

// held is after how many records the pins of a shard begin.
func held(rows []control.Row, shard core.ShardID) int {
	least := math.MaxInt
	for _, row := range rows {
		var pins []stream.Pin
		if err := json.Unmarshal(row.Value, &pins); err != nil {
			panic(err)
		}
		for _, p := range pins {
			if p.Shard == shard {
				n, _ := strconv.Atoi(string(p.From))
				least = min(least, n)
			}
		}
	}
	return least
}

type riverView struct {
	*river
	chaos *chaos
}

func (riverView) ID() string   { return "river" }
func (riverView) Close() error { return nil }

func (r riverView) Shards(ctx context.Context) ([]Shard, error) {
	r.chaos.stall(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.shards), ctx.Err()
}

func (riverView) Resolve(context.Context, core.ShardID, Start) (core.SequenceNumber, error) {
	return "", nil
}

func (r riverView) Read(_ context.Context, shard core.ShardID, after core.SequenceNumber) (Reader, error) {
	n, _ := strconv.Atoi(string(after))
	return &riverReader{r, shard, n}, nil
}

func (r riverView) Reread(ctx context.Context, shard core.ShardID, after core.SequenceNumber) (Reader, error) {
	if ctx.Value(weather{}) != nil && r.chaos.n(3) == 0 {
		return nil, errWeather
	}
	return r.Read(ctx, shard, after)
}

// weather marks the reading of rows that were refused, whose source may be away then.
type weather struct{}

func (r riverView) Gap(ctx context.Context, shard core.ShardID, after core.SequenceNumber) (Gap, error) {
	r.chaos.stall(ctx)
	n, _ := strconv.Atoi(string(after))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone[shard] <= n {
		return Gap{}, ctx.Err()
	}
	return Gap{From: after, Through: core.SequenceNumber(strconv.Itoa(r.gone[shard])), Records: int64(r.gone[shard] - n)}, ctx.Err()
}

func (riverView) Pin(by string, spans []PlanSpan) control.Write {
	var pins []stream.Pin
	for _, s := range spans {
		pins = append(pins, stream.Pin{Stream: s.Source, Shard: s.Shard, From: s.From, Through: s.Through})
	}
	return stream.PinRow(by, pins)
}

type riverReader struct {
	r     riverView
	shard core.ShardID
	next  int
}

func (*riverReader) Close() error { return nil }

type plainSequences struct{}

func (plainSequences) At(handle, _ int64) core.SequenceNumber {
	return core.SequenceNumber(strconv.FormatInt(handle, 10))
}

func (x *riverReader) Next(ctx context.Context) (core.Batch, error) {
	for {
		x.r.chaos.stall(ctx)
		if ctx.Err() != nil {
			return core.Batch{}, ctx.Err()
		}
		x.r.mu.Lock()
		data, closed, gone := x.r.data[x.shard], false, x.r.gone[x.shard]
		for _, s := range x.r.shards {
			closed = closed || s.ID == x.shard && s.Closed
		}
		x.r.mu.Unlock()
		if x.next < gone {
			return core.Batch{}, fmt.Errorf("%s from %d: %w", x.shard, x.next, shardlog.ErrTrimmed)
		}
		if x.next == len(data) {
			if closed {
				return core.Batch{}, io.EOF
			}
			continue
		}
		end := min(len(data), x.next+1+x.r.chaos.n(12))
		b := rawBatch(x.shard, x.next, data[x.next:end])
		x.next = end
		return b, nil
	}
}

// rawBatch holds values as records first+1, first+2, ...
func rawBatch(shard core.ShardID, first int, values []string) core.Batch {
	rb := array.NewRecordBuilder(memory.DefaultAllocator, core.RawSchema())
	defer rb.Release()
	var size int64
	for i, v := range values {
		rb.Field(0).(*array.Int64Builder).Append(int64(first + i + 1))
		rb.Field(1).(*array.Int32Builder).Append(0)
		rb.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(1000))
		rb.Field(3).(*array.StringBuilder).Append("k")
		rb.Field(4).(*array.BinaryBuilder).Append([]byte(v))
		size += int64(len(v)) + 1
	}
	num := func(i int) core.SequenceNumber { return core.SequenceNumber(strconv.Itoa(i)) }
	return core.Batch{
		Shard: shard, Span: core.Span{First: num(first + 1), Last: num(first + len(values))},
		Records: int64(len(values)), Bytes: size, Rows: rb.NewRecord(), Sequences: plainSequences{},
	}
}

// words is a decoder whose schema grows: every record is a word; one that begins with w needs the wide schema, one
// that begins with ! is bad, and one that begins with - is left out by the stage after it.
type words struct{}

var (
	narrow = arrow.NewSchema([]arrow.Field{{Name: "word", Type: arrow.BinaryTypes.String}}, nil)
	wide   = arrow.NewSchema([]arrow.Field{
		{Name: "word", Type: arrow.BinaryTypes.String}, {Name: "wide", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
)

func (words) Widen(have *arrow.Schema, raw core.Batch, _ map[string]bool) (*arrow.Schema, error) {
	for i := range int(raw.NumRows()) {
		if rawData(raw).Value(i)[0] == 'w' {
			return wide, nil
		}
	}
	if have == nil {
		return narrow, nil
	}
	return have, nil
}

func (words) Decode(_ context.Context, raw core.Batch, s *arrow.Schema, v *Verdicts) (core.Batch, bool, error) {
	rb := array.NewRecordBuilder(memory.DefaultAllocator, core.SchemaOf(s.Fields()...))
	defer rb.Release()
	drift := false
	for i := range int(raw.NumRows()) {
		word := string(rawData(raw).Value(i))
		if word[0] == '!' {
			v.Refuse(raw, i, "bad_word", word)
			continue
		}
		rb.Field(0).(*array.Int64Builder).Append(raw.Handles().Value(i))
		rb.Field(1).(*array.Int32Builder).Append(0)
		rb.Field(2).(*array.TimestampBuilder).Append(raw.Arrivals().Value(i))
		rb.Field(3).(*array.StringBuilder).Append(raw.Keys().Value(i))
		rb.Field(4).(*array.StringBuilder).Append(word)
		if s.NumFields() == 2 {
			rb.Field(5).(*array.StringBuilder).Append(strings.ToUpper(word))
		} else {
			drift = drift || word[0] == 'w'
		}
	}
	return raw.WithRows(rb.NewRecord()), drift, nil
}

// coast is the destination that the workers share: objects by name, as an object store has them.
type coast struct {
	mu      sync.Mutex
	objects map[string][]string
	letters map[string]string // by identity
	plans   map[string]string // the first spans that published under a name
}

type coastView struct {
	*coast
	chaos *chaos
	fussy bool // refuses rows, and not always the same
}

func (coastView) Close(context.Context) error { return nil }

func (c coastView) Put(ctx context.Context, letters []DeadLetter) error {
	c.chaos.stall(ctx)
	if c.chaos.dead.Load() {
		return errKilled
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range letters {
		if _, ok := c.letters[l.Identity()]; !ok {
			c.letters[l.Identity()] = string(l.Raw)
		}
	}
	return ctx.Err()
}

func (c coastView) Stage(_ context.Context, f Flush) (Staging, error) {
	return &coastStaging{c: c, f: f, rows: map[string][]stagedRow{}}, nil
}

type stagedRow struct {
	shard core.ShardID
	seq   core.SequenceNumber
	text  string
}

type coastStaging struct {
	c    coastView
	f    Flush
	rows map[string][]stagedRow
}

func (s *coastStaging) Add(_ context.Context, b core.Batch, _ *Verdicts) error {
	col := b.Rows.Column(4).(*array.String)
	for i := range int(b.NumRows()) {
		w := col.Value(i)
		name := fmt.Sprintf("%s-%s-%04d-%c", s.f.Pipeline, s.f.Incarnation, s.f.Number, w[0])
		s.rows[name] = append(s.rows[name], stagedRow{b.Shard, b.SequenceOf(i), w})
	}
	return nil
}

func (s *coastStaging) Stats() StagingStats { return StagingStats{Outputs: len(s.rows)} }

func (s *coastStaging) Outputs(context.Context) ([]Output, error) {
	var out []Output
	for name, rows := range s.rows {
		out = append(out, Output{Name: name, Rows: int64(len(rows))})
	}
	slices.SortFunc(out, func(a, b Output) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (s *coastStaging) Discard() error { return nil }

var errWeather = errors.New("bad weather")

func (s *coastStaging) Publish(ctx context.Context, p Plan, decide Decide) error {
	rejects := p.Rejects
	if s.c.fussy && !p.Decided {
		var mine []Reject
		for _, rows := range s.rows {
			for _, r := range rows {
				if s.c.chaos.n(10) == 0 {
					mine = append(mine, Reject{Shard: r.shard, Seq: r.seq, Code: "refused", Reason: r.text})
				}
			}
		}
		var err error
		if rejects, err = decide(context.WithValue(ctx, weather{}, true), mine); err != nil {
			return err
		}
	}
	for name, rows := range s.rows {
		s.c.chaos.stall(ctx)
		if s.c.chaos.dead.Load() {
			return errKilled
		}
		if s.c.chaos.n(12) == 0 {
			return errWeather
		}
		var object []string
		for _, r := range rows {
			if !slices.ContainsFunc(rejects, func(x Reject) bool { return x.Shard == r.shard && x.Seq == r.seq }) {
				object = append(object, r.text)
			}
		}
		s.c.mu.Lock()
		s.c.objects[name] = object
		s.c.mu.Unlock()
		if s.c.chaos.n(12) == 0 {
			return errWeather
		}
	}
	return ctx.Err()
}
