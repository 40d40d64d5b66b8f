package dynamodb

import (
	"fmt"
	"math"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/penstock/penstock/connectors/rowjson"
)

// attribute is the form of the valid value i of one column.
type attribute func(i int) (types.AttributeValue, error)

// unfit says why a row cannot be an item.
type unfit struct{ code, reason string }

func (u *unfit) Error() string { return u.reason }

// attributeOf says how the values of a column stand in an item: numbers as N with all their digits, text, times and dates as S,
// bytes as B, structs as M without what is null, lists as L.
func attributeOf(a arrow.Array) (attribute, error) {
	switch a := a.(type) {
	case *array.Boolean:
		return func(i int) (types.AttributeValue, error) {
			return &types.AttributeValueMemberBOOL{Value: a.Value(i)}, nil
		}, nil
	case *array.String:
		return func(i int) (types.AttributeValue, error) { return text(strings.Clone(a.Value(i))), nil }, nil
	case *array.LargeString:
		return func(i int) (types.AttributeValue, error) { return text(strings.Clone(a.Value(i))), nil }, nil
	case *array.Binary:
		return func(i int) (types.AttributeValue, error) { return bytesOf(a.Value(i)), nil }, nil
	case *array.LargeBinary:
		return func(i int) (types.AttributeValue, error) { return bytesOf(a.Value(i)), nil }, nil
	case *array.Struct:
		return structOf(a)
	case *array.List:
		return listOf(a)
	case *array.LargeList:
		return listOf(a)
	case *array.Null:
		return func(int) (types.AttributeValue, error) { return &types.AttributeValueMemberNULL{Value: true}, nil }, nil
	}
	written, err := rowjson.Values(a)
	if err != nil {
		return nil, err
	}
	switch a.(type) {
	case *array.Timestamp, *array.Date32:
		return func(i int) (types.AttributeValue, error) {
			return text(strings.Trim(string(written(nil, i)), `"`)), nil
		}, nil
	}
	return func(i int) (types.AttributeValue, error) {
		n := string(written(nil, i))
		if reason := noNumber(a, i); reason != "" {
			return nil, &unfit{"number", fmt.Sprintf("%s %s", strings.Trim(n, `"`), reason)}
		}
		if n == "-0" { // DynamoDB has one zero
			n = "0"
		}
		return &types.AttributeValueMemberN{Value: n}, nil
	}, nil
}

func bytesOf(b []byte) types.AttributeValue {
	return &types.AttributeValueMemberB{Value: append([]byte{}, b...)}
}

// Numbers that DynamoDB has.
const (
	leastNumber = 1e-130
	mostNumber  = 9.99e125
)

// noNumber says why DynamoDB has no such number.
func noNumber(a arrow.Array, i int) string {
	var f float64
	switch a := a.(type) {
	case *array.Float64:
		f = a.Value(i)
	case *array.Float32:
		f = float64(a.Value(i))
	}
	switch abs := math.Abs(f); {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return "is no number of DynamoDB's"
	case abs > mostNumber:
		return "is too large: DynamoDB has numbers up to 9.99e+125"
	case abs != 0 && abs < leastNumber:
		return "is too small: DynamoDB has numbers from 1e-130"
	}
	return ""
}

func structOf(a *array.Struct) (attribute, error) {
	t := a.DataType().(*arrow.StructType)
	fields := make([]attribute, a.NumField())
	for c := range fields {
		var err error
		if fields[c], err = attributeOf(a.Field(c)); err != nil {
			return nil, err
		}
	}
	return func(i int) (types.AttributeValue, error) {
		m := map[string]types.AttributeValue{}
		for c, field := range fields {
			if f := a.Field(c); f.IsNull(i) || f.DataType().ID() == arrow.NULL { // such an array says that nothing in it is null
				continue
			}
			v, err := field(i)
			if err != nil {
				return nil, err
			}
			m[t.Field(c).Name] = v
		}
		return &types.AttributeValueMemberM{Value: m}, nil
	}, nil
}

func listOf(a array.ListLike) (attribute, error) {
	values := a.ListValues()
	element, err := attributeOf(values)
	if err != nil {
		return nil, err
	}
	return func(i int) (types.AttributeValue, error) {
		start, end := a.ValueOffsets(i)
		list := make([]types.AttributeValue, 0, end-start)
		for j := int(start); j < int(end); j++ {
			var v types.AttributeValue = &types.AttributeValueMemberNULL{Value: true}
			if values.IsValid(j) && values.DataType().ID() != arrow.NULL {
				if v, err = element(j); err != nil {
					return nil, err
				}
			}
			list = append(list, v)
		}
		return &types.AttributeValueMemberL{Value: list}, nil
	}, nil
}
