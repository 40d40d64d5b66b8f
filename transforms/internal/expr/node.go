package expr

import (
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// node is a checked operation. vec and row agree on every row.
type node interface {
	typ() *types.Type
	vec(f *frame) *vec
	row(f *frame, i int, sc *scope) (ref.Val, *failure)
}

// scope holds the variables of the comprehensions around a node.
type scope struct {
	outer *scope
	name  string
	value ref.Val
	fail  *failure
}

type typed struct{ t *types.Type }

func (x typed) typ() *types.Type { return x.t }

// byRows is the column of a node that has no kernel.
func byRows(x node, f *frame) *vec {
	out := newVec(kindOf(x.typ()), f.n)
	for i := range f.n {
		v, fail := x.row(f, i, nil)
		out.set(i, v, fail)
	}
	return out
}

// literal is a constant.
type literal struct {
	typed
	value ref.Val
}

func (x *literal) vec(f *frame) *vec {
	out := newVec(kindOf(x.t), 1)
	out.one = true
	out.set(0, x.value, nil)
	out.n = f.n
	return out
}

func (x *literal) row(*frame, int, *scope) (ref.Val, *failure) { return x.value, nil }

// connective is && (absorbs == false) or || (absorbs == true).
type connective struct {
	typed
	absorbs bool
	a, b    node
}

func (x *connective) vec(f *frame) *vec {
	a, b := x.a.vec(f), x.b.vec(f)
	out := newVec(kindBool, f.n)
	if a.kind == kindBool && b.kind == kindBool && a.valid == nil && b.valid == nil && !a.one && !b.one {
		if x.absorbs {
			for i := range out.b {
				out.b[i] = a.b[i] || b.b[i]
			}
		} else {
			for i := range out.b {
				out.b[i] = a.b[i] && b.b[i]
			}
		}
		return out
	}
	decides := func(v *vec, i int) bool { return v.kind == kindBool && v.ok(i) && v.b[i&v.mask()] == x.absorbs }
	for i := range out.b {
		switch {
		case decides(a, i) || decides(b, i):
			out.b[i] = x.absorbs
		case a.failed(i) != nil:
			out.fail(i, a.failed(i))
		case b.failed(i) != nil:
			out.fail(i, b.failed(i))
		case !a.ok(i) || !b.ok(i):
			out.null(i)
		default:
			out.b[i] = !x.absorbs
		}
	}
	return out
}

func (x *connective) row(f *frame, i int, sc *scope) (ref.Val, *failure) {
	a, fa := x.a.row(f, i, sc)
	if fa == nil && a == types.Bool(x.absorbs) {
		return a, nil
	}
	b, fb := x.b.row(f, i, sc)
	switch {
	case fb == nil && b == types.Bool(x.absorbs):
		return b, nil
	case fa != nil:
		return nil, fa
	case fb != nil:
		return nil, fb
	case a == types.NullValue || b == types.NullValue:
		return types.NullValue, nil
	}
	return types.Bool(!x.absorbs), nil
}

// conditional is c ? a : b. A null condition gives null.
type conditional struct {
	typed
	c, a, b node
}

func (x *conditional) vec(f *frame) *vec {
	c, a, b := x.c.vec(f), x.a.vec(f), x.b.vec(f)
	out := newVec(kindOf(x.t), f.n)
	for i := range f.n {
		switch {
		case !c.ok(i):
			if fail := c.failed(i); fail != nil {
				out.fail(i, fail)
			} else {
				out.null(i)
			}
		case c.b[i&c.mask()]:
			out.take(i, a)
		default:
			out.take(i, b)
		}
	}
	return out
}

// take copies row i of from.
func (x *vec) take(i int, from *vec) {
	if !from.ok(i) {
		if fail := from.failed(i); fail != nil {
			x.fail(i, fail)
		} else {
			x.null(i)
		}
		return
	}
	j := i & from.mask()
	if x.kind != from.kind {
		x.set(i, from.value(i), nil)
		return
	}
	switch x.kind {
	case kindBool:
		x.b[i] = from.b[j]
	case kindInt:
		x.i[i] = from.i[j]
	case kindDouble:
		x.f[i] = from.f[j]
	case kindString:
		x.s[i] = from.s[j]
	case kindTime:
		x.t[i] = from.t[j]
	case kindAny:
		x.v[i] = from.v[j]
	case kindNull:
	}
}

func (x *conditional) row(f *frame, i int, sc *scope) (ref.Val, *failure) {
	c, fail := x.c.row(f, i, sc)
	switch {
	case fail != nil || c == types.NullValue:
		return c, fail
	case c == types.True:
		return x.a.row(f, i, sc)
	case c == types.False:
		return x.b.row(f, i, sc)
	}
	return nil, &failure{codeBadValue, "the condition is no bool"}
}

// coalesce is the first operand that is not null.
type coalesce struct {
	typed
	args []node
}

func (x *coalesce) vec(f *frame) *vec {
	args := make([]*vec, len(x.args))
	for k, a := range x.args {
		args[k] = a.vec(f)
	}
	out := newVec(kindOf(x.t), f.n)
	for i := range f.n {
		k := 0
		for k < len(args)-1 && !args[k].ok(i) && args[k].failed(i) == nil {
			k++
		}
		out.take(i, args[k])
	}
	return out
}

func (x *coalesce) row(f *frame, i int, sc *scope) (ref.Val, *failure) {
	for _, a := range x.args {
		if v, fail := a.row(f, i, sc); fail != nil || v != types.NullValue {
			return v, fail
		}
	}
	return types.NullValue, nil
}
