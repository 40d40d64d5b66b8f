package parquet_test

import (
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	pq "github.com/parquet-go/parquet-go"

	"github.com/penstock/penstock/core"
)

// reference appends to each column the values that rows of rec have there, with their levels, one by one and by the book.
func reference(dst [][]pq.Value, rec arrow.Record, rows []int32) [][]pq.Value {
	if rows == nil {
		for i := range int32(rec.NumRows()) {
			rows = append(rows, i)
		}
	}
	column := 0
	var walk func(steps []arrow.Array)
	walk = func(steps []arrow.Array) {
		switch a := steps[len(steps)-1].(type) {
		case *array.Struct:
			for i := range a.NumField() {
				walk(append(steps[:len(steps):len(steps)], a.Field(i)))
			}
		case array.ListLike:
			walk(append(steps[:len(steps):len(steps)], a.ListValues()))
		default:
			if column == len(dst) {
				dst = append(dst, nil)
			}
			for _, i := range rows {
				dst[column] = emit(dst[column], steps, int(i), 0, 0, 0, column)
			}
			column++
		}
	}
	for c := core.HiddenColumns; c < int(rec.NumCols()); c++ {
		walk([]arrow.Array{rec.Column(c)})
	}
	return dst
}

// emit appends value i of the first step. lists is how many lists there are above.
func emit(dst []pq.Value, steps []arrow.Array, i, rep, def, lists, column int) []pq.Value {
	a := steps[0]
	if a.IsNull(i) || a.DataType().ID() == arrow.NULL {
		return append(dst, pq.Value{}.Level(rep, def, column))
	}
	switch a := a.(type) {
	case *array.Struct:
		return emit(dst, steps[1:], i, rep, def+1, lists, column)
	case array.ListLike:
		from, to := a.ValueOffsets(i)
		if from == to {
			return append(dst, pq.Value{}.Level(rep, def+1, column))
		}
		for j := from; j < to; j++ {
			dst = emit(dst, steps[1:], int(j), rep, def+2, lists+1, column)
			rep = lists + 1
		}
		return dst
	}
	return append(dst, valueOf(a, i).Level(rep, def+1, column))
}

func valueOf(a arrow.Array, i int) pq.Value {
	switch a := a.(type) {
	case *array.Boolean:
		return pq.BooleanValue(a.Value(i))
	case *array.Int8:
		return pq.Int32Value(int32(a.Value(i)))
	case *array.Int16:
		return pq.Int32Value(int32(a.Value(i)))
	case *array.Int32:
		return pq.Int32Value(a.Value(i))
	case *array.Int64:
		return pq.Int64Value(a.Value(i))
	case *array.Uint8:
		return pq.Int32Value(int32(a.Value(i)))
	case *array.Uint16:
		return pq.Int32Value(int32(a.Value(i)))
	case *array.Uint32:
		return pq.Int32Value(int32(a.Value(i)))
	case *array.Uint64:
		return pq.Int64Value(int64(a.Value(i)))
	case *array.Float32:
		return pq.FloatValue(a.Value(i))
	case *array.Float64:
		return pq.DoubleValue(a.Value(i))
	case *array.Date32:
		return pq.Int32Value(int32(a.Value(i)))
	case *array.Timestamp:
		if a.DataType().(*arrow.TimestampType).Unit == arrow.Second {
			return pq.Int64Value(int64(a.Value(i)) * 1000)
		}
		return pq.Int64Value(int64(a.Value(i)))
	case *array.String:
		return pq.ByteArrayValue([]byte(a.Value(i)))
	case *array.LargeString:
		return pq.ByteArrayValue([]byte(a.Value(i)))
	case *array.Binary:
		return pq.ByteArrayValue(a.Value(i))
	case *array.LargeBinary:
		return pq.ByteArrayValue(a.Value(i))
	}
	panic(a.DataType())
}
