package take

import (
	"context"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/bitutil"
	"github.com/apache/arrow/go/v17/arrow/compute"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// take selects the values of a that keep names. Arrow's own kernel grows the text of strings by reallocation, a little
// at a time, which costs more than everything else that a filter does; here every buffer is made once.
func take(ctx context.Context, mem memory.Allocator, a arrow.Array, keep []int32) (arrow.Array, error) {
	switch a := a.(type) {
	case *array.String:
		return takeText(mem, a, keep), nil
	case *array.Binary:
		return takeText(mem, a, keep), nil
	case *array.Struct:
		return takeStruct(ctx, mem, a, keep)
	case *array.Null:
		return array.NewNull(len(keep)), nil
	}
	if t, ok := a.DataType().(arrow.FixedWidthDataType); ok && t.BitWidth()%8 == 0 && len(a.Data().Buffers()) == 2 && len(a.Data().Children()) == 0 && a.DataType().ID() != arrow.DICTIONARY {
		return takeFixed(mem, a, t.BitWidth()/8, keep), nil
	}
	ib := array.NewInt32Builder(mem)
	defer ib.Release()
	ib.AppendValues(keep, nil)
	indices := ib.NewArray()
	defer indices.Release()
	return compute.TakeArrayOpts(compute.WithAllocator(ctx, mem), a, indices, compute.TakeOptions{BoundsCheck: false})
}

// buffer is a buffer of n zero bytes, which the caller releases.
func buffer(mem memory.Allocator, n int) *memory.Buffer {
	b := memory.NewResizableBuffer(mem)
	b.Resize(n)
	clear(b.Bytes())
	return b
}

// validity is the bitmap of the selected values, nil where none of them is null.
func validity(mem memory.Allocator, a arrow.Array, keep []int32) (*memory.Buffer, int) {
	if a.NullN() == 0 {
		return nil, 0
	}
	b, nulls := buffer(mem, int(bitutil.BytesForBits(int64(len(keep))))), 0
	for i, k := range keep {
		if a.IsValid(int(k)) {
			bitutil.SetBit(b.Bytes(), i)
		} else {
			nulls++
		}
	}
	return b, nulls
}

// build makes an array of buffers and children, which it takes over.
func build(t arrow.DataType, n, nulls int, buffers []*memory.Buffer, children []arrow.ArrayData) arrow.Array {
	d := array.NewData(t, n, buffers, children, nulls, 0)
	defer d.Release()
	for _, b := range buffers {
		if b != nil {
			b.Release()
		}
	}
	for _, c := range children {
		c.Release()
	}
	return array.MakeFromData(d)
}

func takeText(mem memory.Allocator, a arrow.Array, keep []int32) arrow.Array {
	text := a.Data().Buffers()[2]
	valid, nulls := validity(mem, a, keep)
	starts := arrow.Int32Traits.CastFromBytes(a.Data().Buffers()[1].Bytes())[a.Data().Offset():]
	size := 0
	for _, k := range keep {
		size += int(starts[k+1] - starts[k])
	}
	offsets, data := buffer(mem, 4*(len(keep)+1)), buffer(mem, size)
	to, at := arrow.Int32Traits.CastFromBytes(offsets.Bytes()), 0
	for i, k := range keep {
		if from, end := starts[k], starts[k+1]; end > from {
			at += copy(data.Bytes()[at:], text.Bytes()[from:end])
		}
		to[i+1] = int32(at) //nolint:gosec // no larger than what it was taken from
	}
	return build(a.DataType(), len(keep), nulls, []*memory.Buffer{valid, offsets, data}, nil)
}

func takeFixed(mem memory.Allocator, a arrow.Array, width int, keep []int32) arrow.Array {
	valid, nulls := validity(mem, a, keep)
	values := buffer(mem, width*len(keep))
	from := a.Data().Buffers()[1].Bytes()[width*a.Data().Offset():]
	for i, k := range keep {
		copy(values.Bytes()[i*width:(i+1)*width], from[int(k)*width:])
	}
	return build(a.DataType(), len(keep), nulls, []*memory.Buffer{valid, values}, nil)
}

func takeStruct(ctx context.Context, mem memory.Allocator, a *array.Struct, keep []int32) (arrow.Array, error) {
	children := make([]arrow.ArrayData, 0, a.NumField())
	for i := range a.NumField() {
		c, err := take(ctx, mem, a.Field(i), keep)
		if err != nil {
			for _, c := range children {
				c.Release()
			}
			return nil, err
		}
		c.Data().Retain()
		children = append(children, c.Data())
		c.Release()
	}
	valid, nulls := validity(mem, a, keep)
	return build(a.DataType(), len(keep), nulls, []*memory.Buffer{valid}, children), nil
}
