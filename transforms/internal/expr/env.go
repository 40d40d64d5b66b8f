package expr

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
)

const (
	fnNull     = "@null" // a null of whatever type its place wants
	fnNow      = "now"
	fnUUID     = "uuid"
	fnCoalesce = "coalesce"
	fnParse    = "parse_timestamp"
	fnTrunc    = "timestamp_trunc"
	maxArgs    = 8 // of coalesce
	maxNodes   = 10_000
)

// newEnv is CEL with Penstock's functions and without columns.
func newEnv() (*cel.Env, error) {
	str, ts, num, dbl := cel.StringType, cel.TimestampType, cel.IntType, cel.DoubleType
	a := cel.TypeParamType("A")
	opts := []cel.EnvOption{
		ext.Strings(),
		cel.CrossTypeNumericComparisons(true),
		cel.HomogeneousAggregateLiterals(),
		cel.ExpressionNodeLimit(maxNodes),
		cel.Macros(cel.GlobalMacro("has", 1, expandHas), cel.GlobalMacro("col", 1, expandCol)),
		cel.Function(fnNull, cel.Overload("null_of", nil, a)),
		cel.Function(fnNow, cel.Overload("now_arrival", nil, ts)),
		cel.Function(fnUUID, cel.Overload("uuid_of_row", nil, str)),
		cel.Function("lower", unaryString("lower", strings.ToLower)...),
		cel.Function("upper", unaryString("upper", strings.ToUpper)...),
		cel.Function("sha256", unaryString("sha256", hexSHA256)...),
		cel.Function(fnTrunc,
			cel.Overload("trunc_timestamp", []*cel.Type{ts, str}, ts, cel.BinaryBinding(truncate)),
			cel.Overload("trunc_string", []*cel.Type{str, str}, ts, cel.BinaryBinding(truncate))),
		cel.Function(fnParse, cel.Overload("parse_string", []*cel.Type{str, str}, ts, cel.BinaryBinding(parseTimestamp))),
	}
	coalesce := make([]cel.FunctionOpt, 0, maxArgs)
	for n := 1; n <= maxArgs; n++ {
		args := make([]*cel.Type, n)
		for i := range args {
			args[i] = a
		}
		coalesce = append(coalesce, cel.Overload(fmt.Sprintf("coalesce_%d", n), args, a))
	}
	opts = append(opts, cel.Function(fnCoalesce, coalesce...))
	for _, op := range []string{operators.Add, operators.Subtract, operators.Multiply, operators.Divide} {
		opts = append(opts, cel.Function(op,
			cel.Overload(op+"int_double", []*cel.Type{num, dbl}, dbl),
			cel.Overload(op+"double_int", []*cel.Type{dbl, num}, dbl)))
	}
	return cel.NewEnv(opts...)
}

func unaryString(name string, f func(string) string) []cel.FunctionOpt {
	bind := cel.UnaryBinding(func(v ref.Val) ref.Val { return types.String(f(string(v.(types.String)))) })
	args := []*cel.Type{cel.StringType}
	return []cel.FunctionOpt{
		cel.Overload(name+"_string", args, cel.StringType, bind),
		cel.MemberOverload("string_"+name, args, cel.StringType, bind),
	}
}

func hexSHA256(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// expandHas lets has() take a column, too: has(x) is x != null.
func expandHas(eh cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
	switch args[0].Kind() {
	case ast.IdentKind:
		return eh.NewCall(operators.NotEquals, args[0], eh.NewLiteral(types.NullValue)), nil
	case ast.SelectKind:
		s := args[0].AsSelect()
		return eh.NewPresenceTest(s.Operand(), s.FieldName()), nil
	default:
		return nil, eh.NewError(args[0].ID(), "has() takes a column or a field, such as has(user.name)")
	}
}

// expandCol names a column that is no identifier: col("user-agent").
func expandCol(eh cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
	if args[0].Kind() == ast.LiteralKind {
		if name, ok := args[0].AsLiteral().(types.String); ok {
			return eh.NewIdent(string(name)), nil
		}
	}
	return nil, eh.NewError(args[0].ID(), `col() takes a column's name in quotes, such as col("user-agent")`)
}
