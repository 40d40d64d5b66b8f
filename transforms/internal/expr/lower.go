package expr

import (
	"fmt"
	"regexp"
	"time"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/penstock/penstock/transforms/internal/timefmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// lowering turns a checked tree into nodes.
type lowering struct {
	env   *cel.Env
	tree  *ast.AST
	paths map[string][]int
	cols  map[string]*column
	impls map[string]func(...ref.Val) ref.Val
	unit  arrow.TimeUnit // the finest of the columns that are times, and at least milliseconds
}

func newLowering(env *cel.Env, tree *ast.AST, r *rewriter) *lowering {
	l := &lowering{
		env: env, tree: tree, paths: r.paths, cols: map[string]*column{},
		impls: map[string]func(...ref.Val) ref.Val{}, unit: arrow.Millisecond,
	}
	for _, dt := range r.types {
		if ts, ok := dt.(*arrow.TimestampType); ok {
			l.unit = max(l.unit, ts.Unit)
		}
	}
	return l
}

func (l *lowering) lower(e ast.Expr) (node, error) {
	t := l.tree.GetType(e.ID())
	if t == nil {
		t = types.DynType
	}
	switch e.Kind() {
	case ast.LiteralKind:
		return &literal{typed{t}, e.AsLiteral()}, nil
	case ast.IdentKind:
		return l.ident(e.AsIdent(), t), nil
	case ast.SelectKind:
		s := e.AsSelect()
		a, err := l.lower(s.Operand())
		if err != nil {
			return nil, err
		}
		return &index{typed{t}, a, &literal{typed{types.StringType}, types.String(s.FieldName())}, s.IsTestOnly()}, nil
	case ast.CallKind:
		return l.call(e.AsCall(), t)
	case ast.ListKind:
		elems, err := l.all(e.AsList().Elements())
		return &list{typed{t}, elems}, err
	case ast.MapKind:
		x := &dict{typed: typed{t}}
		for _, entry := range e.AsMap().Entries() {
			kv, err := l.all([]ast.Expr{entry.AsMapEntry().Key(), entry.AsMapEntry().Value()})
			if err != nil {
				return nil, err
			}
			x.keys, x.vals = append(x.keys, kv[0]), append(x.vals, kv[1])
		}
		return x, nil
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		parts, err := l.all([]ast.Expr{c.IterRange(), c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()})
		if err != nil {
			return nil, err
		}
		return &comprehension{
			typed{t}, parts[0], c.IterVar(), c.IterVar2(), c.AccuVar(), parts[1], parts[2], parts[3], parts[4],
		}, nil
	default:
		return nil, fmt.Errorf("messages are not part of pipeline expressions")
	}
}

func (l *lowering) all(exprs []ast.Expr) ([]node, error) {
	out := make([]node, len(exprs))
	for i, e := range exprs {
		var err error
		if out[i], err = l.lower(e); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (l *lowering) ident(name string, t *types.Type) node {
	path, ok := l.paths[name]
	if !ok {
		return &local{typed{t}, name}
	}
	if l.cols[name] == nil {
		l.cols[name] = &column{typed{t}, path}
	}
	return l.cols[name]
}

var orders = map[string]order{
	operators.Equals: opEQ, operators.NotEquals: opNE, operators.Less: opLT,
	operators.LessEquals: opLE, operators.Greater: opGT, operators.GreaterEquals: opGE,
}

func (l *lowering) call(c ast.CallExpr, t *types.Type) (node, error) {
	exprs := c.Args()
	if c.IsMemberFunction() {
		exprs = append([]ast.Expr{c.Target()}, exprs...)
	}
	args, err := l.all(exprs)
	if err != nil {
		return nil, err
	}
	fn := c.FunctionName()
	switch fn {
	case fnNull:
		return &literal{typed{types.NullType}, types.NullValue}, nil
	case fnNow:
		return &now{typed{t}}, nil
	case fnUUID:
		return &uuid{typed{t}}, nil
	case fnCoalesce:
		return &coalesce{typed{t}, args}, nil
	case operators.LogicalAnd, operators.LogicalOr:
		return &connective{typed{t}, fn == operators.LogicalOr, args[0], args[1]}, nil
	case operators.LogicalNot:
		return &not{typed{t}, args[0]}, nil
	case operators.Conditional:
		if kindOf(args[0].typ()) != kindBool {
			args[0] = &guard{typed{types.BoolType}, args[0]}
		}
		return &conditional{typed{t}, args[0], args[1], args[2]}, nil
	case operators.Index:
		return &index{typed{t}, args[0], args[1], false}, nil
	case operators.In:
		return l.membership(t, args, exprs), nil
	case operators.NotStrictlyFalse:
		return &settled{typed{t}, args[0]}, nil
	case "dyn":
		return args[0], nil
	}
	if op, ok := orders[fn]; ok {
		if op <= opNE {
			if err := comparable(args[0].typ(), args[1].typ()); err != nil {
				return nil, err
			}
		}
		return &comparison{typed{types.BoolType}, op, args[0], args[1]}, nil
	}
	return l.strict(fn, t, args)
}

// comparable refuses an == that can never hold.
func comparable(a, b *types.Type) error {
	ka, kb := kindOf(a), kindOf(b)
	unsure := func(t *types.Type) bool {
		return t.Kind() == types.DynKind || t.Kind() == types.NullTypeKind || t.Kind() == types.TypeParamKind
	}
	if unsure(a) || unsure(b) || numeric(ka) && numeric(kb) || a.Kind() == b.Kind() ||
		numeric(ka) && b.Kind() == types.UintKind || numeric(kb) && a.Kind() == types.UintKind {
		return nil
	}
	return fmt.Errorf("%s never equals %s; convert one, for example with string() or int()", a, b)
}

// strict is a function that never sees a null.
func (l *lowering) strict(fn string, t *types.Type, args []node) (node, error) {
	x := &call{typed: typed{t}, fn: fn, args: args}
	var err error
	if x.impl, err = l.impl(fn); err != nil {
		return nil, err
	}
	constant := func(k int) (string, bool) {
		if lit, ok := args[k].(*literal); ok {
			s, ok := lit.value.(types.String)
			return string(s), ok
		}
		return "", false
	}
	switch fn {
	case operators.Add, operators.Subtract, operators.Multiply, operators.Divide, operators.Modulo:
		return &arithmetic{typed{t}, fn[1], x}, nil
	case "startsWith", "endsWith", "contains":
		return &match{typed: typed{t}, test: stringTest(fn), call: x}, nil
	case "matches":
		if p, ok := constant(1); ok {
			re, err := regexp.Compile(p)
			if err != nil {
				return nil, fmt.Errorf("pattern %q: %w", p, err)
			}
			return &match{typed: typed{t}, pattern: re, call: x}, nil
		}
	case fnParse:
		if p, ok := constant(1); ok {
			f, err := timefmt.New(p, time.UTC)
			if err != nil {
				return nil, err
			}
			l.unit = max(l.unit, arrow.Microsecond)
			return &parse{typed{t}, f, x}, nil
		}
	case fnTrunc:
		if u, ok := constant(1); ok {
			if v := truncate(types.Timestamp{Time: time.Unix(0, 0)}, types.String(u)); types.IsError(v) {
				return nil, fmt.Errorf("%v", v)
			}
		}
	}
	if kindOf(t) == kindTime {
		l.unit = max(l.unit, arrow.Microsecond)
	}
	return x, nil
}

// impl is CEL's own implementation, which finds its overload by the operands.
func (l *lowering) impl(fn string) (func(...ref.Val) ref.Val, error) {
	if f := l.impls[fn]; f != nil {
		return f, nil
	}
	f, err := implementation(l.env, fn)
	l.impls[fn] = f
	return f, err
}

func (l *lowering) membership(t *types.Type, args []node, exprs []ast.Expr) node {
	x := &membership{typed: typed{t}, a: args[0], b: args[1]}
	if exprs[1].Kind() != ast.ListKind {
		return x
	}
	ints, strs := map[int64]struct{}{}, map[string]struct{}{}
	for _, e := range args[1].(*list).elems {
		lit, ok := e.(*literal)
		if !ok {
			return x
		}
		switch v := lit.value.(type) {
		case types.Int:
			ints[int64(v)] = struct{}{}
		case types.String:
			strs[string(v)] = struct{}{}
		default:
			return x
		}
	}
	switch k := kindOf(args[0].typ()); {
	case k == kindInt && len(strs) == 0:
		x.ints = ints
	case k == kindString && len(ints) == 0:
		x.strs = strs
	}
	return x
}
