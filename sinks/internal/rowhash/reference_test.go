package rowhash

import (
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/cespare/xxhash/v2"

	"github.com/penstock/penstock/core"
)

// reference is Rows value by value, as docs/format/manifest.md has it.
func reference(rec arrow.Record) ([]uint64, error) {
	dst := make([]uint64, rec.NumRows())
	for c := core.HiddenColumns; c < int(rec.NumCols()); c++ {
		name := xxhash.Sum64String(rec.ColumnName(c))
		col := rec.Column(c)
		value, err := hasher(col)
		if err != nil {
			return nil, err
		}
		for i := range dst {
			if col.IsValid(i) {
				dst[i] += mix(name ^ value(i))
			}
		}
	}
	for i := range dst {
		dst[i] = mix(dst[i])
	}
	return dst, nil
}

// hasher hashes the valid values of a.
func hasher(a arrow.Array) (func(int) uint64, error) {
	switch a := a.(type) {
	case *array.Null:
		return func(int) uint64 { return tagNull }, nil
	case *array.Boolean:
		return func(i int) uint64 {
			if a.Value(i) {
				return tagged(tagBool, 1)
			}
			return tagged(tagBool, 0)
		}, nil
	case *array.Float32:
		return func(i int) uint64 { return float(float64(a.Value(i))) }, nil
	case *array.Float64:
		return func(i int) uint64 { return float(a.Value(i)) }, nil
	case *array.Date32:
		return func(i int) uint64 { return tagged(tagDate, uint64(a.Value(i))) }, nil //nolint:gosec // by its bits
	case *array.Timestamp:
		unit := uint64(a.DataType().(*arrow.TimestampType).Unit) << 8
		return func(i int) uint64 { return tagged(tagTime|unit, uint64(a.Value(i))) }, nil //nolint:gosec // by its bits
	case *array.String:
		return func(i int) uint64 { return tagged(tagBytes, xxhash.Sum64String(a.Value(i))) }, nil
	case *array.LargeString:
		return func(i int) uint64 { return tagged(tagBytes, xxhash.Sum64String(a.Value(i))) }, nil
	case *array.Binary:
		return func(i int) uint64 { return tagged(tagBytes, xxhash.Sum64(a.Value(i))) }, nil
	case *array.LargeBinary:
		return func(i int) uint64 { return tagged(tagBytes, xxhash.Sum64(a.Value(i))) }, nil
	case *array.Struct:
		return structHasher(a)
	case *array.List:
		return listHasher(a)
	case *array.LargeList:
		return listHasher(a)
	}
	return integerHasher(a)
}

func structHasher(a *array.Struct) (func(int) uint64, error) {
	t := a.DataType().(*arrow.StructType)
	names, values := make([]uint64, a.NumField()), make([]func(int) uint64, a.NumField())
	for c := range values {
		names[c] = xxhash.Sum64String(t.Field(c).Name)
		var err error
		if values[c], err = hasher(a.Field(c)); err != nil {
			return nil, err
		}
	}
	return func(i int) uint64 {
		var sum uint64
		for c, value := range values {
			if a.Field(c).IsValid(i) {
				sum += mix(names[c] ^ value(i))
			}
		}
		return mix(sum)
	}, nil
}

func listHasher(a array.ListLike) (func(int) uint64, error) {
	values := a.ListValues()
	value, err := hasher(values)
	if err != nil {
		return nil, err
	}
	return func(i int) uint64 {
		start, end := a.ValueOffsets(i)
		h := tagged(tagList, uint64(end-start)) //nolint:gosec // not negative
		for j := start; j < end; j++ {
			x := uint64(tagNull)
			if values.IsValid(int(j)) {
				x = value(int(j))
			}
			h = mix(h) ^ x
		}
		return mix(h)
	}, nil
}

// integerHasher reads integers of any width alike.
func integerHasher(a arrow.Array) (func(int) uint64, error) {
	integer := func(value func(int) int64) (func(int) uint64, error) {
		return func(i int) uint64 { return tagged(tagInt, uint64(value(i))) }, nil //nolint:gosec // by its bits
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
		return integer(func(i int) int64 { return int64(a.Value(i)) }) //nolint:gosec // by its bits
	}
	return nil, fmt.Errorf("type %s is not one that this sink writes; cast it: %w", a.DataType(), core.ErrInvalid)
}
