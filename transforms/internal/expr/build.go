package expr

import (
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// misfit fails a row whose value its column cannot hold.
func (x *vec) misfit(i int) {
	if x.one {
		x.one, x.valid, x.fails = true, []bool{false}, map[int]*failure{0: {codeOverflow, "the value does not fit its column"}}
		return
	}
	x.fail(i, &failure{codeOverflow, "the value does not fit its column"})
}

// appendValue appends row i; false says that the column cannot hold it.
func appendValue(b array.Builder, v *vec, i int) bool {
	j := i & v.mask()
	switch x := b.(type) {
	case *array.Int64Builder:
		if v.kind == kindInt {
			x.Append(v.i[j])
			return true
		}
	case *array.Float64Builder:
		if v.kind == kindDouble {
			x.Append(v.f[j])
			return true
		}
	case *array.BooleanBuilder:
		if v.kind == kindBool {
			x.Append(v.b[j])
			return true
		}
	case *array.StringBuilder:
		if v.kind == kindString {
			x.Append(v.s[j])
			return true
		}
	}
	return appendBoxed(b, v.value(i))
}

// appendBoxed appends a value of CEL's; false says that the column cannot hold it, and nothing was appended.
func appendBoxed(b array.Builder, v ref.Val) bool {
	if v == types.NullValue {
		b.AppendNull()
		return true
	}
	switch x := b.(type) {
	case *array.Int64Builder:
		n, ok := v.(types.Int)
		if ok {
			x.Append(int64(n))
		}
		return ok
	case *array.Float64Builder:
		d, ok := asDouble(v)
		if ok {
			x.Append(d)
		}
		return ok
	case *array.BooleanBuilder:
		t, ok := v.(types.Bool)
		if ok {
			x.Append(bool(t))
		}
		return ok
	case *array.StringBuilder:
		s, ok := v.(types.String)
		if ok {
			x.Append(string(s))
		}
		return ok
	case *array.BinaryBuilder:
		s, ok := v.(types.Bytes)
		if ok {
			x.Append(s)
		}
		return ok
	case *array.TimestampBuilder:
		return appendTime(x, v)
	case *array.ListBuilder:
		return appendList(x, v)
	default:
		return false
	}
}

func appendTime(b *array.TimestampBuilder, v ref.Val) bool {
	t, ok := v.(types.Timestamp)
	if !ok {
		return false
	}
	switch unit := b.Type().(*arrow.TimestampType).Unit; unit {
	case arrow.Second:
		b.Append(arrow.Timestamp(t.Unix()))
	case arrow.Millisecond:
		b.Append(arrow.Timestamp(t.UnixMilli()))
	case arrow.Microsecond:
		b.Append(arrow.Timestamp(t.UnixMicro()))
	default:
		if y := t.Year(); y < 1678 || y > 2261 {
			return false
		}
		b.Append(arrow.Timestamp(t.UnixNano()))
	}
	return true
}

// appendList appends all elements or, when its column cannot hold one of them, nothing.
func appendList(b *array.ListBuilder, v ref.Val) bool {
	l, ok := v.(traits.Lister)
	if !ok || !fits(b.Type(), v) {
		return false
	}
	b.Append(true)
	n := int(l.Size().(types.Int))
	for i := range n {
		appendBoxed(b.ValueBuilder(), l.Get(types.Int(i)))
	}
	return true
}

// fits reports whether a column of type dt holds v.
func fits(dt arrow.DataType, v ref.Val) bool {
	if v == types.NullValue {
		return true
	}
	ok := false
	switch d := dt.(type) {
	case *arrow.Int64Type:
		_, ok = v.(types.Int)
	case *arrow.Float64Type:
		_, ok = asDouble(v)
	case *arrow.BooleanType:
		_, ok = v.(types.Bool)
	case *arrow.StringType:
		_, ok = v.(types.String)
	case *arrow.BinaryType:
		_, ok = v.(types.Bytes)
	case *arrow.TimestampType:
		var t types.Timestamp
		t, ok = v.(types.Timestamp)
		ok = ok && (d.Unit != arrow.Nanosecond || t.Year() >= 1678 && t.Year() <= 2261)
	case *arrow.ListType:
		var l traits.Lister
		if l, ok = v.(traits.Lister); ok {
			for it := l.Iterator(); ok && it.HasNext() == types.True; {
				ok = fits(d.Elem(), it.Next())
			}
		}
	}
	return ok
}
