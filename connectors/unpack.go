package connectors

import (
	"fmt"
	"sort"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/connectors/kpl"
	"github.com/penstock/penstock/core"
)

// Unpacking says what becomes of the records that the Kinesis Producer Library packed user records into.
type Unpacking string

// The ways of unpacking; their values are those of the YAML.
const (
	UnpackNone Unpacking = "false" // they are records like others; so is the empty one
	UnpackOwn  Unpacking = "true"  // they are taken apart, as KCL does: user records of another shard are passed over
	UnpackAll  Unpacking = "all"   // they are taken apart, whichever shard the user records belong to
)

// UnmarshalText reads true, false or all.
func (u *Unpacking) UnmarshalText(text []byte) error {
	switch v := Unpacking(text); v {
	case UnpackNone, UnpackOwn, UnpackAll:
		*u = v
		return nil
	}
	return fmt.Errorf("want true, false or all, not %q: %w", text, core.ErrInvalid)
}

// Sub is a place within a record that was taken apart: KCL's extended sequence number. User records up to it are not
// wanted. The zero one is none.
type Sub struct {
	Seq   core.SequenceNumber
	Index int64 // of the last user record that is not wanted, from 0
}

// unpacked is a raw batch whose aggregates were taken apart: each user record is a record to the decoder. Its rows have
// the handles 0, 1, 2 and so on, until settle gives them those of the records that they came from.
type unpacked struct {
	batch  core.Batch
	raw    core.Batch // borrowed
	record []int32    // the place in raw that each of batch's came from
	index  []int32    // of the user record within it; -1: the record is none that was taken apart
	base   []int32    // the ord of the first row that each became, once that is known
	strays int64
}

// records is raw with its aggregates taken apart, for the caller to release.
func (p *Program) records(raw core.Batch) core.Batch {
	if u := p.unpack(raw); u != nil {
		return u.batch
	}
	raw.Retain()
	return raw
}

// unpack takes the aggregates of raw apart; nil where there are none. A user record whose hash key is not in the range of
// its shard is passed over: the shard was split or merged while it was on its way, and its producer, which is told where
// it came to, sends it again. The KPL does so for each user record alone, so each is judged alone here.
func (p *Program) unpack(raw core.Batch) *unpacked {
	if p.Unpack == "" || p.Unpack == UnpackNone || !p.concerns(raw) {
		return nil
	}
	u := &unpacked{raw: raw}
	b := array.NewRecordBuilder(memory.DefaultAllocator, core.RawSchema())
	defer b.Release()
	keys, data := raw.Keys(), rawData(raw)
	for i := range data.Len() {
		skip := int64(-1)
		if p.Skip.Seq != "" && raw.SequenceOf(i) == p.Skip.Seq {
			skip = p.Skip.Index
		}
		users, ok := kpl.Unpack(data.Value(i))
		if !ok {
			if skip < 0 {
				u.add(b, i, -1, keys.Value(i), data.Value(i))
			}
			continue
		}
		belongs := within(raw.Range, p.Unpack == UnpackAll)
		for n, user := range users {
			switch {
			case int64(n) <= skip:
			case belongs(user):
				u.add(b, i, n, user.Key, user.Data)
			default:
				u.strays++
			}
		}
	}
	u.batch = raw.WithRows(b.NewRecord())
	u.batch.Sequences = u
	return u
}

// concerns reports whether there is anything to take apart, or to skip.
func (p *Program) concerns(raw core.Batch) bool {
	if s := p.Skip.Seq; s != "" && raw.Span.First.Compare(s) <= 0 && s.Compare(raw.Span.Last) <= 0 {
		return true
	}
	data := rawData(raw)
	for i := range data.Len() {
		if kpl.Begins(data.Value(i)) {
			return true
		}
	}
	return false
}

// within reports whether a user record's hash key is in a range; one key is looked up once where it comes again and again.
func within(r *core.HashRange, all bool) func(kpl.UserRecord) bool {
	if all || r == nil || r.Start == (core.HashKey{}) && r.End == core.MaxHashKey {
		return func(kpl.UserRecord) bool { return true }
	}
	var last string
	known, is := false, false
	return func(u kpl.UserRecord) bool {
		if u.Explicit != nil {
			return r.Contains(*u.Explicit)
		}
		if !known || last != u.Key {
			known, last, is = true, u.Key, r.Contains(u.Hash())
		}
		return is
	}
}

func (u *unpacked) add(b *array.RecordBuilder, record, index int, key string, data []byte) {
	b.Field(0).(*array.Int64Builder).Append(int64(len(u.record)))
	b.Field(1).(*array.Int32Builder).Append(0)
	b.Field(2).(*array.TimestampBuilder).Append(u.raw.Arrivals().Value(record))
	b.Field(3).(*array.StringBuilder).Append(key)
	b.Field(4).(*array.BinaryBuilder).Append(data)
	u.record = append(u.record, int32(record)) //nolint:gosec // a place in a batch
	u.index = append(u.index, int32(index))    //nolint:gosec // a place in a record
}

// At is the sequence number of the record that a user record is part of.
func (u *unpacked) At(handle, _ int64) core.SequenceNumber {
	return u.raw.SequenceOf(int(u.record[handle]))
}

// strayed is how many user records were passed over.
func (u *unpacked) strayed() int64 {
	if u == nil {
		return 0
	}
	return u.strays
}

// settle numbers the decoded rows within the records that they came from: a user record's rows follow those of the one
// before it, and one that left none has a number all the same. The rows returned are the caller's.
func (u *unpacked) settle(rows core.Batch, v *Verdicts) core.Batch {
	made := make([]int32, len(u.record))
	from := rows.Handles()
	for i := range from.Len() {
		made[from.Value(i)]++
	}
	u.base = make([]int32, len(u.record))
	next, index := int32(0), int32(0)
	for e := range u.record {
		if e == 0 || u.record[e] != u.record[e-1] {
			next, index = 0, 0
		}
		next += max(u.index[e], 0) - index // those that were passed over
		u.base[e] = next
		next += max(made[e], 1)
		index = u.index[e] + 1
	}
	handles, ords := make([]int64, from.Len()), make([]int32, from.Len())
	for i := range handles {
		e := from.Value(i)
		handles[i], ords[i] = u.raw.Handles().Value(int(u.record[e])), u.base[e]+rows.Ords().Value(i)
	}
	for i := range v.Refused {
		r := &v.Refused[i]
		e := r.Handle
		r.Handle, r.Ord = u.raw.Handles().Value(int(u.record[e])), u.base[e]+r.Ord
	}
	out := u.raw.WithRows(withPlaces(rows.Rows, handles, ords))
	return out
}

// withPlaces is rows with other handles and ords.
func withPlaces(rows arrow.Record, handles []int64, ords []int32) arrow.Record {
	flat := func(t arrow.DataType, b []byte) arrow.Array {
		d := array.NewData(t, len(handles), []*memory.Buffer{nil, memory.NewBufferBytes(b)}, nil, 0, 0)
		defer d.Release()
		return array.MakeFromData(d)
	}
	h, o := flat(arrow.PrimitiveTypes.Int64, arrow.Int64Traits.CastToBytes(handles)), flat(arrow.PrimitiveTypes.Int32, arrow.Int32Traits.CastToBytes(ords))
	defer h.Release()
	defer o.Release()
	return array.NewRecord(rows.Schema(), append([]arrow.Array{h, o}, rows.Columns()[2:]...), rows.NumRows())
}

// found is the place of a record in its batch, and of a user record in it.
type found struct{ record, index int }

// finder returns what finds the record, or the user record, that the row with an ord of the record at a place came from.
func (u *unpacked) finder(raw core.Batch) func(i int, ord int32) (at found, key string, data []byte) {
	keys, all := raw.Keys(), rawData(raw)
	last, users := -1, []kpl.UserRecord(nil)
	return func(i int, ord int32) (found, string, []byte) {
		if u != nil {
			from := sort.Search(len(u.record), func(e int) bool { return int(u.record[e]) >= i })
			to := from + sort.Search(len(u.record)-from, func(n int) bool { return int(u.record[from+n]) > i || u.base[from+n] > ord })
			if to > from && u.index[to-1] >= 0 {
				if last != i {
					last = i
					users, _ = kpl.Unpack(all.Value(i))
				}
				index := int(u.index[to-1])
				return found{i, index}, users[index].Key, users[index].Data
			}
		}
		return found{i, -1}, keys.Value(i), all.Value(i)
	}
}
