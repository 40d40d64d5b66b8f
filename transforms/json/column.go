package json

import (
	"encoding/base64"
	"math"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/bitutil"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// column gathers the values of one column, or of a part of a nested one.
type column struct {
	name  string
	typ   arrow.DataType
	n     int
	valid []byte // one a value: 0 is null
	nulls int

	ints    []int64   // of integers, timestamps, dates
	floats  []float64 // of doubles
	bools   []byte
	offsets []int32 // of strings, binaries and lists: n+1 of them
	data    []byte
	kids    []*column // of structs; one, the elements, of lists
	index   map[string]int
	next    int // which kid is guessed to come next
}

func newColumn(name string, t arrow.DataType) *column {
	c := &column{name: name, typ: t}
	switch t := t.(type) {
	case *arrow.StringType, *arrow.BinaryType:
		c.offsets = []int32{0}
	case *arrow.ListType:
		c.offsets = []int32{0}
		c.kids = []*column{newColumn("", t.Elem())}
	case *arrow.StructType:
		c.setFields(t.Fields())
	}
	return c
}

func (c *column) setFields(fields []arrow.Field) {
	c.index = make(map[string]int, len(fields))
	for i, f := range fields {
		c.kids = append(c.kids, newColumn(f.Name, f.Type))
		c.index[f.Name] = i
	}
}

// kid is the struct's field of that name; nil if it has none. Keys mostly come in the same order.
func (c *column) kid(key []byte) *column {
	if c.next < len(c.kids) && c.kids[c.next].name == string(key) {
		c.next++
		return c.kids[c.next-1]
	}
	i, ok := c.index[string(key)]
	if !ok {
		return nil
	}
	c.next = i + 1
	return c.kids[i]
}

// truncate drops the values from n on, and what was appended to the parts of a value that did not become whole.
func (c *column) truncate(n int) {
	n = min(n, c.n)
	for _, v := range c.valid[n:] {
		if v == 0 {
			c.nulls--
		}
	}
	c.n, c.valid = n, c.valid[:n]
	switch c.typ.(type) {
	case *arrow.StringType, *arrow.BinaryType:
		c.offsets = c.offsets[:n+1]
		c.data = c.data[:c.offsets[n]]
	case *arrow.ListType:
		c.offsets = c.offsets[:n+1]
		c.kids[0].truncate(int(c.offsets[n]))
	case *arrow.StructType:
		for _, k := range c.kids {
			k.truncate(n)
		}
	case *arrow.Float64Type:
		c.floats = c.floats[:n]
	case *arrow.BooleanType:
		c.bools = c.bools[:n]
	default:
		c.ints = c.ints[:n]
	}
}

func (c *column) null() {
	c.valid = append(c.valid, 0)
	c.nulls++
	switch c.typ.(type) {
	case *arrow.StringType, *arrow.BinaryType:
		c.offsets = append(c.offsets, int32(len(c.data))) //nolint:gosec // bounded by the size of a batch
	case *arrow.ListType:
		c.offsets = append(c.offsets, int32(c.kids[0].n)) //nolint:gosec // bounded by the size of a batch
	case *arrow.StructType:
		for _, k := range c.kids {
			k.null()
		}
	case *arrow.Float64Type:
		c.floats = append(c.floats, 0)
	case *arrow.BooleanType:
		c.bools = append(c.bools, 0)
	default:
		c.ints = append(c.ints, 0)
	}
	c.n++
}

func (c *column) set() {
	c.valid = append(c.valid, 1)
	c.n++
}

// text appends a string's value, if the column can hold it.
func (c *column) text(text []byte, escaped bool) bool {
	switch t := c.typ.(type) {
	case *arrow.StringType:
		if escaped {
			c.data = unescape(c.data, text)
		} else {
			c.data = append(c.data, text...)
		}
		c.offsets = append(c.offsets, int32(len(c.data))) //nolint:gosec // bounded by the size of a batch
		c.set()
		return true
	case *arrow.BinaryType:
		b, err := base64.StdEncoding.AppendDecode(c.data, text)
		if err != nil || escaped {
			return false
		}
		c.data = b
		c.offsets = append(c.offsets, int32(len(c.data))) //nolint:gosec // bounded by the size of a batch
		c.set()
		return true
	case *arrow.TimestampType:
		at, err := time.Parse(time.RFC3339Nano, string(text))
		if err != nil {
			return false
		}
		v, err := arrow.TimestampFromTime(at, t.Unit)
		if err != nil || !exactAt(at, t.Unit) {
			return false
		}
		c.ints = append(c.ints, int64(v))
		c.set()
		return true
	case *arrow.Date32Type:
		at, err := time.Parse(time.DateOnly, string(text))
		if err != nil {
			return false
		}
		c.ints = append(c.ints, int64(arrow.Date32FromTime(at)))
		c.set()
		return true
	}
	return false
}

// exactAt reports whether a unit is fine enough for a time.
func exactAt(at time.Time, u arrow.TimeUnit) bool { return at.Nanosecond()%int(u.Multiplier()) == 0 }

// number appends a number's value, if the column can hold it exactly.
func (c *column) number(text []byte, isInt bool) bool {
	switch t := c.typ.(type) {
	case *arrow.Int64Type, *arrow.Int32Type:
		v, ok := integer(text)
		if !isInt || !ok || t.ID() == arrow.INT32 && v != int64(int32(v)) { //nolint:gosec // that is the question
			return false
		}
		c.ints = append(c.ints, v)
	case *arrow.Float64Type:
		v, ok := double(text)
		if !ok || isInt && !exactInt(text) {
			return false
		}
		c.floats = append(c.floats, v)
	case *arrow.TimestampType:
		v, ok := integer(text)
		if !isInt || !ok || v > math.MaxInt64/1_000_000 || v < math.MinInt64/1_000_000 {
			return false
		}
		if t.Unit == arrow.Second {
			if v%1000 != 0 {
				return false
			}
			v /= 1000
		} else {
			v *= int64(time.Millisecond / t.Unit.Multiplier())
		}
		c.ints = append(c.ints, v)
	default:
		return false
	}
	c.set()
	return true
}

// exactInt reports whether a double holds an integer's text exactly.
func exactInt(text []byte) bool {
	v, ok := integer(text)
	return ok && int64(float64(v)) == v && (v <= 1<<53 && v >= -1<<53 || float64(v) < math.MaxInt64)
}

// array is what was gathered, for the caller to release; the column is empty then.
func (c *column) array() arrow.Array {
	d := c.arrayData()
	defer d.Release()
	return array.MakeFromData(d)
}

func (c *column) arrayData() arrow.ArrayData {
	bufs := []*memory.Buffer{c.bitmap()}
	var kids []arrow.ArrayData
	switch c.typ.(type) {
	case *arrow.StringType, *arrow.BinaryType:
		bufs = append(bufs, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(c.offsets)), memory.NewBufferBytes(c.data))
	case *arrow.ListType:
		bufs = append(bufs, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(c.offsets)))
		kids = append(kids, c.kids[0].arrayData())
	case *arrow.StructType:
		for _, k := range c.kids {
			kids = append(kids, k.arrayData())
		}
	case *arrow.Float64Type:
		bufs = append(bufs, memory.NewBufferBytes(arrow.Float64Traits.CastToBytes(c.floats)))
	case *arrow.BooleanType:
		bufs = append(bufs, memory.NewBufferBytes(pack(c.bools)))
	case *arrow.Int32Type, *arrow.Date32Type:
		narrow := make([]int32, len(c.ints))
		for i, v := range c.ints {
			narrow[i] = int32(v) //nolint:gosec // checked when it was appended
		}
		bufs = append(bufs, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(narrow)))
	default:
		bufs = append(bufs, memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(c.ints)))
	}
	d := array.NewData(c.typ, c.n, bufs, kids, c.nulls, 0)
	for _, k := range kids {
		k.Release()
	}
	return d
}

// bitmap is the validity bitmap; nil where nothing is null.
func (c *column) bitmap() *memory.Buffer {
	if c.nulls == 0 {
		return nil
	}
	return memory.NewBufferBytes(pack(c.valid))
}

// pack makes a bitmap of bytes that are 0 or 1.
func pack(b []byte) []byte {
	out := make([]byte, bitutil.BytesForBits(int64(len(b))))
	for i, v := range b {
		out[i>>3] |= v << (i & 7)
	}
	return out
}
