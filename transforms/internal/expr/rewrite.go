package expr

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// rewriter prepares a parsed tree for the check: paths into structs become variables of their own, nulls take any
// type, and == compares what the checker would not (the lowering looks at the types then).
type rewriter struct {
	fac    ast.ExprFactory
	next   int64
	schema *arrow.Schema    // nil: only names are collected
	strict bool             // what the schema does not have is an error, not null
	absent bool             // something was not there, and is null
	paths  map[string][]int // variable -> column and field indexes
	types  map[string]arrow.DataType
	names  []string // top-level columns, in order of appearance
	err    error
}

func (r *rewriter) id() int64 {
	r.next++
	return r.next
}

func (r *rewriter) expr(e ast.Expr, bound []string) {
	switch e.Kind() {
	case ast.IdentKind:
		r.path(e, e, nil, bound)
	case ast.SelectKind:
		r.selection(e, bound)
	case ast.LiteralKind:
		if e.AsLiteral() == types.NullValue {
			e.SetKindCase(r.fac.NewCall(e.ID(), fnNull))
		}
	case ast.CallKind:
		r.call(e, bound)
	case ast.ListKind:
		for _, x := range e.AsList().Elements() {
			r.expr(x, bound)
		}
	case ast.MapKind:
		for _, x := range e.AsMap().Entries() {
			r.expr(x.AsMapEntry().Key(), bound)
			r.expr(x.AsMapEntry().Value(), bound)
		}
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		r.expr(c.IterRange(), bound)
		r.expr(c.AccuInit(), bound)
		inner := append(slices.Clone(bound), c.IterVar(), c.IterVar2(), c.AccuVar())
		r.expr(c.LoopCondition(), inner)
		r.expr(c.LoopStep(), inner)
		r.expr(c.Result(), inner)
	case ast.StructKind, ast.UnspecifiedExprKind:
		r.fail("messages are not part of pipeline expressions")
	}
}

func (r *rewriter) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *rewriter) call(e ast.Expr, bound []string) {
	c := e.AsCall()
	if c.IsMemberFunction() {
		r.expr(c.Target(), bound)
	}
	for _, x := range c.Args() {
		r.expr(x, bound)
	}
	if fn := c.FunctionName(); fn == operators.Equals || fn == operators.NotEquals {
		args := c.Args()
		e.SetKindCase(r.fac.NewCall(e.ID(), fn, r.dyn(args[0]), r.dyn(args[1])))
	}
}

func (r *rewriter) dyn(e ast.Expr) ast.Expr { return r.fac.NewCall(r.id(), "dyn", e) }

// selection handles a.b.c: as a path where a is a column, else as a field of whatever a.b gives.
func (r *rewriter) selection(e ast.Expr, bound []string) {
	var fields []string
	at := e
	for at.Kind() == ast.SelectKind {
		fields = append(fields, at.AsSelect().FieldName())
		at = at.AsSelect().Operand()
		if at.Kind() == ast.SelectKind && at.AsSelect().IsTestOnly() {
			break
		}
	}
	if at.Kind() == ast.IdentKind && !slices.Contains(bound, at.AsIdent()) {
		slices.Reverse(fields)
		r.path(e, at, fields, bound)
		return
	}
	r.expr(e.AsSelect().Operand(), bound)
}

// path makes e, which selects fields of the column that root names, a variable.
func (r *rewriter) path(e, root ast.Expr, fields, bound []string) {
	name := root.AsIdent()
	if slices.Contains(bound, name) {
		return
	}
	if r.schema != nil && len(fields) > 0 { // a column may itself be called a.b
		for n := len(fields); n > 0; n-- {
			if whole := name + "." + strings.Join(fields[:n], "."); r.schema.HasField(whole) {
				name, fields = whole, fields[n:]
				break
			}
		}
	}
	if !slices.Contains(r.names, name) {
		r.names = append(r.names, name)
	}
	if r.schema == nil {
		return
	}
	test := e.Kind() == ast.SelectKind && e.AsSelect().IsTestOnly()
	at := r.schema.FieldIndices(name)
	if len(at) == 0 {
		r.missing(e, test, "column", name, r.schema.Fields())
		return
	}
	indexes, dt, label := []int{at[0]}, r.schema.Field(at[0]).Type, name
	for _, f := range fields {
		st, ok := dt.(*arrow.StructType)
		if !ok {
			if dt.ID() == arrow.NULL { // nothing is known of it yet: null throughout
				break
			}
			r.fail("column %s is %s and has no field %s", label, dt, f)
			return
		}
		i, ok := st.FieldIdx(f)
		if !ok {
			r.missing(e, test, "field of "+label, f, st.Fields())
			return
		}
		indexes, dt, label = append(indexes, i), st.Field(i).Type, label+"."+f
	}
	variable := "$" + label
	r.paths[variable], r.types[variable] = indexes, dt
	ident := r.fac.NewIdent(r.id(), variable)
	if test {
		e.SetKindCase(r.fac.NewCall(e.ID(), operators.NotEquals, r.dyn(ident), r.dyn(r.fac.NewCall(r.id(), fnNull))))
		return
	}
	e.SetKindCase(ident)
}

// missing makes e, which names what the schema does not have, null, and a test whether it is there false.
func (r *rewriter) missing(e ast.Expr, test bool, what, name string, have []arrow.Field) {
	r.absent = true
	switch {
	case test:
		e.SetKindCase(r.fac.NewLiteral(e.ID(), types.False))
	case r.strict:
		r.fail("%s", unknown(what, name, fieldNames(have)))
	default:
		e.SetKindCase(r.fac.NewCall(e.ID(), fnNull))
	}
}

func fieldNames(fields []arrow.Field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.Name
	}
	return out
}
