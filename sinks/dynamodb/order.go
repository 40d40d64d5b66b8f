package dynamodb

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// order is what order_by has in a row.
type order struct {
	types.AttributeValue // nil: null, which is older than everything

	number float64
	whole  int64
	text   string
}

// compare is negative where o is older than the other.
func (o order) compare(other order) int {
	switch {
	case o.AttributeValue == nil && other.AttributeValue != nil:
		return -1
	case o.AttributeValue != nil && other.AttributeValue == nil:
		return 1
	}
	return cmp.Or(cmp.Compare(o.number, other.number), cmp.Compare(o.whole, other.whole), cmp.Compare(o.text, other.text))
}

// orderOf is how values of order_by are ordered; null is not asked for, so it is older than all.
func orderOf(a arrow.Array) (func(i int) (order, error), error) {
	var value func(i int) order
	whole := func(n int64) order { return order{AttributeValue: number(n), whole: n} }
	switch a := a.(type) {
	case *array.Int64:
		value = func(i int) order { return whole(a.Value(i)) }
	case *array.Int32:
		value = func(i int) order { return whole(int64(a.Value(i))) }
	case *array.Date32:
		value = func(i int) order { return whole(int64(a.Value(i))) }
	case *array.Timestamp:
		unit := a.DataType().(*arrow.TimestampType).Unit
		value = func(i int) order { return whole(a.Value(i).ToTime(unit).UnixMicro()) }
	case *array.Float64:
		value = func(i int) order {
			f := a.Value(i) + 0 // of two zeros, one
			return order{AttributeValue: &types.AttributeValueMemberN{Value: strconv.FormatFloat(f, 'g', -1, 64)}, number: f}
		}
	case *array.String:
		value = func(i int) order { return order{AttributeValue: text(strings.Clone(a.Value(i))), text: a.Value(i)} }
	default:
		return nil, fmt.Errorf("order_by: %s has no order here: cast it", a.DataType())
	}
	return func(i int) (order, error) {
		if a.IsNull(i) {
			return order{}, nil
		}
		o := value(i)
		if reason := noNumber(a, i); reason != "" {
			return o, &unfit{"order_by", "its value " + reason}
		}
		o.text = strings.Clone(o.text)
		return o, nil
	}, nil
}
