package lake

import (
	"fmt"
	"strconv"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/sinks/internal/prefix"
)

// partitioner tells the prefix of each row.
type partitioner struct {
	layout Layout
	expr   *prefix.Expr
	random string
	unit   int64               // milliseconds within which the prefix is the same; 0: it has no time
	most   int                 // partitions; 0: no bound
	cache  map[slot]*partition // at most cachedSlots
	by     map[place]*partition
	mark   int64 // of the record in hand
}

const cachedSlots = 8 * connectors.MaxOutputs

// slot is what the prefix of a row depends on.
type slot struct {
	bucket int64
	noTime bool
	late   bool
	keys   string
}

// partition is the rows of one prefix, but for the late ones where these have a file of their own.
type partition struct {
	place
	rows []int32 // of the batch in hand
	file *file
	mark int64 // of the last record that has rows in it
}

// place tells partitions apart.
type place struct {
	prefix string
	late   bool
}

func newPartitioner(l Layout, random string, most int) (*partitioner, error) {
	e, err := prefix.Parse(l.Prefix)
	if err != nil {
		return nil, err
	}
	return &partitioner{l, e, random, e.Unit().Milliseconds(), most, map[slot]*partition{}, map[place]*partition{}, 0}, nil
}

// split notes in each partition which rows of b are its own, and returns the partitions that have any. A row whose
// partition column holds no time is refused, and so are rows of a record beyond what a plan has of outputs. Where there
// would be more partitions than there may be, nothing is noted and the error is a connectors.OutputsError.
func (p *partitioner) split(b core.Batch, v *connectors.Verdicts) ([]*partition, error) {
	slots, err := p.slots(b)
	if err != nil {
		return nil, err
	}
	handles := b.Handles()
	var out []*partition
	var last *partition
	var lastSlot slot
	var begin, apart int // of the row's record: its first row, and how many partitions have rows of it
	for i := range int(b.NumRows()) {
		if i == 0 || handles.Value(i) != handles.Value(begin) {
			begin, apart = i, 0
			p.mark++
		}
		s, ok := slots(i, v)
		if !ok {
			continue
		}
		if last == nil || s != lastSlot {
			last, lastSlot = p.partition(s, b, i), s
		}
		if last.mark != p.mark {
			if apart++; apart > connectors.MaxOutputs {
				v.Refuse(b, i, "too_many_outputs", fmt.Sprintf("the record's rows belong to more than %d partitions", connectors.MaxOutputs))
				continue
			}
			if !p.note(last) {
				for _, q := range out {
					q.rows = q.rows[:0]
				}
				return nil, &connectors.OutputsError{Rows: begin}
			}
			last.mark = p.mark
		}
		if len(last.rows) == 0 {
			out = append(out, last)
		}
		last.rows = append(last.rows, int32(i)) //nolint:gosec // an index in a batch
	}
	return out, nil
}

// note makes a partition one of the flush's own; false when there are as many as there may be.
func (p *partitioner) note(part *partition) bool {
	if p.by[part.place] != nil {
		return true
	}
	if p.most > 0 && len(p.by) >= p.most {
		return false
	}
	p.by[part.place] = part
	return true
}

// slots tells the slot of a row; false where the row is refused.
func (p *partitioner) slots(b core.Batch) (func(i int, v *connectors.Verdicts) (slot, bool), error) {
	times, err := p.times(b)
	if err != nil {
		return nil, err
	}
	keys, arrivals := p.keys(b), b.Arrivals()
	return func(i int, v *connectors.Verdicts) (s slot, ok bool) {
		if p.unit > 0 || p.layout.Late != nil {
			ms, state := times(i)
			if state == timeBad {
				v.Refuse(b, i, "bad_partition", fmt.Sprintf("partition_by: %.60q in column %s is no RFC 3339 time: make a timestamp of it with a parse_timestamp stage",
					column(b, p.layout.PartitionBy).ValueStr(i), p.layout.PartitionBy))
				return s, false
			}
			s.noTime = state == timeNull
			if !s.noTime && p.layout.Late.is(int64(arrivals.Value(i)), ms) {
				if p.layout.Late.To == lateDeadLetter {
					v.Refuse(b, i, "late", fmt.Sprintf("it arrived %s after its %s; late: {after: %s} sends such rows here", time.Duration(int64(arrivals.Value(i))-ms)*time.Millisecond, p.layout.PartitionBy, p.layout.Late.After))
					return s, false
				}
				s.late = true
			}
			if !s.noTime && p.unit > 0 {
				s.bucket = floorDiv(ms, p.unit)
			}
		}
		for _, k := range keys {
			s.keys += k(i)
		}
		return s, true
	}, nil
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// partition is that of a slot; row i of b is in it. One that is not noted yet is new.
func (p *partitioner) partition(s slot, b core.Batch, i int) *partition {
	if got := p.cache[s]; got != nil {
		return got
	}
	values := prefix.Values{Time: time.UnixMilli(s.bucket * p.unit).UTC(), NoTime: s.noTime, Random: p.random, Keys: map[string]*string{}}
	for _, name := range p.expr.Keys() {
		if col := column(b, p.layout.PartitionKeys[name]); col != nil && col.IsValid(i) {
			text := col.ValueStr(i)
			values.Keys[name] = &text
		}
	}
	at := place{p.expr.Eval(values), s.late}
	got := p.by[at]
	if got == nil {
		return &partition{place: at}
	}
	if len(p.cache) >= cachedSlots {
		clear(p.cache)
	}
	p.cache[s] = got
	return got
}

// keys are, for each key of the prefix, a func of a row that differs where the key does.
func (p *partitioner) keys(b core.Batch) []func(int) string {
	var out []func(int) string
	for _, name := range p.expr.Keys() {
		col := column(b, p.layout.PartitionKeys[name])
		if col == nil {
			continue
		}
		out = append(out, func(i int) string {
			if col.IsNull(i) {
				return "-"
			}
			text := col.ValueStr(i)
			return strconv.Itoa(len(text)) + ":" + text // its length tells where the next key begins
		})
	}
	return out
}

// column is the column of a name; nil if there is none.
func column(b core.Batch, name string) arrow.Array {
	at := b.Rows.Schema().FieldIndices(name)
	if len(at) == 0 || core.IsHidden(name) {
		return nil
	}
	return b.Rows.Column(at[0])
}

// What a row's time can be.
const (
	timeGood = iota
	timeNull
	timeBad
)

// times reads the time of a row in milliseconds.
func (p *partitioner) times(b core.Batch) (func(i int) (int64, int), error) {
	if p.layout.PartitionBy == "" {
		col := b.Arrivals()
		return func(i int) (int64, int) { return int64(col.Value(i)), timeGood }, nil
	}
	switch col := column(b, p.layout.PartitionBy).(type) {
	case nil:
		return func(int) (int64, int) { return 0, timeNull }, nil
	case *array.Timestamp:
		unit := col.DataType().(*arrow.TimestampType).Unit
		return nullable(col, func(i int) (int64, int) { return col.Value(i).ToTime(unit).UnixMilli(), timeGood }), nil
	case *array.Date32:
		return nullable(col, func(i int) (int64, int) { return int64(col.Value(i)) * 86_400_000, timeGood }), nil
	case *array.String:
		return nullable(col, func(i int) (int64, int) {
			t, err := time.Parse(time.RFC3339Nano, col.Value(i))
			if err != nil {
				return 0, timeBad
			}
			return t.UnixMilli(), timeGood
		}), nil
	default:
		return nil, connectors.Permanent(fmt.Errorf("partition_by: column %s has type %s, want a timestamp, a date or RFC 3339 text: "+
			"make one of it with a parse_timestamp stage: %w", p.layout.PartitionBy, col.DataType(), core.ErrInvalid))
	}
}

func nullable(col arrow.Array, f func(int) (int64, int)) func(int) (int64, int) {
	return func(i int) (int64, int) {
		if col.IsNull(i) {
			return 0, timeNull
		}
		return f(i)
	}
}
