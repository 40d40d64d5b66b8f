package columns

import (
	"math"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/bitutil"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// Column gathers the values of one column.
type Column struct {
	Name string
	Type arrow.DataType

	id      arrow.Type
	n       int
	valid   []byte // one a value: 0 is null
	nulls   int
	ints    []int64 // of integers, timestamps, dates
	floats  []float64
	bools   []byte
	offsets []int32 // of strings and binaries: n+1 of them
	data    []byte
}

// Supported reports whether texts can be decoded into t.
func Supported(t arrow.DataType) bool {
	switch t.ID() { //nolint:exhaustive // the others are not
	case arrow.STRING, arrow.BINARY, arrow.INT64, arrow.INT32, arrow.FLOAT64, arrow.BOOL, arrow.TIMESTAMP, arrow.DATE32:
		return true
	}
	return false
}

// newColumn makes a column with room for n values.
func newColumn(name string, t arrow.DataType, n int) *Column {
	c := &Column{Name: name, Type: t, id: t.ID(), valid: make([]byte, 0, n)}
	switch c.id {
	case arrow.STRING, arrow.BINARY:
		c.offsets = append(make([]int32, 0, n+1), 0)
	case arrow.FLOAT64:
		c.floats = make([]float64, 0, n)
	case arrow.BOOL:
		c.bools = make([]byte, 0, n)
	default:
		c.ints = make([]int64, 0, n)
	}
	return c
}

// Len is how many values there are.
func (c *Column) Len() int { return c.n }

// Null appends a null.
func (c *Column) Null() {
	c.valid = append(c.valid, 0)
	c.nulls++
	c.n++
	switch c.id {
	case arrow.STRING, arrow.BINARY:
		c.end()
	case arrow.FLOAT64:
		c.floats = append(c.floats, 0)
	case arrow.BOOL:
		c.bools = append(c.bools, 0)
	default:
		c.ints = append(c.ints, 0)
	}
}

func (c *Column) set() {
	c.valid = append(c.valid, 1)
	c.n++
}

func (c *Column) end() {
	c.offsets = append(c.offsets, int32(len(c.data))) //nolint:gosec // bounded by the size of a batch
}

// Text appends the value that text, which is UTF-8 unless the column is binary, stands for. It reports false, and
// appends nothing, where the column's type does not hold it exactly.
func (c *Column) Text(text []byte) bool {
	switch c.id {
	case arrow.STRING, arrow.BINARY:
		c.data = append(c.data, text...)
		c.end()
	case arrow.INT64, arrow.INT32:
		v, ok := Integer(text)
		if !ok || c.id == arrow.INT32 && v != int64(int32(v)) { //nolint:gosec // that is the question
			return false
		}
		c.ints = append(c.ints, v)
	case arrow.FLOAT64:
		v, ok := Double(text)
		if !ok {
			return false
		}
		c.floats = append(c.floats, v)
	case arrow.BOOL:
		v, ok := Bool(text)
		if !ok {
			return false
		}
		c.bools = append(c.bools, v)
	case arrow.TIMESTAMP:
		at, err := time.Parse(time.RFC3339Nano, string(text))
		return err == nil && c.Time(at)
	case arrow.DATE32:
		at, err := time.Parse(time.DateOnly, string(text))
		if err != nil {
			return false
		}
		c.ints = append(c.ints, int64(arrow.Date32FromTime(at)))
	default:
		return false
	}
	c.set()
	return true
}

// Time appends a time to a column of timestamps, if its unit is fine enough.
func (c *Column) Time(at time.Time) bool {
	unit := c.Type.(*arrow.TimestampType).Unit
	v, err := arrow.TimestampFromTime(at, unit)
	if err != nil || at.Nanosecond()%int(unit.Multiplier()) != 0 {
		return false
	}
	c.ints = append(c.ints, int64(v))
	c.set()
	return true
}

// Micros appends a time in microseconds since 1970 to a column of timestamps, if its unit is fine enough.
func (c *Column) Micros(v int64) bool {
	switch unit := c.Type.(*arrow.TimestampType).Unit; unit {
	case arrow.Microsecond:
	case arrow.Nanosecond:
		if v > math.MaxInt64/1000 || v < math.MinInt64/1000 {
			return false
		}
		v *= 1000
	default:
		m := int64(unit.Multiplier() / time.Microsecond)
		if v%m != 0 {
			return false
		}
		v /= m
	}
	c.ints = append(c.ints, v)
	c.set()
	return true
}

// Append appends what f appends to the bytes of a column of strings or binaries.
func (c *Column) Append(f func([]byte) []byte) {
	c.data = f(c.data)
	c.end()
	c.set()
}

// truncate drops the values from n on.
func (c *Column) truncate(n int) {
	n = min(n, c.n)
	for _, v := range c.valid[n:] {
		if v == 0 {
			c.nulls--
		}
	}
	c.n, c.valid = n, c.valid[:n]
	switch c.id {
	case arrow.STRING, arrow.BINARY:
		c.offsets = c.offsets[:n+1]
		c.data = c.data[:c.offsets[n]]
	case arrow.FLOAT64:
		c.floats = c.floats[:n]
	case arrow.BOOL:
		c.bools = c.bools[:n]
	default:
		c.ints = c.ints[:n]
	}
}

// array is what was gathered, for the caller to release.
func (c *Column) array() arrow.Array {
	bufs := []*memory.Buffer{nil}
	if c.nulls > 0 {
		bufs[0] = memory.NewBufferBytes(pack(c.valid))
	}
	switch c.id {
	case arrow.STRING, arrow.BINARY:
		bufs = append(bufs, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(c.offsets)), memory.NewBufferBytes(c.data))
	case arrow.FLOAT64:
		bufs = append(bufs, memory.NewBufferBytes(arrow.Float64Traits.CastToBytes(c.floats)))
	case arrow.BOOL:
		bufs = append(bufs, memory.NewBufferBytes(pack(c.bools)))
	case arrow.INT32, arrow.DATE32:
		narrow := make([]int32, len(c.ints))
		for i, v := range c.ints {
			narrow[i] = int32(v) //nolint:gosec // checked when it was appended
		}
		bufs = append(bufs, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(narrow)))
	default:
		bufs = append(bufs, memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(c.ints)))
	}
	d := array.NewData(c.Type, c.n, bufs, nil, c.nulls, 0)
	defer d.Release()
	return array.MakeFromData(d)
}

// pack makes a bitmap of bytes that are 0 or 1.
func pack(b []byte) []byte {
	out := make([]byte, bitutil.BytesForBits(int64(len(b))))
	for i, v := range b {
		out[i>>3] |= v << (i & 7)
	}
	return out
}

// Quote appends text, which is UTF-8, as a JSON string; bytes that are not UTF-8 become U+FFFD.
func Quote(b, text []byte) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRune(text[i:])
			b = utf8.AppendRune(b, r)
			i += n
			continue
		default:
			b = append(b, c)
		}
		i++
	}
	return append(b, '"')
}
