package expr

import (
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// column is a column, or a field within columns of structs; a null struct has null fields.
type column struct {
	typed
	path []int
}

// arrays are the column and the fields on the way down.
func (x *column) arrays(f *frame) []arrow.Array {
	out := make([]arrow.Array, len(x.path))
	out[0] = f.batch.Rows.Column(x.path[0])
	for k := 1; k < len(x.path); k++ {
		out[k] = out[k-1].(*array.Struct).Field(x.path[k])
	}
	return out
}

func (x *column) vec(f *frame) *vec {
	if v := f.cols[x]; v != nil {
		return v
	}
	arrays := x.arrays(f)
	leaf := arrays[len(arrays)-1]
	out := newVec(kindOf(x.t), f.n)
	for _, a := range arrays {
		if a.NullN() == 0 {
			continue
		}
		for i := range f.n {
			if a.IsNull(i) {
				out.null(i)
			}
		}
	}
	out.fill(leaf)
	f.cols[x] = out
	return out
}

// fill copies the valid values of a column.
func (x *vec) fill(a arrow.Array) {
	switch c := a.(type) {
	case *array.Int64:
		x.i = c.Int64Values()
		return
	case *array.Float64:
		x.f = c.Float64Values()
		return
	case *array.Boolean:
		for i := range x.b {
			x.b[i] = c.Value(i)
		}
		return
	case *array.String:
		for i := range x.s {
			x.s[i] = c.Value(i)
		}
		return
	case *array.Timestamp:
		unit := c.DataType().(*arrow.TimestampType).Unit
		for i := range x.t {
			x.t[i] = stampOf(toTime(c.Value(i), unit))
		}
		return
	}
	for i := range x.n {
		if x.ok(i) {
			x.set(i, box(a, i), nil)
		}
	}
}

// toTime is exact for every value, unlike arrow's own conversion of coarse units.
func toTime(v arrow.Timestamp, unit arrow.TimeUnit) time.Time {
	switch unit {
	case arrow.Second:
		return time.Unix(int64(v), 0).UTC()
	case arrow.Millisecond:
		return time.UnixMilli(int64(v)).UTC()
	case arrow.Microsecond:
		return time.UnixMicro(int64(v)).UTC()
	default:
		return time.Unix(0, int64(v)).UTC()
	}
}

func (x *column) row(f *frame, i int, _ *scope) (ref.Val, *failure) {
	arrays := x.arrays(f)
	for _, a := range arrays {
		if a.IsNull(i) {
			return types.NullValue, nil
		}
	}
	return box(arrays[len(arrays)-1], i), nil
}

// box is one value as CEL has it.
func box(a arrow.Array, i int) ref.Val {
	if a.IsNull(i) {
		return types.NullValue
	}
	switch c := a.(type) {
	case *array.Boolean:
		return types.Bool(c.Value(i))
	case *array.Int8:
		return types.Int(c.Value(i))
	case *array.Int16:
		return types.Int(c.Value(i))
	case *array.Int32:
		return types.Int(c.Value(i))
	case *array.Int64:
		return types.Int(c.Value(i))
	case *array.Uint8:
		return types.Int(c.Value(i))
	case *array.Uint16:
		return types.Int(c.Value(i))
	case *array.Uint32:
		return types.Int(c.Value(i))
	case *array.Float32:
		return types.Double(c.Value(i))
	case *array.Float64:
		return types.Double(c.Value(i))
	case *array.String:
		return types.String(c.Value(i))
	case *array.LargeString:
		return types.String(c.Value(i))
	case *array.Binary:
		return types.Bytes(c.Value(i))
	case *array.LargeBinary:
		return types.Bytes(c.Value(i))
	case *array.Timestamp:
		return types.Timestamp{Time: toTime(c.Value(i), c.DataType().(*arrow.TimestampType).Unit)}
	case *array.Date32:
		return types.Timestamp{Time: c.Value(i).ToTime()}
	case *array.Date64:
		return types.Timestamp{Time: c.Value(i).ToTime()}
	default:
		return boxNested(a, i)
	}
}

func boxNested(a arrow.Array, i int) ref.Val {
	switch c := a.(type) {
	case *array.List:
		from, to := c.ValueOffsets(i)
		vals := make([]ref.Val, 0, to-from)
		for j := from; j < to; j++ {
			vals = append(vals, box(c.ListValues(), int(j)))
		}
		return types.NewRefValList(types.DefaultTypeAdapter, vals)
	case *array.Struct:
		fields := c.DataType().(*arrow.StructType).Fields()
		vals := make(map[ref.Val]ref.Val, len(fields))
		for k, f := range fields {
			vals[types.String(f.Name)] = box(c.Field(k), i)
		}
		return types.NewRefValMap(types.DefaultTypeAdapter, vals)
	default:
		return types.NullValue
	}
}
