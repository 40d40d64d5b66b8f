package expr

import (
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"

	"cel.dev/cel-go/common/types"
)

// celType is the CEL type of a column; ok is false where expressions cannot use it.
func celType(dt arrow.DataType) (t *types.Type, ok bool) {
	switch d := dt.(type) {
	case *arrow.BooleanType:
		return types.BoolType, true
	case *arrow.Int8Type, *arrow.Int16Type, *arrow.Int32Type, *arrow.Int64Type, *arrow.Uint8Type, *arrow.Uint16Type, *arrow.Uint32Type:
		return types.IntType, true
	case *arrow.Float32Type, *arrow.Float64Type:
		return types.DoubleType, true
	case *arrow.StringType, *arrow.LargeStringType:
		return types.StringType, true
	case *arrow.BinaryType, *arrow.LargeBinaryType:
		return types.BytesType, true
	case *arrow.TimestampType, *arrow.Date32Type, *arrow.Date64Type:
		return types.TimestampType, true
	case *arrow.NullType:
		return types.DynType, true
	case *arrow.ListType:
		elem, ok := celType(d.Elem())
		return types.NewListType(elem), ok
	case *arrow.StructType:
		for _, f := range d.Fields() {
			if _, ok := celType(f.Type); !ok {
				return nil, false
			}
		}
		return types.NewMapType(types.StringType, types.DynType), true
	default:
		return nil, false
	}
}

func kindOf(t *types.Type) kind {
	switch t.Kind() {
	case types.BoolKind:
		return kindBool
	case types.IntKind:
		return kindInt
	case types.DoubleKind:
		return kindDouble
	case types.StringKind:
		return kindString
	case types.TimestampKind:
		return kindTime
	case types.NullTypeKind:
		return kindNull
	default:
		return kindAny
	}
}

// arrowType is the column type of an expression's result.
func arrowType(t *types.Type, unit arrow.TimeUnit) (arrow.DataType, error) {
	switch t.Kind() {
	case types.BoolKind:
		return arrow.FixedWidthTypes.Boolean, nil
	case types.IntKind:
		return arrow.PrimitiveTypes.Int64, nil
	case types.DoubleKind:
		return arrow.PrimitiveTypes.Float64, nil
	case types.StringKind:
		return arrow.BinaryTypes.String, nil
	case types.BytesKind:
		return arrow.BinaryTypes.Binary, nil
	case types.TimestampKind:
		return &arrow.TimestampType{Unit: unit, TimeZone: "UTC"}, nil
	case types.NullTypeKind:
		return arrow.Null, nil
	case types.ListKind:
		elem, err := arrowType(t.Parameters()[0], unit)
		if err != nil {
			return nil, err
		}
		return arrow.ListOf(elem), nil
	case types.DurationKind:
		return nil, fmt.Errorf("a length of time cannot be a column; use its getSeconds() or getMilliseconds()")
	case types.DynKind:
		return nil, fmt.Errorf("the type of the result is not known before it runs; wrap it in string(), int(), double(), bool() or timestamp()")
	default:
		return nil, fmt.Errorf("a %s cannot be a column; name one of its fields", t)
	}
}
