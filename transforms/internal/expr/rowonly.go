package expr

import (
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// maxSteps bounds the work of one comprehension on one row.
const maxSteps = 1_000_000

// local is a variable of a comprehension.
type local struct {
	typed
	name string
}

func (x *local) vec(f *frame) *vec { return byRows(x, f) }

func (x *local) row(_ *frame, _ int, sc *scope) (ref.Val, *failure) {
	for ; sc != nil; sc = sc.outer {
		if sc.name == x.name {
			return sc.value, sc.fail
		}
	}
	return types.NullValue, nil
}

// list makes a list; null elements are values.
type list struct {
	typed
	elems []node
}

func (x *list) vec(f *frame) *vec { return byRows(x, f) }

func (x *list) row(f *frame, i int, sc *scope) (ref.Val, *failure) {
	vals := make([]ref.Val, len(x.elems))
	for k, e := range x.elems {
		v, fail := e.row(f, i, sc)
		if fail != nil {
			return nil, fail
		}
		vals[k] = v
	}
	return types.NewRefValList(types.DefaultTypeAdapter, vals), nil
}

// dict makes a map.
type dict struct {
	typed
	keys, vals []node
}

func (x *dict) vec(f *frame) *vec { return byRows(x, f) }

func (x *dict) row(f *frame, i int, sc *scope) (ref.Val, *failure) {
	out := make(map[ref.Val]ref.Val, len(x.keys))
	for k := range x.keys {
		key, v, fail := both(x.keys[k], x.vals[k], f, i, sc)
		switch {
		case fail != nil:
			return nil, fail
		case key == types.NullValue:
			return types.NullValue, nil
		case key.Type() != types.StringType && key.Type() != types.IntType && key.Type() != types.BoolType:
			return nil, &failure{codeBadValue, key.Type().TypeName() + " cannot be a key"}
		}
		out[key] = v
	}
	return types.NewRefValMap(types.DefaultTypeAdapter, out), nil
}

// index is a[b]: absent is null. of is a.b where a is a value of a map.
type index struct {
	typed
	a, b node
	test bool // has(a.b)
}

func (x *index) vec(f *frame) *vec { return byRows(x, f) }

func (x *index) row(f *frame, i int, sc *scope) (ref.Val, *failure) {
	a, b, fail := both(x.a, x.b, f, i, sc)
	if fail != nil {
		return nil, fail
	}
	v := ref.Val(types.NullValue)
	if a != types.NullValue && b != types.NullValue {
		switch c := a.(type) {
		case traits.Mapper:
			if found, ok := c.Find(b); ok {
				v = found
			}
		case traits.Lister:
			n, ok := b.(types.Int)
			if !ok {
				return nil, &failure{codeBadValue, "a list is indexed by an int"}
			}
			if n >= 0 && n < c.Size().(types.Int) {
				v = c.Get(n)
			}
		default:
			return nil, &failure{codeBadValue, a.Type().TypeName() + " has no elements"}
		}
	}
	if x.test {
		return types.Bool(v != types.NullValue), nil
	}
	return v, nil
}

// comprehension is what all, exists, exists_one, map and filter expand to.
type comprehension struct {
	typed
	over                     node
	iter, iter2, accu        string
	init, while, step, final node
}

func (x *comprehension) vec(f *frame) *vec { return byRows(x, f) }

func (x *comprehension) row(f *frame, i int, sc *scope) (ref.Val, *failure) {
	over, fail := x.over.row(f, i, sc)
	if fail != nil || over == types.NullValue {
		return over, fail
	}
	items, ok := over.(traits.Iterable)
	if !ok {
		return nil, &failure{codeBadValue, over.Type().TypeName() + " has no elements"}
	}
	accu := &scope{outer: sc, name: x.accu}
	accu.value, accu.fail = x.init.row(f, i, sc)
	at := 0
	for it := items.Iterator(); it.HasNext() == types.True; at++ {
		if at == maxSteps {
			return nil, &failure{codeBadValue, "more than a million steps"}
		}
		inner := x.bind(over, it.Next(), at, accu)
		if v, _ := x.while.row(f, i, inner); v == types.False {
			break
		}
		v, fail := x.step.row(f, i, inner)
		accu.value, accu.fail = v, fail
	}
	return x.final.row(f, i, accu)
}

// bind declares the loop's variables: the element, or index and element, or key and value.
func (x *comprehension) bind(over, item ref.Val, at int, accu *scope) *scope {
	if x.iter2 == "" {
		return &scope{outer: accu, name: x.iter, value: item}
	}
	first, second := ref.Val(types.Int(at)), item
	if m, ok := over.(traits.Mapper); ok {
		first, second = item, m.Get(item)
	}
	return &scope{outer: &scope{outer: accu, name: x.iter, value: first}, name: x.iter2, value: second}
}

// settled is @not_strictly_false: only false is false; null and failures are not.
type settled struct {
	typed
	a node
}

func (x *settled) vec(f *frame) *vec { return byRows(x, f) }

func (x *settled) row(f *frame, i int, sc *scope) (ref.Val, *failure) {
	v, fail := x.a.row(f, i, sc)
	return types.Bool(fail != nil || v != types.False), nil
}
