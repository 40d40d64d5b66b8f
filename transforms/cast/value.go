package cast

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// castable reports whether some value of from can become one of to.
func castable(from, to arrow.DataType) bool {
	switch from.ID() {
	case arrow.NULL, arrow.STRING:
		return true
	case arrow.BINARY:
		return to.ID() == arrow.STRING
	case arrow.INT64, arrow.FLOAT64:
		return to.ID() != arrow.TIMESTAMP
	case arrow.INT32:
		return to.ID() == arrow.INT64 || to.ID() == arrow.FLOAT64 || to.ID() == arrow.STRING
	case arrow.BOOL:
		return to.ID() == arrow.STRING || to.ID() == arrow.INT64
	case arrow.TIMESTAMP, arrow.DATE32:
		return to.ID() == arrow.STRING || to.ID() == arrow.TIMESTAMP
	default:
		return false
	}
}

// appendCast appends row i of col; false, and nothing appended, says that it has no exact counterpart.
func appendCast(b array.Builder, col arrow.Array, i int) bool {
	switch x := b.(type) {
	case *array.StringBuilder:
		s, ok := text(col, i)
		if ok {
			x.Append(s)
		}
		return ok
	case *array.Int64Builder:
		n, ok := integer(col, i)
		if ok {
			x.Append(n)
		}
		return ok
	case *array.Float64Builder:
		d, ok := double(col, i)
		if ok {
			x.Append(d)
		}
		return ok
	case *array.BooleanBuilder:
		t, ok := truth(col, i)
		if ok {
			x.Append(t)
		}
		return ok
	case *array.TimestampBuilder:
		t, ok := instant(col, i)
		if ok {
			x.Append(arrow.Timestamp(t.UnixMicro()))
		}
		return ok
	default:
		return false
	}
}

func text(col arrow.Array, i int) (string, bool) {
	switch c := col.(type) {
	case *array.Binary:
		s := string(c.Value(i))
		return s, utf8.ValidString(s)
	case *array.Float64:
		return strconv.FormatFloat(c.Value(i), 'g', -1, 64), true
	case *array.Timestamp, *array.Date32:
		t, ok := moment(col, i)
		return t.Format(time.RFC3339Nano), ok
	default:
		return col.ValueStr(i), true
	}
}

func integer(col arrow.Array, i int) (int64, bool) {
	switch c := col.(type) {
	case *array.String:
		n, err := strconv.ParseInt(c.Value(i), 10, 64)
		return n, err == nil
	case *array.Int32:
		return int64(c.Value(i)), true
	case *array.Float64:
		d := c.Value(i)
		if d != math.Trunc(d) || d < -(1<<63) || d >= 1<<63 {
			return 0, false
		}
		return int64(d), true
	case *array.Boolean:
		if c.Value(i) {
			return 1, true
		}
		return 0, true
	default:
		return 0, false
	}
}

func double(col arrow.Array, i int) (float64, bool) {
	switch c := col.(type) {
	case *array.String:
		d, err := strconv.ParseFloat(c.Value(i), 64)
		return d, err == nil
	case *array.Int32:
		return float64(c.Value(i)), true
	case *array.Int64:
		n := c.Value(i)
		d := float64(n)
		return d, d < 1<<63 && int64(d) == n
	default:
		return 0, false
	}
}

func truth(col arrow.Array, i int) (bool, bool) {
	switch c := col.(type) {
	case *array.String:
		switch c.Value(i) {
		case "true", "True", "TRUE", "1":
			return true, true
		case "false", "False", "FALSE", "0":
			return false, true
		}
	case *array.Int64:
		return c.Value(i) == 1, c.Value(i) == 0 || c.Value(i) == 1
	case *array.Float64:
		return c.Value(i) == 1, c.Value(i) == 0 || c.Value(i) == 1
	}
	return false, false
}

// instant is a time that microseconds hold exactly.
func instant(col arrow.Array, i int) (time.Time, bool) {
	if c, ok := col.(*array.String); ok {
		t, err := time.Parse(time.RFC3339Nano, c.Value(i))
		return t, err == nil && t.Nanosecond()%1000 == 0
	}
	t, ok := moment(col, i)
	return t, ok && t.Nanosecond()%1000 == 0
}

// moment is the time that a column of times holds, within the years that have four digits.
func moment(col arrow.Array, i int) (time.Time, bool) {
	var t time.Time
	switch c := col.(type) {
	case *array.Date32:
		t = c.Value(i).ToTime()
	case *array.Timestamp:
		v := int64(c.Value(i))
		switch c.DataType().(*arrow.TimestampType).Unit {
		case arrow.Second:
			t = time.Unix(v, 0)
		case arrow.Millisecond:
			t = time.UnixMilli(v)
		case arrow.Microsecond:
			t = time.UnixMicro(v)
		case arrow.Nanosecond:
			t = time.Unix(0, v)
		}
	default:
		return t, false
	}
	t = t.UTC()
	return t, t.Year() >= 1 && t.Year() <= 9999
}
