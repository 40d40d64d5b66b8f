package parquet

import (
	"fmt"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/parquet-go/parquet-go"

	"github.com/penstock/penstock/core"
)

// step is one array on the way from a top-level column to a leaf. Each step may be null, so each adds a definition
// level; a list adds another, and the repetition level rep.
type step struct {
	arr  arrow.Array
	list array.ListLike // set for a list
	rep  int
}

// leaf is one Parquet column of one batch.
type leaf struct {
	column int
	steps  []step // the last is the leaf itself
	value  func(i int) parquet.Value
	size   func(i int) int // bytes of a value, for the memory bound; nil for fixed width
}

// leavesOf are the leaves of the visible columns, in the order of Parquet's columns.
func leavesOf(rec arrow.Record) ([]leaf, error) {
	var out []leaf
	for i := core.HiddenColumns; i < int(rec.NumCols()); i++ {
		var err error
		if out, err = appendLeaves(out, nil, rec.Column(i), 0); err != nil {
			return nil, fmt.Errorf("column %q: %w", rec.ColumnName(i), err)
		}
	}
	return out, nil
}

func appendLeaves(out []leaf, path []step, a arrow.Array, rep int) ([]leaf, error) {
	path = path[:len(path):len(path)]
	switch t := a.(type) {
	case *array.Struct:
		path = append(path, step{arr: a})
		for i := range t.NumField() {
			var err error
			if out, err = appendLeaves(out, path, t.Field(i), rep); err != nil {
				return nil, err
			}
		}
		return out, nil
	case *array.List:
		return appendLeaves(out, append(path, step{a, t, rep + 1}), t.ListValues(), rep+1)
	case *array.LargeList:
		return appendLeaves(out, append(path, step{a, t, rep + 1}), t.ListValues(), rep+1)
	}
	value, size := valueOf(a)
	if value == nil {
		return nil, fmt.Errorf("type %s is not one that this sink writes: %w", a.DataType(), core.ErrInvalid)
	}
	return append(out, leaf{len(out), append(path, step{arr: a}), value, size}), nil
}

// shred appends the values of row i, each with its levels.
func (l *leaf) shred(dst []parquet.Value, i int) []parquet.Value { return l.emit(dst, 0, i, 0, 0) }

func (l *leaf) emit(dst []parquet.Value, depth, i, rep, def int) []parquet.Value {
	s := &l.steps[depth]
	if s.arr.IsNull(i) {
		return append(dst, parquet.Value{}.Level(rep, def, l.column))
	}
	def++
	if depth == len(l.steps)-1 {
		return append(dst, l.value(i).Level(rep, def, l.column))
	}
	if s.list == nil {
		return l.emit(dst, depth+1, i, rep, def)
	}
	start, end := s.list.ValueOffsets(i)
	if start == end {
		return append(dst, parquet.Value{}.Level(rep, def, l.column))
	}
	for j := start; j < end; j++ {
		dst = l.emit(dst, depth+1, int(j), rep, def+1)
		rep = s.rep
	}
	return dst
}

// valueOf reads values of a leaf array, which outlives what is read from it; nil when the type is not supported.
func valueOf(a arrow.Array) (func(int) parquet.Value, func(int) int) {
	switch a := a.(type) {
	case *array.Null:
		return func(int) parquet.Value { return parquet.Value{} }, nil
	case *array.Boolean:
		return func(i int) parquet.Value { return parquet.BooleanValue(a.Value(i)) }, nil
	case *array.Float32:
		return func(i int) parquet.Value { return parquet.FloatValue(a.Value(i)) }, nil
	case *array.Float64:
		return func(i int) parquet.Value { return parquet.DoubleValue(a.Value(i)) }, nil
	case *array.Date32:
		return func(i int) parquet.Value { return parquet.Int32Value(int32(a.Value(i))) }, nil
	case *array.Timestamp:
		scale := int64(1)
		if a.DataType().(*arrow.TimestampType).Unit == arrow.Second {
			scale = 1000
		}
		return func(i int) parquet.Value { return parquet.Int64Value(int64(a.Value(i)) * scale) }, nil
	case *array.String:
		return func(i int) parquet.Value { return parquet.ByteArrayValue(bytesOf(a.Value(i))) }, a.ValueLen
	case *array.LargeString:
		return func(i int) parquet.Value { return parquet.ByteArrayValue(bytesOf(a.Value(i))) }, func(i int) int { return len(a.Value(i)) }
	case *array.Binary:
		return func(i int) parquet.Value { return parquet.ByteArrayValue(a.Value(i)) }, a.ValueLen
	case *array.LargeBinary:
		return func(i int) parquet.Value { return parquet.ByteArrayValue(a.Value(i)) }, func(i int) int { return len(a.Value(i)) }
	}
	return integerOf(a), nil
}

// integerOf reads integers; narrow and unsigned ones are stored by their bits, as Parquet has it.
func integerOf(a arrow.Array) func(int) parquet.Value {
	switch a := a.(type) {
	case *array.Int8:
		return func(i int) parquet.Value { return parquet.Int32Value(int32(a.Value(i))) }
	case *array.Int16:
		return func(i int) parquet.Value { return parquet.Int32Value(int32(a.Value(i))) }
	case *array.Int32:
		return func(i int) parquet.Value { return parquet.Int32Value(a.Value(i)) }
	case *array.Int64:
		return func(i int) parquet.Value { return parquet.Int64Value(a.Value(i)) }
	case *array.Uint8:
		return func(i int) parquet.Value { return parquet.Int32Value(int32(a.Value(i))) }
	case *array.Uint16:
		return func(i int) parquet.Value { return parquet.Int32Value(int32(a.Value(i))) }
	case *array.Uint32:
		return func(i int) parquet.Value { return parquet.Int32Value(int32(a.Value(i))) } //nolint:gosec // by its bits
	case *array.Uint64:
		return func(i int) parquet.Value { return parquet.Int64Value(int64(a.Value(i))) } //nolint:gosec // by its bits
	}
	return nil
}

// bytesOf is the string's memory: the column buffer copies it and does not write to it.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
