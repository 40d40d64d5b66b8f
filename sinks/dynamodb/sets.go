package dynamodb

import (
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// setOf says how lists stand in an item as sets; nil is the empty one, which DynamoDB has not.
func setOf(a arrow.Array) (attribute, error) {
	list, err := attributeOf(a)
	if err != nil {
		return nil, err
	}
	return func(i int) (types.AttributeValue, error) {
		v, err := list(i)
		if err != nil {
			return nil, err
		}
		l, ok := v.(*types.AttributeValueMemberL)
		if !ok {
			return nil, &unfit{"set", "only a list can be a set"}
		}
		var set types.AttributeValue
		for _, e := range l.Value {
			if set, err = with(set, e); err != nil {
				return nil, err
			}
		}
		return set, nil
	}, nil
}

// with is a set with one more element; nil is the empty set.
func with(set, element types.AttributeValue) (types.AttributeValue, error) {
	switch e := element.(type) {
	case *types.AttributeValueMemberS:
		return union(set, &types.AttributeValueMemberSS{Value: []string{e.Value}})
	case *types.AttributeValueMemberN:
		return union(set, &types.AttributeValueMemberNS{Value: []string{e.Value}})
	case *types.AttributeValueMemberB:
		return union(set, &types.AttributeValueMemberBS{Value: [][]byte{e.Value}})
	}
	return nil, &unfit{"set", "a set has text, numbers or bytes, and no null"}
}

// union is a set with the elements of another of its type; it changes the first one.
func union(set, more types.AttributeValue) (types.AttributeValue, error) {
	if set == nil {
		return more, nil
	}
	switch m := more.(type) {
	case *types.AttributeValueMemberSS:
		if s, ok := set.(*types.AttributeValueMemberSS); ok {
			s.Value = added(s.Value, m.Value)
			return s, nil
		}
	case *types.AttributeValueMemberNS:
		if s, ok := set.(*types.AttributeValueMemberNS); ok {
			s.Value = added(s.Value, m.Value)
			return s, nil
		}
	case *types.AttributeValueMemberBS:
		if s, ok := set.(*types.AttributeValueMemberBS); ok {
			for _, b := range m.Value {
				if !slices.ContainsFunc(s.Value, func(had []byte) bool { return slices.Equal(had, b) }) {
					s.Value = append(s.Value, b)
				}
			}
			return s, nil
		}
	}
	return nil, fmt.Errorf("sets of %T and %T have no union", set, more) // a column has one type
}

func added(to, more []string) []string {
	for _, m := range more {
		if !slices.Contains(to, m) {
			to = append(to, m)
		}
	}
	return to
}
