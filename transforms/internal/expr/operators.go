package expr

import (
	"math"
	"regexp"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// comparison is == != < <= > >=. numeric says that operands are promoted where they differ.
type comparison struct {
	typed
	op   order
	a, b node
}

func numeric(k kind) bool { return k == kindInt || k == kindDouble }

func (x *comparison) vec(f *frame) *vec {
	a, b := x.a.vec(f), x.b.vec(f)
	out := newVec(kindBool, f.n)
	switch {
	case a.kind == kindInt && b.kind == kindInt:
		compare(x.op, a.i, b.i, a.mask(), b.mask(), out.b)
	case numeric(a.kind) && numeric(b.kind):
		compare(x.op, a.doubles(), b.doubles(), a.mask(), b.mask(), out.b)
	case a.kind == kindString && b.kind == kindString:
		compare(x.op, a.s, b.s, a.mask(), b.mask(), out.b)
	case a.kind == kindTime && b.kind == kindTime:
		am, bm := a.mask(), b.mask()
		for i := range out.b {
			out.b[i] = x.op.holds(a.t[i&am].compare(b.t[i&bm]))
		}
	default:
		return byRows(x, f)
	}
	if x.op <= opNE {
		return x.nullsAsValues(out, a, b)
	}
	out.inherit(a, b)
	if a.kind == kindDouble || b.kind == kindDouble {
		out.failNaN(a)
		out.failNaN(b)
	}
	return out
}

// failNaN fails the rows where an operand that is compared has no order.
func (x *vec) failNaN(operand *vec) {
	if operand.kind != kindDouble {
		return
	}
	m := operand.mask()
	for i := range x.n {
		if math.IsNaN(operand.f[i&m]) && x.ok(i) {
			x.fail(i, errNaN)
		}
	}
}

// nullsAsValues corrects == and != where an operand is null.
func (x *comparison) nullsAsValues(out, a, b *vec) *vec {
	if a.valid == nil && b.valid == nil {
		return out
	}
	for i := range out.b {
		okA, okB := a.ok(i), b.ok(i)
		if okA && okB {
			continue
		}
		if fail := a.failed(i); fail != nil {
			out.fail(i, fail)
		} else if fail := b.failed(i); fail != nil {
			out.fail(i, fail)
		} else {
			out.b[i] = (okA == okB) == (x.op == opEQ)
		}
	}
	return out
}

func (x *comparison) row(f *frame, i int, sc *scope) (ref.Val, *failure) {
	a, b, fail := both(x.a, x.b, f, i, sc)
	if fail != nil {
		return nil, fail
	}
	if x.op <= opNE {
		return types.Bool((types.Equal(a, b) == types.True) == (x.op == opEQ)), nil
	}
	if a == types.NullValue || b == types.NullValue {
		return types.NullValue, nil
	}
	c, ok := a.(traits.Comparer)
	if !ok {
		return nil, &failure{codeBadValue, a.Type().TypeName() + " has no order"}
	}
	v := c.Compare(b)
	n, ok := v.(types.Int)
	switch {
	case ok:
		return types.Bool(x.op.holds(int(n))), nil
	case isNaN(a) || isNaN(b):
		return nil, errNaN
	default:
		return nil, &failure{codeBadValue, "cannot compare " + a.Type().TypeName() + " with " + b.Type().TypeName()}
	}
}

func isNaN(v ref.Val) bool {
	d, ok := v.(types.Double)
	return ok && math.IsNaN(float64(d))
}

// both evaluates two operands; the first failure counts.
func both(x, y node, f *frame, i int, sc *scope) (a, b ref.Val, fail *failure) {
	if a, fail = x.row(f, i, sc); fail != nil {
		return nil, nil, fail
	}
	b, fail = y.row(f, i, sc)
	return a, b, fail
}

// arithmetic is + - * / % on numbers, and + on strings.
type arithmetic struct {
	typed
	op   byte
	call *call // what CEL does
}

func (x *arithmetic) vec(f *frame) *vec {
	a, b := x.call.args[0].vec(f), x.call.args[1].vec(f)
	am, bm := a.mask(), b.mask()
	switch {
	case a.kind == kindInt && b.kind == kindInt:
		return x.ints(newVec(kindInt, f.n).inherit(a, b), a, b)
	case numeric(a.kind) && numeric(b.kind):
		out := newVec(kindDouble, f.n)
		arithDouble(x.op, a.doubles(), b.doubles(), am, bm, out.f)
		return out.inherit(a, b)
	case a.kind == kindString && b.kind == kindString:
		out := newVec(kindString, f.n).inherit(a, b)
		for i := range out.s {
			if out.ok(i) {
				out.s[i] = a.s[i&am] + b.s[i&bm]
			}
		}
		return out
	default:
		return x.call.apply(f, []*vec{a, b})
	}
}

func (x *arithmetic) ints(out, a, b *vec) *vec {
	am, bm := a.mask(), b.mask()
	for i := range out.i {
		r, fail := arithInt(x.op, a.i[i&am], b.i[i&bm])
		if fail != nil && out.ok(i) {
			out.fail(i, fail)
			continue
		}
		out.i[i] = r
	}
	return out
}

// row leaves the computing to CEL, with operands promoted.
func (x *arithmetic) row(f *frame, i int, sc *scope) (ref.Val, *failure) { return x.call.row(f, i, sc) }

// not is !a.
type not struct {
	typed
	a node
}

func (x *not) vec(f *frame) *vec {
	a := x.a.vec(f)
	if a.kind != kindBool {
		return byRows(x, f)
	}
	out := newVec(kindBool, f.n)
	m := a.mask()
	for i := range out.b {
		out.b[i] = !a.b[i&m]
	}
	return out.inherit(a)
}

func (x *not) row(f *frame, i int, sc *scope) (ref.Val, *failure) {
	v, fail := x.a.row(f, i, sc)
	if b, ok := v.(types.Bool); ok && fail == nil {
		return !b, nil
	}
	if fail == nil && v != types.NullValue {
		fail = &failure{codeBadValue, "! wants a bool"}
	}
	return v, fail
}

// match is a test of a string: startsWith, endsWith, contains, or matches with a constant pattern.
type match struct {
	typed
	pattern *regexp.Regexp
	test    func(s, arg string) bool
	call    *call
}

func stringTest(fn string) func(s, arg string) bool {
	switch fn {
	case "startsWith":
		return strings.HasPrefix
	case "endsWith":
		return strings.HasSuffix
	case "contains":
		return strings.Contains
	default:
		return nil
	}
}

func (x *match) vec(f *frame) *vec {
	a, b := x.call.args[0].vec(f), x.call.args[1].vec(f)
	if a.kind != kindString || b.kind != kindString {
		return x.call.apply(f, []*vec{a, b})
	}
	out := newVec(kindBool, f.n).inherit(a, b)
	am, bm := a.mask(), b.mask()
	for i := range out.b {
		if !out.ok(i) {
			continue
		}
		if x.pattern != nil {
			out.b[i] = x.pattern.MatchString(a.s[i&am])
		} else {
			out.b[i] = x.test(a.s[i&am], b.s[i&bm])
		}
	}
	return out
}

func (x *match) row(f *frame, i int, sc *scope) (ref.Val, *failure) { return x.call.row(f, i, sc) }

// membership is a in b; with constants in b it is a look-up. A null list gives null, a null value is looked for.
type membership struct {
	typed
	a, b node
	ints map[int64]struct{}
	strs map[string]struct{}
}

func (x *membership) vec(f *frame) *vec {
	if x.ints == nil && x.strs == nil {
		return byRows(x, f)
	}
	a := x.a.vec(f)
	out := newVec(kindBool, f.n)
	m := a.mask()
	for i := range out.b {
		fail := a.failed(i)
		switch {
		case fail != nil:
			out.fail(i, fail)
		case !a.ok(i):
		case x.ints != nil:
			_, out.b[i] = x.ints[a.i[i&m]]
		default:
			_, out.b[i] = x.strs[a.s[i&m]]
		}
	}
	return out
}

func (x *membership) row(f *frame, i int, sc *scope) (ref.Val, *failure) {
	a, b, fail := both(x.a, x.b, f, i, sc)
	if fail != nil || b == types.NullValue {
		return b, fail
	}
	c, ok := b.(traits.Container)
	if !ok {
		return nil, &failure{codeBadValue, "in wants a list or a map"}
	}
	v := c.Contains(a)
	if types.IsError(v) {
		return types.False, nil
	}
	return v, nil
}
