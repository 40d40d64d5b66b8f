package rows

import (
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/bitutil"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// Field is a field of a column of structs as a column of its own, which the caller releases: where the struct is null
// the field is, whatever stands below.
func Field(mem memory.Allocator, s *array.Struct, k int) arrow.Array {
	f := s.Field(k)
	if s.NullN() == 0 || f.DataType().ID() == arrow.NULL {
		f.Retain()
		return f
	}
	d := f.Data()
	bitmap := memory.NewResizableBuffer(mem)
	defer bitmap.Release()
	bitmap.Resize(int(bitutil.BytesForBits(int64(d.Offset() + d.Len()))))
	nulls := 0
	for i := range d.Len() {
		valid := s.IsValid(i) && f.IsValid(i)
		bitutil.SetBitTo(bitmap.Bytes(), d.Offset()+i, valid)
		if !valid {
			nulls++
		}
	}
	buffers := append([]*memory.Buffer{bitmap}, d.Buffers()[1:]...)
	data := array.NewData(d.DataType(), d.Len(), buffers, d.Children(), nulls, d.Offset())
	defer data.Release()
	return array.MakeFromData(data)
}
