package parquet

import (
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/penstock/penstock/core"
)

// step is one array on the way from a top-level column to a leaf. Each step may be null, so each adds a definition
// level; a list adds another, and the repetition level rep.
type step struct {
	list   array.ListLike // set for a list
	rep    uint8
	none   bool   // every value is null
	valid  []byte // the validity bitmap; nil when no value is null
	offset int    // of the first value in it
}

func newStep(a arrow.Array) step {
	s := step{none: a.DataType().ID() == arrow.NULL}
	if a.NullN() > 0 && !s.none {
		s.valid, s.offset = a.NullBitmapBytes(), a.Data().Offset()
	}
	return s
}

func (s *step) null(i int) bool {
	i += s.offset
	return s.none || s.valid != nil && s.valid[i>>3]>>(i&7)&1 == 0
}

// leaf is one Parquet column of one batch.
type leaf struct {
	arr   arrow.Array
	steps []step // the last is the leaf itself
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

func appendLeaves(out []leaf, path []step, a arrow.Array, rep uint8) ([]leaf, error) {
	s := newStep(a)
	path = path[:len(path):len(path)]
	switch t := a.(type) {
	case *array.Struct:
		path = append(path, s)
		for i := range t.NumField() {
			var err error
			if out, err = appendLeaves(out, path, t.Field(i), rep); err != nil {
				return nil, err
			}
		}
		return out, nil
	case array.ListLike:
		if _, ok := a.(*array.List); !ok && a.DataType().ID() != arrow.LARGE_LIST {
			break
		}
		s.list, s.rep = t, rep+1
		return appendLeaves(out, append(path, s), t.ListValues(), rep+1)
	}
	if scalar(a.DataType()) == nil {
		return nil, fmt.Errorf("type %s is not one that this sink writes: %w", a.DataType(), core.ErrInvalid)
	}
	return append(out, leaf{a, append(path, s)}), nil
}

// picks are the values of a leaf's array that are written, none of them null: those of idx, or where it is nil those
// from one place to another.
type picks struct {
	idx      []int32
	from, to int
}

func (p *picks) len() int {
	if p.idx != nil {
		return len(p.idx)
	}
	return p.to - p.from
}

// levels are the repetition and definition levels of values, null ones included.
type levels struct {
	reps, defs []uint8
	nulls      int
	picked     []int32 // scratch
}

// shred appends the levels of rows[from:to], or of the rows from one to another where rows is nil, and returns which
// values they hold. What it returns stands until the next call.
func (v *levels) shred(l *leaf, rows []int32, from, to int) picks {
	nested, nullable := false, false
	for i := range l.steps {
		nested = nested || l.steps[i].list != nil
		nullable = nullable || l.steps[i].none || l.steps[i].valid != nil
	}
	if !nested && !nullable {
		v.defs = appendLevel(v.defs, uint8(len(l.steps)), to-from) //nolint:gosec // nested less deep than 255
		if rows == nil {
			return picks{from: from, to: to}
		}
		return picks{idx: rows[from:to]}
	}
	if v.picked = v.picked[:0]; v.picked == nil {
		v.picked = []int32{}
	}
	for r := from; r < to; r++ {
		i := r
		if rows != nil {
			i = int(rows[r])
		}
		if nested {
			v.emit(l, 0, i, 0, 0)
		} else {
			v.flat(l, i)
		}
	}
	return picks{idx: v.picked}
}

func appendLevel(dst []uint8, level uint8, n int) []uint8 {
	at := len(dst)
	dst = append(dst, make([]uint8, n)...)
	for i := range dst[at:] {
		dst[at+i] = level
	}
	return dst
}

// flat appends the level of a value on whose way there is no list.
func (v *levels) flat(l *leaf, i int) {
	def := 0
	for def < len(l.steps) && !l.steps[def].null(i) {
		def++
	}
	v.defs = append(v.defs, uint8(def)) //nolint:gosec // nested less deep than 255
	if def == len(l.steps) {
		v.picked = append(v.picked, int32(i)) //nolint:gosec // an index in a batch
	} else {
		v.nulls++
	}
}

// emit appends the levels of value i of step depth and of all below it.
func (v *levels) emit(l *leaf, depth, i int, rep, def uint8) {
	s := &l.steps[depth]
	if s.null(i) {
		v.end(rep, def)
		return
	}
	def++
	if depth == len(l.steps)-1 {
		v.reps, v.defs = append(v.reps, rep), append(v.defs, def)
		v.picked = append(v.picked, int32(i)) //nolint:gosec // an index in a batch
		return
	}
	if s.list == nil {
		v.emit(l, depth+1, i, rep, def)
		return
	}
	start, end := s.list.ValueOffsets(i)
	if start == end {
		v.end(rep, def)
		return
	}
	for j := start; j < end; j++ {
		v.emit(l, depth+1, int(j), rep, def+1)
		rep = s.rep
	}
}

// end appends the levels of what ends above the leaf.
func (v *levels) end(rep, def uint8) {
	v.reps, v.defs = append(v.reps, rep), append(v.defs, def)
	v.nulls++
}
