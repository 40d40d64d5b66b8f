package json

import (
	"encoding/base64"
	"math"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
)

// storage is how a column stores its values.
type storage uint8

const (
	texts storage = iota
	binaries
	ints
	others // integers of 32 bits, timestamps and dates, in 64 bits
	doubles
	bools
	lists
	structs
)

// column gathers the values of one column, or of a part of a nested one. Its buffers are used again for the next batch.
type column struct {
	name  string
	typ   arrow.DataType
	store storage
	key   key
	n     int
	nulls []int32 // which values are null, rising

	ints    []int64
	floats  []float64
	bools   []byte
	offsets []int32 // of texts, binaries and lists: n+1 of them
	data    []byte
	kids    []*column // of structs; one, the elements, of lists
	index   map[string]int
}

func newColumn(name string, t arrow.DataType) *column {
	c := &column{name: name, typ: t, key: newKey(name), store: others}
	switch t := t.(type) {
	case *arrow.StringType:
		c.store, c.offsets = texts, []int32{0}
	case *arrow.BinaryType:
		c.store, c.offsets = binaries, []int32{0}
	case *arrow.Int64Type:
		c.store = ints
	case *arrow.Float64Type:
		c.store = doubles
	case *arrow.BooleanType:
		c.store = bools
	case *arrow.ListType:
		c.store, c.offsets = lists, []int32{0}
		c.kids = []*column{newColumn("", t.Elem())}
	case *arrow.StructType:
		c.store = structs
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

// truncate drops the values from n on, and what was appended to the parts of a value that did not become whole.
func (c *column) truncate(n int) {
	n = min(n, c.n)
	c.n = n
	for len(c.nulls) > 0 && int(c.nulls[len(c.nulls)-1]) >= n {
		c.nulls = c.nulls[:len(c.nulls)-1]
	}
	switch c.store {
	case texts, binaries:
		c.offsets = c.offsets[:n+1]
		c.data = c.data[:c.offsets[n]]
	case lists:
		c.offsets = c.offsets[:n+1]
		c.kids[0].truncate(int(c.offsets[n]))
	case structs:
		for _, k := range c.kids {
			k.truncate(n)
		}
	case doubles:
		c.floats = c.floats[:n]
	case bools:
		c.bools = c.bools[:n]
	case ints, others:
		c.ints = c.ints[:n]
	}
}

func (c *column) null() {
	c.nulls = append(c.nulls, int32(c.n)) //nolint:gosec // bounded by the size of a batch
	switch c.store {
	case texts, binaries:
		c.offsets = append(c.offsets, int32(len(c.data))) //nolint:gosec // bounded by the size of a batch
	case lists:
		c.offsets = append(c.offsets, int32(c.kids[0].n)) //nolint:gosec // bounded by the size of a batch
	case structs:
		for _, k := range c.kids {
			k.null()
		}
	case doubles:
		c.floats = append(c.floats, 0)
	case bools:
		c.bools = append(c.bools, 0)
	case ints, others:
		c.ints = append(c.ints, 0)
	}
	c.n++
}

// setText ends a text or binary value, whose bytes are appended already.
func (c *column) setText() {
	c.offsets = append(c.offsets, int32(len(c.data))) //nolint:gosec // bounded by the size of a batch
	c.n++
}

func (c *column) setInt(v int64) {
	c.ints = append(c.ints, v)
	c.n++
}

func (c *column) setFloat(v float64) {
	c.floats = append(c.floats, v)
	c.n++
}

func (c *column) setBool(v byte) {
	c.bools = append(c.bools, v)
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
		c.setText()
		return true
	case *arrow.BinaryType:
		b, err := base64.StdEncoding.AppendDecode(c.data, text)
		if err != nil || escaped {
			return false
		}
		c.data = b
		c.setText()
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
		c.setInt(int64(v))
		return true
	case *arrow.Date32Type:
		at, err := time.Parse(time.DateOnly, string(text))
		if err != nil {
			return false
		}
		c.setInt(int64(arrow.Date32FromTime(at)))
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
		c.setInt(v)
	case *arrow.Float64Type:
		v, ok := double(text)
		if !ok || isInt && !exactInt(text) {
			return false
		}
		c.setFloat(v)
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
		c.setInt(v)
	default:
		return false
	}
	return true
}

// exactInt reports whether a double holds an integer's text exactly.
func exactInt(text []byte) bool {
	v, ok := integer(text)
	return ok && int64(float64(v)) == v && (v <= 1<<53 && v >= -1<<53 || float64(v) < math.MaxInt64)
}
