// Package rowhash sums rows whatever their order: two outputs with one sum hold the same rows, but for chance.
//
// The one idea: a row's hash mixes, for each visible column that is not null, the hash of its name with that of its value;
// an output's is the sum of its rows' modulo 2^64. Order of rows and columns does not matter; copies of a row count.
// docs/format/manifest.md fixes it. It is no protection against forgery.
package rowhash

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/cespare/xxhash/v2"

	"github.com/penstock/penstock/core"
)

// Rows writes the hash of each row of rec into dst, which it grows as needed and returns.
func Rows(dst []uint64, rec arrow.Record) ([]uint64, error) {
	n := int(rec.NumRows())
	dst = slices.Grow(dst[:0], n)[:n]
	clear(dst)
	for c := core.HiddenColumns; c < int(rec.NumCols()); c++ {
		if err := add(dst, rec.ColumnName(c), rec.Column(c)); err != nil {
			return nil, fmt.Errorf("hash column %q: %w", rec.ColumnName(c), err)
		}
	}
	for i := range dst {
		dst[i] = mix(dst[i])
	}
	return dst, nil
}

// add adds to dst, for each value of a field that is not null, its hash mixed with that of the field's name.
func add(dst []uint64, field string, a arrow.Array) error {
	scratch, _ := idle.Get().(*[]uint64)
	if scratch == nil {
		scratch = new([]uint64)
	}
	defer idle.Put(scratch)
	*scratch = slices.Grow((*scratch)[:0], len(dst))[:len(dst)]
	values, name := *scratch, xxhash.Sum64String(field)
	if err := hashes(values, a); err != nil {
		return err
	}
	if a.NullN() == 0 {
		for i, v := range values {
			dst[i] += mix(name ^ v)
		}
		return nil
	}
	for i, v := range values {
		if a.IsValid(i) {
			dst[i] += mix(name ^ v)
		}
	}
	return nil
}

// idle are buffers for the hashes of a column.
var idle sync.Pool // of *[]uint64

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Tags keep values of different kinds apart.
const (
	tagBool  = 0x1b
	tagInt   = 0x2c
	tagFloat = 0x3d
	tagBytes = 0x4e
	tagTime  = 0x5f
	tagDate  = 0x60
	tagList  = 0x71
	tagNull  = 0x82
)

func tagged(tag, bits uint64) uint64 { return mix(mix(bits) ^ tag) }

// hashes writes the hash of each value of a; of null ones it may write anything.
func hashes(dst []uint64, a arrow.Array) error {
	switch a := a.(type) {
	case *array.Null:
		for i := range dst {
			dst[i] = tagNull
		}
	case *array.Boolean:
		for i := range dst {
			dst[i] = tagged(tagBool, 0)
			if a.Value(i) {
				dst[i] = tagged(tagBool, 1)
			}
		}
	case *array.Float32:
		for i, v := range a.Float32Values() {
			dst[i] = float(float64(v))
		}
	case *array.Float64:
		for i, v := range a.Float64Values() {
			dst[i] = float(v)
		}
	case *array.Date32:
		each(dst, tagDate, a.Date32Values())
	case *array.Timestamp:
		each(dst, tagTime|uint64(a.DataType().(*arrow.TimestampType).Unit)<<8, a.TimestampValues())
	case *array.String, *array.Binary:
		texts(dst, arrow.Int32Traits.CastFromBytes(a.Data().Buffers()[1].Bytes()), a.Data())
	case *array.LargeString, *array.LargeBinary:
		texts(dst, arrow.Int64Traits.CastFromBytes(a.Data().Buffers()[1].Bytes()), a.Data())
	case *array.Struct:
		return structHashes(dst, a)
	case *array.List:
		return listHashes(dst, a)
	case *array.LargeList:
		return listHashes(dst, a)
	default:
		return integerHashes(dst, a)
	}
	return nil
}

// each hashes integers, by their values.
func each[T ~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64](dst []uint64, tag uint64, values []T) {
	for i, v := range values {
		dst[i] = tagged(tag, uint64(int64(v))) //nolint:gosec // by its bits
	}
}

// texts hashes strings or bytes.
func texts[T int32 | int64](dst []uint64, offsets []T, d arrow.ArrayData) {
	if d.Len() == 0 {
		return
	}
	var text []byte // none where all of them are empty
	if b := d.Buffers()[2]; b != nil {
		text = b.Bytes()
	}
	offsets = offsets[d.Offset() : d.Offset()+d.Len()+1]
	for i := range dst {
		dst[i] = tagged(tagBytes, xxhash.Sum64(text[offsets[i]:offsets[i+1]]))
	}
}

// float gives all NaNs one hash, and 0 and -0 two.
func float(f float64) uint64 {
	if math.IsNaN(f) {
		return tagged(tagFloat, 0x7ff8000000000001)
	}
	return tagged(tagFloat, math.Float64bits(f))
}

func structHashes(dst []uint64, a *array.Struct) error {
	clear(dst)
	t := a.DataType().(*arrow.StructType)
	for c := range a.NumField() {
		if err := add(dst, t.Field(c).Name, a.Field(c)); err != nil {
			return err
		}
	}
	for i, v := range dst {
		dst[i] = mix(v)
	}
	return nil
}

func listHashes(dst []uint64, a array.ListLike) error {
	if len(dst) == 0 {
		return nil
	}
	from, _ := a.ValueOffsets(0)
	_, to := a.ValueOffsets(len(dst) - 1)
	part := array.NewSlice(a.ListValues(), from, to)
	defer part.Release()
	values := make([]uint64, to-from)
	if err := hashes(values, part); err != nil {
		return err
	}
	for i := range dst {
		start, end := a.ValueOffsets(i)
		h := tagged(tagList, uint64(end-start)) //nolint:gosec // not negative
		for j := int(start - from); j < int(end-from); j++ {
			x := uint64(tagNull)
			if part.IsValid(j) {
				x = values[j]
			}
			h = mix(h) ^ x
		}
		dst[i] = mix(h)
	}
	return nil
}

// integerHashes hashes integers of any width alike.
func integerHashes(dst []uint64, a arrow.Array) error {
	switch a := a.(type) {
	case *array.Int8:
		each(dst, tagInt, a.Int8Values())
	case *array.Int16:
		each(dst, tagInt, a.Int16Values())
	case *array.Int32:
		each(dst, tagInt, a.Int32Values())
	case *array.Int64:
		each(dst, tagInt, a.Int64Values())
	case *array.Uint8:
		each(dst, tagInt, a.Uint8Values())
	case *array.Uint16:
		each(dst, tagInt, a.Uint16Values())
	case *array.Uint32:
		each(dst, tagInt, a.Uint32Values())
	case *array.Uint64:
		each(dst, tagInt, a.Uint64Values())
	default:
		return fmt.Errorf("type %s is not one that this sink writes; cast it: %w", a.DataType(), core.ErrInvalid)
	}
	return nil
}
