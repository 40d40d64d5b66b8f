package rowjson

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/penstock/penstock/core"
)

// appender appends the valid value i of one column.
type appender func(dst []byte, i int) []byte

func appenderOf(a arrow.Array) (appender, error) {
	switch a := a.(type) {
	case *array.Null:
		return func(dst []byte, _ int) []byte { return append(dst, "null"...) }, nil
	case *array.Boolean:
		return func(dst []byte, i int) []byte { return strconv.AppendBool(dst, a.Value(i)) }, nil
	case *array.Float32:
		return func(dst []byte, i int) []byte { return appendFloat(dst, float64(a.Value(i)), 32) }, nil
	case *array.Float64:
		return func(dst []byte, i int) []byte { return appendFloat(dst, a.Value(i), 64) }, nil
	case *array.Date32:
		return func(dst []byte, i int) []byte {
			return append(time.Unix(int64(a.Value(i))*86400, 0).UTC().AppendFormat(append(dst, '"'), time.DateOnly), '"')
		}, nil
	case *array.Timestamp:
		unit := a.DataType().(*arrow.TimestampType).Unit
		return func(dst []byte, i int) []byte {
			return append(a.Value(i).ToTime(unit).UTC().AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
		}, nil
	case *array.String:
		return func(dst []byte, i int) []byte { return appendString(dst, a.Value(i)) }, nil
	case *array.LargeString:
		return func(dst []byte, i int) []byte { return appendString(dst, a.Value(i)) }, nil
	case *array.Binary:
		return func(dst []byte, i int) []byte { return appendBase64(dst, a.Value(i)) }, nil
	case *array.LargeBinary:
		return func(dst []byte, i int) []byte { return appendBase64(dst, a.Value(i)) }, nil
	case *array.Struct:
		return structAppender(a)
	case *array.List:
		return listAppender(a)
	case *array.LargeList:
		return listAppender(a)
	}
	return integerAppender(a)
}

func integerAppender(a arrow.Array) (appender, error) {
	integer := func(value func(int) int64) (appender, error) {
		return func(dst []byte, i int) []byte { return strconv.AppendInt(dst, value(i), 10) }, nil
	}
	switch a := a.(type) {
	case *array.Int8:
		return integer(func(i int) int64 { return int64(a.Value(i)) })
	case *array.Int16:
		return integer(func(i int) int64 { return int64(a.Value(i)) })
	case *array.Int32:
		return integer(func(i int) int64 { return int64(a.Value(i)) })
	case *array.Int64:
		return integer(a.Value)
	case *array.Uint8:
		return integer(func(i int) int64 { return int64(a.Value(i)) })
	case *array.Uint16:
		return integer(func(i int) int64 { return int64(a.Value(i)) })
	case *array.Uint32:
		return integer(func(i int) int64 { return int64(a.Value(i)) })
	case *array.Uint64:
		return func(dst []byte, i int) []byte { return strconv.AppendUint(dst, a.Value(i), 10) }, nil
	}
	return nil, fmt.Errorf("type %s has no form in JSON; cast it: %w", a.DataType(), core.ErrInvalid)
}

func structAppender(a *array.Struct) (appender, error) {
	t := a.DataType().(*arrow.StructType)
	cols := make([]column, a.NumField())
	for c := range cols {
		var err error
		if cols[c], err = newColumn(t.Field(c).Name, a.Field(c)); err != nil {
			return nil, err
		}
	}
	return func(dst []byte, i int) []byte { return appendObject(dst, cols, i) }, nil
}

func listAppender(a array.ListLike) (appender, error) {
	values := a.ListValues()
	value, err := appenderOf(values)
	if err != nil {
		return nil, err
	}
	return func(dst []byte, i int) []byte {
		start, end := a.ValueOffsets(i)
		dst = append(dst, '[')
		for j := start; j < end; j++ {
			if j > start {
				dst = append(dst, ',')
			}
			if values.IsNull(int(j)) {
				dst = append(dst, "null"...)
			} else {
				dst = value(dst, int(j))
			}
		}
		return append(dst, ']')
	}, nil
}

type column struct {
	name  []byte // quoted, with its colon
	arr   arrow.Array
	value appender
}

func newColumn(name string, a arrow.Array) (column, error) {
	value, err := appenderOf(a)
	if err != nil {
		return column{}, fmt.Errorf("column %q: %w", name, err)
	}
	return column{append(appendString(nil, name), ':'), a, value}, nil
}

// appendObject leaves out what is null.
func appendObject(dst []byte, cols []column, i int) []byte {
	dst = append(dst, '{')
	first := true
	for c := range cols {
		if cols[c].arr.IsNull(i) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = cols[c].value(append(dst, cols[c].name...), i)
	}
	return append(dst, '}')
}

// appendFloat writes the shortest decimal that reads back as f. JSON has no NaN or infinity: they are strings.
func appendFloat(dst []byte, f float64, bits int) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(strconv.AppendFloat(append(dst, '"'), f, 'g', -1, bits), '"')
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, bits)
}

func appendBase64(dst, b []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), b), '"')
}

// appendString quotes s. Only strings with a character that needs an escape take the slow way.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return appendEscaped(dst, s)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}

func appendEscaped(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case r < ' ':
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}
