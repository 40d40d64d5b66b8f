package dynamodb

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// expression gathers the conditions and the updates of an item. Names are aliased, as DynamoDB reserves many words.
type expression struct {
	conditions, sets, removes []string
	names                     map[string]string
	values                    item
}

func (e *expression) name(attribute string) string {
	if e.names == nil {
		e.names = map[string]string{}
	}
	e.names["#"+attribute] = attribute
	return "#" + attribute
}

func (e *expression) value(v types.AttributeValue) string {
	if e.values == nil {
		e.values = item{}
	}
	name := fmt.Sprint(":v", len(e.values))
	e.values[name] = v
	return name
}

// demand adds a condition, once.
func (e *expression) demand(condition string) {
	for _, c := range e.conditions {
		if c == condition {
			return
		}
	}
	e.conditions = append(e.conditions, condition)
}

func (e *expression) is(attribute string, v types.AttributeValue) {
	e.demand(e.name(attribute) + " = " + e.value(v))
}

func (e *expression) absent(attribute string) {
	e.demand("attribute_not_exists(" + e.name(attribute) + ")")
}

// equal demands that an attribute has a value. The one that stands for none is also what an item without the attribute has.
func (e *expression) equal(attribute string, v types.AttributeValue, none bool) {
	if s, text := v.(*types.AttributeValueMemberS); none && text && s.Value == "" {
		e.absent(attribute)
	} else if none {
		e.demand("(attribute_not_exists(" + e.name(attribute) + ") OR " + e.name(attribute) + " = " + e.value(v) + ")")
	} else {
		e.is(attribute, v)
	}
}

func (e *expression) set(attribute string, v types.AttributeValue) {
	e.sets = append(e.sets, e.name(attribute)+" = "+e.value(v))
}

// setOnce sets an attribute that the item does not have.
func (e *expression) setOnce(attribute string, v types.AttributeValue) {
	n := e.name(attribute)
	e.sets = append(e.sets, n+" = if_not_exists("+n+", "+e.value(v)+")")
}

func (e *expression) remove(attribute string) { e.removes = append(e.removes, e.name(attribute)) }

func (e *expression) setUnless(attribute string, v types.AttributeValue, gone bool) {
	if gone {
		e.remove(attribute)
	} else {
		e.set(attribute, v)
	}
}

// condition is all conditions; nil where there are none.
func (e *expression) condition() *string {
	if len(e.conditions) == 0 {
		return nil
	}
	all := strings.Join(e.conditions, " AND ")
	return &all
}

// update is all updates.
func (e *expression) update() *string {
	all := "SET " + strings.Join(e.sets, ", ")
	if len(e.removes) > 0 {
		all += " REMOVE " + strings.Join(e.removes, ", ")
	}
	return &all
}
