package expr

import (
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/core"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// Program is an expression bound to columns. It is pure and safe for concurrent use.
type Program struct {
	src    string
	root   node
	unit   arrow.TimeUnit
	absent bool
}

// Absent reports whether the expression names something that the schema does not have, so that it is null there and its
// own type may not be known.
func (p *Program) Absent() bool { return p.absent }

// Test is what a condition said of the rows of a batch.
type Test struct {
	Keep     []int32 // rows for which it is true, in order
	False    int64
	Null     int64
	Failures []Failure // in order of rows
}

// IsBool reports whether the result can be a condition.
func (p *Program) IsBool() bool {
	k := p.root.typ().Kind()
	return k == types.BoolKind || k == types.DynKind || k == types.NullTypeKind
}

// Type is the column type of the result; the error says why there is none.
func (p *Program) Type() (arrow.DataType, error) {
	dt, err := arrowType(p.root.typ(), p.unit)
	if err != nil {
		return nil, fmt.Errorf("expression %q: %w: %w", p.src, err, core.ErrInvalid)
	}
	return dt, nil
}

// Column is the path of the column or field that the expression is, and nil when it is anything else.
func (p *Program) Column() []int {
	if c, ok := p.root.(*column); ok {
		return slices.Clone(c.path)
	}
	return nil
}

// Test evaluates a condition.
func (p *Program) Test(b core.Batch) Test {
	v := p.eval(b)
	t := Test{Keep: make([]int32, 0, v.n), Failures: p.failures(v)}
	m := v.mask()
	for i := range v.n {
		switch {
		case !v.ok(i):
			t.Null++
		case v.kind == kindBool && v.b[i&m], v.kind == kindAny && v.v[i&m] == types.True:
			t.Keep = append(t.Keep, int32(i)) //nolint:gosec // rows of a batch
		default:
			t.False++
		}
	}
	t.Null -= int64(len(t.Failures))
	return t
}

// Eval computes the column, which the caller releases. Failed rows are null in it.
func (p *Program) Eval(b core.Batch, mem memory.Allocator) (arrow.Array, []Failure, error) {
	dt, err := p.Type()
	if err != nil {
		return nil, nil, err
	}
	v := p.eval(b)
	out := build(v, dt, mem)
	return out, p.failures(v), nil
}

func (p *Program) eval(b core.Batch) *vec {
	return p.root.vec(&frame{batch: b, n: int(b.NumRows()), cols: map[*column]*vec{}})
}

// evalRows is eval by rows alone.
func (p *Program) evalRows(b core.Batch) *vec {
	return byRows(p.root, &frame{batch: b, n: int(b.NumRows()), cols: map[*column]*vec{}})
}

func (p *Program) failures(v *vec) []Failure {
	if v.fails == nil {
		return nil
	}
	var out []Failure
	for i := range v.n {
		if f := v.failed(i); f != nil {
			out = append(out, Failure{i, f.code, shorten(p.src) + ": " + f.reason})
		}
	}
	return out
}

// guard makes a value whose type is known only when it runs a bool.
type guard struct {
	typed
	a node
}

func (x *guard) vec(f *frame) *vec { return byRows(x, f) }

func (x *guard) row(f *frame, i int, sc *scope) (ref.Val, *failure) {
	v, fail := x.a.row(f, i, sc)
	if _, ok := v.(types.Bool); fail == nil && !ok && v != types.NullValue {
		fail = &failure{codeBadValue, "unexpected " + v.Type().TypeName() + " where a bool is wanted"}
	}
	return v, fail
}

// implementation is CEL's own function of that name.
func implementation(env *cel.Env, fn string) (func(...ref.Val) ref.Val, error) {
	if f := arithmeticOf(fn); f != nil {
		return f, nil
	}
	decl := env.Functions()[fn]
	if decl == nil {
		return nil, fmt.Errorf("function %s is not known", fn)
	}
	bindings, err := decl.Bindings()
	if err != nil {
		return nil, fmt.Errorf("function %s: %w", fn, err)
	}
	for _, b := range bindings {
		if b.Operator != fn {
			continue
		}
		return func(args ...ref.Val) ref.Val {
			switch {
			case len(args) == 1 && b.Unary != nil:
				return b.Unary(args[0])
			case len(args) == 2 && b.Binary != nil:
				return b.Binary(args[0], args[1])
			case b.Function != nil:
				return b.Function(args...)
			}
			return types.NewErr("%s takes no %d operands", fn, len(args))
		}, nil
	}
	return nil, fmt.Errorf("function %s cannot be used here", fn)
}

func arithmeticOf(fn string) func(...ref.Val) ref.Val {
	wrong := func(v ref.Val) ref.Val { return types.NewErr("%s has no such operator", v.Type().TypeName()) }
	switch fn {
	case operators.Add:
		return func(a ...ref.Val) ref.Val {
			if x, ok := a[0].(traits.Adder); ok {
				return x.Add(a[1])
			}
			return wrong(a[0])
		}
	case operators.Subtract:
		return func(a ...ref.Val) ref.Val {
			if x, ok := a[0].(traits.Subtractor); ok {
				return x.Subtract(a[1])
			}
			return wrong(a[0])
		}
	case operators.Multiply:
		return func(a ...ref.Val) ref.Val {
			if x, ok := a[0].(traits.Multiplier); ok {
				return x.Multiply(a[1])
			}
			return wrong(a[0])
		}
	case operators.Divide:
		return func(a ...ref.Val) ref.Val {
			if x, ok := a[0].(traits.Divider); ok {
				return x.Divide(a[1])
			}
			return wrong(a[0])
		}
	default:
		return nil
	}
}

// build makes an Arrow column.
func build(v *vec, dt arrow.DataType, mem memory.Allocator) arrow.Array {
	b := array.NewBuilder(mem, dt)
	defer b.Release()
	b.Reserve(v.n)
	for i := range v.n {
		if v.ok(i) {
			if appendValue(b, v, i) {
				continue
			}
			v.misfit(i)
		}
		b.AppendNull()
	}
	return b.NewArray()
}
