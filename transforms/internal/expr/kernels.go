package expr

import (
	"cmp"
	"math"
	"math/bits"
)

type order uint8

const (
	opEQ order = iota
	opNE
	opLT
	opLE
	opGT
	opGE
)

func compare[T cmp.Ordered](op order, a, b []T, am, bm int, out []bool) {
	switch op {
	case opEQ:
		for i := range out {
			out[i] = a[i&am] == b[i&bm]
		}
	case opNE:
		for i := range out {
			out[i] = a[i&am] != b[i&bm]
		}
	case opLT:
		for i := range out {
			out[i] = a[i&am] < b[i&bm]
		}
	case opLE:
		for i := range out {
			out[i] = a[i&am] <= b[i&bm]
		}
	case opGT:
		for i := range out {
			out[i] = a[i&am] > b[i&bm]
		}
	case opGE:
		for i := range out {
			out[i] = a[i&am] >= b[i&bm]
		}
	}
}

func (o order) holds(c int) bool {
	switch o {
	case opEQ:
		return c == 0
	case opNE:
		return c != 0
	case opLT:
		return c < 0
	case opLE:
		return c <= 0
	case opGT:
		return c > 0
	default:
		return c >= 0
	}
}

var (
	errOverflow = &failure{codeOverflow, "the result does not fit 64 bits"}
	errZero     = &failure{codeZero, "division by zero"}
	errNaN      = &failure{codeBadValue, "NaN has no order"}
)

// arithInt computes one of + - * / % on integers, as CEL does: what does not fit fails.
func arithInt(op byte, x, y int64) (int64, *failure) {
	switch op {
	case '+':
		r := x + y
		if (x^r)&(y^r) < 0 {
			return 0, errOverflow
		}
		return r, nil
	case '-':
		r := x - y
		if (x^y)&(x^r) < 0 {
			return 0, errOverflow
		}
		return r, nil
	case '*':
		return mulInt(x, y)
	}
	switch {
	case y == 0:
		return 0, errZero
	case x == math.MinInt64 && y == -1:
		return 0, errOverflow
	case op == '/':
		return x / y, nil
	default:
		return x % y, nil
	}
}

func mulInt(x, y int64) (int64, *failure) {
	hi, lo := bits.Mul64(abs(x), abs(y))
	negative := (x < 0) != (y < 0)
	switch {
	case hi != 0, !negative && lo > math.MaxInt64, negative && lo > 1<<63:
		return 0, errOverflow
	default:
		return x * y, nil
	}
}

func abs(x int64) uint64 {
	if x < 0 {
		return -uint64(x) //nolint:gosec // two's complement is what is wanted
	}
	return uint64(x)
}

func arithDouble(op byte, a, b []float64, am, bm int, out []float64) {
	switch op {
	case '+':
		for i := range out {
			out[i] = a[i&am] + b[i&bm]
		}
	case '-':
		for i := range out {
			out[i] = a[i&am] - b[i&bm]
		}
	case '*':
		for i := range out {
			out[i] = a[i&am] * b[i&bm]
		}
	case '/':
		for i := range out {
			out[i] = a[i&am] / b[i&bm]
		}
	}
}

// doubles is x promoted to double.
func (x *vec) doubles() []float64 {
	if x.kind == kindDouble {
		return x.f
	}
	out := make([]float64, len(x.i))
	for i, v := range x.i {
		out[i] = float64(v)
	}
	return out
}
