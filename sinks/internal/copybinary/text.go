package copybinary

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/penstock/penstock/connectors/rowjson"
	"github.com/penstock/penstock/core"
)

// text appends values as text: strings as they are, others as JSON has them, without quotes.
func text(a arrow.Array) (func(dst []byte, i int) []byte, error) {
	switch a := a.(type) {
	case *array.String:
		return func(dst []byte, i int) []byte { return append(dst, a.Value(i)...) }, nil
	case *array.LargeString:
		return func(dst []byte, i int) []byte { return append(dst, a.Value(i)...) }, nil
	case *array.Binary, *array.LargeBinary, *array.FixedSizeBinary:
		return nil, fmt.Errorf("bytes are no text: %w", core.ErrInvalid)
	case *array.Decimal128:
		scale := a.DataType().(*arrow.Decimal128Type).Scale
		return func(dst []byte, i int) []byte { return append(dst, a.Value(i).ToString(scale)...) }, nil
	case *array.Decimal256:
		scale := a.DataType().(*arrow.Decimal256Type).Scale
		return func(dst []byte, i int) []byte { return append(dst, a.Value(i).ToString(scale)...) }, nil
	case *array.Time32, *array.Time64:
		return func(dst []byte, i int) []byte { return append(dst, a.ValueStr(i)...) }, nil
	}
	value, err := rowjson.Values(a)
	if err != nil {
		return nil, err
	}
	switch a.(type) {
	case *array.Timestamp, *array.Date32, *array.Float32, *array.Float64: // in quotes, of floats NaN and the infinities
		return func(dst []byte, i int) []byte {
			at := len(dst)
			dst = value(dst, i)
			return append(dst[:at], bytes.Trim(dst[at:], `"`)...)
		}, nil
	}
	return value, nil
}

var (
	errNUL  = errors.New("PostgreSQL stores no character U+0000 in text")
	errUTF8 = errors.New("the text is not valid UTF-8")
)

// checked writes text that PostgreSQL takes.
func checked(write func([]byte, int) []byte) appender {
	return func(dst []byte, i int) ([]byte, error) {
		at := len(dst)
		dst = write(dst, i)
		return dst, clean(dst[at:])
	}
}

func clean(text []byte) error {
	switch {
	case bytes.IndexByte(text, 0) >= 0:
		return errNUL
	case !utf8.Valid(text):
		return errUTF8
	}
	return nil
}

// document writes json and jsonb: strings are documents already, everything else becomes one.
func document(a arrow.Array, c Column) (appender, error) {
	var write func([]byte, int) []byte
	var err error
	switch a.(type) {
	case *array.String, *array.LargeString, *array.Decimal128, *array.Decimal256:
		write, err = text(a)
	default:
		write, err = rowjson.Values(a)
	}
	if err != nil {
		return nil, mismatch(a, c)
	}
	return func(dst []byte, i int) ([]byte, error) {
		if c.OID == pgtype.JSONBOID {
			dst = append(dst, 1) // the version of the format
		}
		at := len(dst)
		dst = write(dst, i)
		return dst, clean(dst[at:])
	}, nil
}

// parsed writes values of a type that pgx knows, from their text.
func parsed(types *pgtype.Map, write func([]byte, int) []byte, c Column) (appender, error) {
	t, ok := types.TypeForOID(c.OID)
	if !ok || !t.Codec.FormatSupported(pgtype.BinaryFormatCode) || !t.Codec.FormatSupported(pgtype.TextFormatCode) {
		return nil, fmt.Errorf("column %q has type %s, which is not known here: %w", c.Name, c.Type, core.ErrInvalid)
	}
	var buf []byte
	return func(dst []byte, i int) ([]byte, error) {
		buf = write(buf[:0], i)
		value, err := read(types, t, buf)
		if err != nil {
			return dst, fmt.Errorf("%s is no %s", shown(buf), c.Type)
		}
		out, err := types.Encode(c.OID, pgtype.BinaryFormatCode, value, dst)
		if err != nil || out == nil {
			return dst, fmt.Errorf("%s is no %s", shown(buf), c.Type)
		}
		return out, nil
	}, nil
}

// read parses a text as the type has it, and times as RFC 3339 has them too.
func read(types *pgtype.Map, t *pgtype.Type, text []byte) (any, error) {
	switch t.OID {
	case pgtype.TimestamptzOID, pgtype.TimestampOID:
		if at, err := time.Parse(time.RFC3339Nano, string(text)); err == nil {
			return at.UTC(), nil
		}
	case pgtype.NumericOID:
		return number(types, t, text)
	case pgtype.DateOID:
		if at, err := time.Parse(time.DateOnly, string(text)); err == nil {
			return at, nil
		}
	}
	return t.Codec.DecodeValue(types, t.OID, pgtype.TextFormatCode, bytes.Clone(text))
}

// number parses a number, also one with an exponent, which pgx does not.
func number(types *pgtype.Map, t *pgtype.Type, text []byte) (any, error) {
	at := bytes.IndexAny(text, "eE")
	if at < 0 {
		return t.Codec.DecodeValue(types, t.OID, pgtype.TextFormatCode, bytes.Clone(text))
	}
	exponent, err := strconv.ParseInt(string(text[at+1:]), 10, 16)
	if err != nil {
		return nil, err
	}
	var n pgtype.Numeric
	if err := n.Scan(string(text[:at])); err != nil {
		return nil, err
	}
	if n.NaN || n.InfinityModifier != pgtype.Finite {
		return nil, errors.New("it has no exponent")
	}
	n.Exp += int32(exponent)
	return n, nil
}

// shown is a text for people, cut where it is long.
func shown(text []byte) string {
	const most = 80
	if len(text) > most {
		return strconv.Quote(string(text[:most])) + "..."
	}
	return strconv.Quote(string(text))
}
