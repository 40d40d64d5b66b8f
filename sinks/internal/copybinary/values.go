package copybinary

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/jackc/pgx/v5/pgtype"
)

// direct is how values are written without their text; nil where there is no such way.
func direct(a arrow.Array, oid uint32) appender {
	switch a := a.(type) {
	case *array.Boolean:
		if oid == pgtype.BoolOID {
			return func(dst []byte, i int) ([]byte, error) {
				if a.Value(i) {
					return append(dst, 1), nil
				}
				return append(dst, 0), nil
			}
		}
	case *array.Float64:
		return float(a.Value, oid)
	case *array.Float32:
		return float(func(i int) float64 { return float64(a.Value(i)) }, oid)
	case *array.Binary:
		return octets(a.Value, oid)
	case *array.LargeBinary:
		return octets(a.Value, oid)
	case *array.FixedSizeBinary:
		return octets(a.Value, oid)
	case *array.Timestamp:
		return moment(a, oid)
	case *array.Date32:
		return day(func(i int) int64 { return int64(a.Value(i)) }, oid)
	case *array.Date64:
		return day(func(i int) int64 { return floorDiv(int64(a.Value(i)), 86_400_000) }, oid)
	}
	if value := integers(a); value != nil {
		return integer(value, oid)
	}
	return nil
}

// integers reads a column of integers that int64 holds; nil for others.
func integers(a arrow.Array) func(i int) int64 {
	switch a := a.(type) {
	case *array.Int64:
		return a.Value
	case *array.Int32:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Int16:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Int8:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Uint32:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Uint16:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Uint8:
		return func(i int) int64 { return int64(a.Value(i)) }
	}
	return nil
}

func integer(value func(int) int64, oid uint32) appender {
	be := binary.BigEndian
	switch oid {
	case pgtype.Int8OID:
		return func(dst []byte, i int) ([]byte, error) { return be.AppendUint64(dst, uint64(value(i))), nil } //nolint:gosec // the same bits
	case pgtype.Int4OID:
		return func(dst []byte, i int) ([]byte, error) {
			v := value(i)
			if v != int64(int32(v)) { //nolint:gosec // compared
				return dst, fmt.Errorf("%d is no integer of 32 bits", v)
			}
			return be.AppendUint32(dst, uint32(v)), nil //nolint:gosec // the same bits
		}
	case pgtype.Int2OID:
		return func(dst []byte, i int) ([]byte, error) {
			v := value(i)
			if v != int64(int16(v)) { //nolint:gosec // compared
				return dst, fmt.Errorf("%d is no integer of 16 bits", v)
			}
			return be.AppendUint16(dst, uint16(v)), nil //nolint:gosec // the same bits
		}
	case pgtype.Float8OID:
		return func(dst []byte, i int) ([]byte, error) {
			v := value(i)
			if !exact(v, 53) {
				return dst, fmt.Errorf("%d has no exact double precision", v)
			}
			return be.AppendUint64(dst, math.Float64bits(float64(v))), nil
		}
	case pgtype.Float4OID:
		return func(dst []byte, i int) ([]byte, error) {
			v := value(i)
			if !exact(v, 24) {
				return dst, fmt.Errorf("%d has no exact real", v)
			}
			return be.AppendUint32(dst, math.Float32bits(float32(v))), nil
		}
	}
	return nil
}

// exact reports whether a float with so many bits of mantissa holds v.
func exact(v int64, mantissa int) bool {
	u := uint64(max(v, -v)) //nolint:gosec // of the least integer too
	return bits.Len64(u)-bits.TrailingZeros64(u) <= mantissa
}

func float(value func(int) float64, oid uint32) appender {
	switch oid {
	case pgtype.Float8OID:
		return func(dst []byte, i int) ([]byte, error) {
			return binary.BigEndian.AppendUint64(dst, math.Float64bits(value(i))), nil
		}
	case pgtype.Float4OID:
		return func(dst []byte, i int) ([]byte, error) {
			v := value(i)
			if math.IsInf(float64(float32(v)), 0) && !math.IsInf(v, 0) {
				return dst, fmt.Errorf("%v is too large for a real", v)
			}
			return binary.BigEndian.AppendUint32(dst, math.Float32bits(float32(v))), nil
		}
	}
	return nil
}

func octets(value func(int) []byte, oid uint32) appender {
	if oid != pgtype.ByteaOID {
		return nil
	}
	return func(dst []byte, i int) ([]byte, error) { return append(dst, value(i)...), nil }
}

// Times of PostgreSQL begin in 2000, and end at these.
const (
	epochMicros  = 946_684_800_000_000
	epochDays    = 10_957
	firstMicros  = -211_813_488_000_000_000 // 4714-11-24 BC, from 2000 on
	behindMicros = 9_223_371_331_200_000_000
	firstDay     = -2_451_545
	behindDay    = 2_145_031_949
)

var errTime = errors.New("the time is outside of what PostgreSQL has")

// moment writes timestamps; one with a time zone is a moment in UTC either way, as Penstock's are.
func moment(a *array.Timestamp, oid uint32) appender {
	if oid != pgtype.TimestamptzOID && oid != pgtype.TimestampOID {
		return nil
	}
	times, over := int64(1), int64(1)
	switch a.DataType().(*arrow.TimestampType).Unit {
	case arrow.Second:
		times = 1_000_000
	case arrow.Millisecond:
		times = 1_000
	case arrow.Microsecond:
	case arrow.Nanosecond:
		over = 1_000
	}
	return func(dst []byte, i int) ([]byte, error) {
		v := int64(a.Value(i))
		hi, lo := bits.Mul64(uint64(max(v, -v)), uint64(times)) //nolint:gosec // positive
		if hi != 0 || lo > math.MaxInt64 {
			return dst, errTime
		}
		v = floorDiv(v*times, over)
		if v < firstMicros+epochMicros { // no int64 is too late
			return dst, errTime
		}
		return binary.BigEndian.AppendUint64(dst, uint64(v-epochMicros)), nil //nolint:gosec // the same bits
	}
}

func day(value func(int) int64, oid uint32) appender {
	switch oid {
	case pgtype.DateOID:
		return func(dst []byte, i int) ([]byte, error) {
			v := value(i) - epochDays
			if v < firstDay || v >= behindDay {
				return dst, errTime
			}
			return binary.BigEndian.AppendUint32(dst, uint32(v)), nil //nolint:gosec // the same bits
		}
	case pgtype.TimestampOID, pgtype.TimestamptzOID:
		return func(dst []byte, i int) ([]byte, error) {
			v := value(i) - epochDays
			if v < firstDay || v >= behindMicros/86_400_000_000 {
				return dst, errTime
			}
			return binary.BigEndian.AppendUint64(dst, uint64(v*86_400_000_000)), nil //nolint:gosec // the same bits
		}
	}
	return nil
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
