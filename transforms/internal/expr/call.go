package expr

import (
	"fmt"

	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// call is a strict function of CEL: a null operand gives null, and the function never sees it.
type call struct {
	typed
	fn   string
	args []node
	impl func(args ...ref.Val) ref.Val
}

func (x *call) vec(f *frame) *vec {
	args := make([]*vec, len(x.args))
	for k, a := range x.args {
		args[k] = a.vec(f)
	}
	return x.apply(f, args)
}

// apply calls the function once per row, on operands computed as columns.
func (x *call) apply(f *frame, args []*vec) *vec {
	n, one := f.n, len(args) > 0
	for _, a := range args {
		one = one && a.one
	}
	if one {
		n = 1
	}
	out := newVec(kindOf(x.t), n)
	vals := make([]ref.Val, len(args))
	for i := range n {
		var fail *failure
		null := false
		for k, a := range args {
			if fail = a.failed(i); fail != nil {
				break
			}
			null = null || !a.ok(i)
			vals[k] = a.value(i)
		}
		switch {
		case fail != nil:
			out.fail(i, fail)
		case null:
			out.null(i)
		default:
			v, fail := x.invoke(vals)
			out.set(i, v, fail)
		}
	}
	out.one, out.n = one, f.n
	return out
}

func (x *call) row(f *frame, i int, sc *scope) (ref.Val, *failure) {
	vals := make([]ref.Val, len(x.args))
	null := false
	for k, a := range x.args {
		v, fail := a.row(f, i, sc)
		if fail != nil {
			return nil, fail
		}
		null = null || v == types.NullValue
		vals[k] = v
	}
	if null {
		return types.NullValue, nil
	}
	return x.invoke(vals)
}

func (x *call) invoke(vals []ref.Val) (ref.Val, *failure) {
	if len(vals) == 2 {
		vals[0], vals[1] = promote(x.fn, vals[0], vals[1])
	}
	v := x.impl(vals...)
	if err, ok := v.(*types.Err); ok {
		return nil, x.failed(vals, err)
	}
	return v, nil
}

// promote makes both operands doubles where one is.
func promote(fn string, a, b ref.Val) (ref.Val, ref.Val) {
	switch fn {
	case operators.Add, operators.Subtract, operators.Multiply, operators.Divide:
	default:
		return a, b
	}
	_, da := a.(types.Double)
	_, db := b.(types.Double)
	if ia, ok := a.(types.Int); ok && db {
		return types.Double(ia), b
	}
	if ib, ok := b.(types.Int); ok && da {
		return a, types.Double(ib)
	}
	return a, b
}

// failed sorts CEL's errors by what was computed, since CEL has one kind of error only.
func (x *call) failed(vals []ref.Val, err error) *failure {
	switch x.fn {
	case operators.Divide, operators.Modulo:
		if vals[1] == types.IntZero || vals[1] == types.Uint(0) {
			return errZero
		}
		return arithmeticFailure(vals, err)
	case operators.Add, operators.Subtract, operators.Multiply, operators.Negate:
		return arithmeticFailure(vals, err)
	default:
		return &failure{codeBadValue, err.Error()}
	}
}

func arithmeticFailure(vals []ref.Val, err error) *failure {
	for _, v := range vals {
		switch v.(type) {
		case types.Int, types.Uint, types.Timestamp, types.Duration:
		default:
			return &failure{codeBadValue, err.Error()}
		}
	}
	if len(vals) == 2 && vals[0].Type() != vals[1].Type() && vals[0].Type() != types.TimestampType && vals[1].Type() != types.TimestampType {
		return &failure{codeBadValue, err.Error()}
	}
	return errOverflow
}

// shorten keeps reasons readable.
func shorten(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%.*s...", most, s)
}
