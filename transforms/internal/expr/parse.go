package expr

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/penstock/penstock/core"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
)

// Expr is a parsed expression. It is safe for concurrent use.
type Expr struct {
	src     string
	env     *cel.Env
	columns []string
}

// Parse reads a CEL expression. Types are checked by Bind.
func Parse(src string) (*Expr, error) {
	env, err := newEnv()
	if err != nil {
		return nil, fmt.Errorf("set up CEL: %w", err)
	}
	e := &Expr{src: strings.TrimSpace(src), env: env}
	if e.src == "" {
		return nil, fmt.Errorf("the expression is empty: %w", core.ErrInvalid)
	}
	tree, err := e.parse()
	if err != nil {
		return nil, err
	}
	r := &rewriter{fac: ast.NewExprFactory(), next: ast.MaxID(tree.NativeRep())}
	if r.expr(tree.NativeRep().Expr(), nil); r.err != nil {
		return nil, fmt.Errorf("expression %q: %w: %w", e.src, r.err, core.ErrInvalid)
	}
	e.columns = r.names
	return e, nil
}

func (e *Expr) parse() (*cel.Ast, error) {
	tree, issues := e.env.Parse(e.src)
	if issues.Err() != nil {
		return nil, e.complain(issues)
	}
	return tree, nil
}

// complain is CEL's verdict on one line.
func (e *Expr) complain(issues *cel.Issues) error {
	all := make([]error, 0, len(issues.Errors()))
	for _, x := range issues.Errors() {
		all = append(all, fmt.Errorf("column %d: %s", x.Location.Column()+1, strings.ReplaceAll(x.Message, "$", "")))
	}
	return fmt.Errorf("expression %q: %w: %w", e.src, errors.Join(all...), core.ErrInvalid)
}

// String is the expression as it was written.
func (e *Expr) String() string { return e.src }

// Columns names the top-level columns that the expression uses.
func (e *Expr) Columns() []string { return slices.Clone(e.columns) }

// Bind checks the expression against the columns of in. A column or field that in does not have is null: records that
// have it may come later.
func (e *Expr) Bind(in *arrow.Schema) (*Program, error) { return e.bind(in, false) }

// Check is the error of Bind where every column that can be is in in: one that is not there is then a mistake.
func (e *Expr) Check(in *arrow.Schema) error {
	_, err := e.bind(in, true)
	return err
}

func (e *Expr) bind(in *arrow.Schema, strict bool) (*Program, error) {
	tree, err := e.parse()
	if err != nil {
		return nil, err
	}
	rep := tree.NativeRep()
	r := &rewriter{
		fac: ast.NewExprFactory(), next: ast.MaxID(rep), schema: in, strict: strict,
		paths: map[string][]int{}, types: map[string]arrow.DataType{},
	}
	if r.expr(rep.Expr(), nil); r.err != nil {
		return nil, fmt.Errorf("expression %q: %w: %w", e.src, r.err, core.ErrInvalid)
	}
	var vars []cel.EnvOption
	for name, dt := range r.types {
		t, ok := celType(dt)
		if !ok {
			return nil, fmt.Errorf("expression %q: column %s is %s, which expressions cannot use: %w", e.src, name[1:], dt, core.ErrInvalid)
		}
		vars = append(vars, cel.Variable(name, t))
	}
	env, err := e.env.Extend(vars...)
	if err != nil {
		return nil, fmt.Errorf("expression %q: %w", e.src, err)
	}
	checked, issues := env.Check(tree)
	if issues.Err() != nil {
		return nil, e.complain(issues)
	}
	l := newLowering(env, checked.NativeRep(), r)
	root, err := l.lower(checked.NativeRep().Expr())
	if err != nil {
		return nil, fmt.Errorf("expression %q: %w: %w", e.src, err, core.ErrInvalid)
	}
	return &Program{src: e.src, root: root, unit: l.unit, absent: r.absent}, nil
}

// unknown says that there is no such thing and which one may be meant.
func unknown(what, name string, have []string) string {
	have = slices.DeleteFunc(have, core.IsHidden)
	msg := fmt.Sprintf("unknown %s %q (have %s)", what, name, strings.Join(have, ", "))
	if best := core.Meant(name, have); best != "" {
		msg += "; did you mean " + best + "?"
	}
	return msg
}

// frame is what an evaluation reads.
type frame struct {
	batch core.Batch
	n     int
	cols  map[*column]*vec
}
