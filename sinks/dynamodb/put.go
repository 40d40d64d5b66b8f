package dynamodb

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/penstock/penstock/connectors"
)

// puts gathers of each key the last row.
type puts struct {
	w    *writer
	last map[string]*row
}

func (p *puts) add(r *row) error {
	if had := p.last[r.id]; had == nil || newer(r, had) {
		p.last[r.id] = r
	}
	return nil
}

// newer reports whether a row is to take the place of one that was there.
func newer(r, had *row) bool {
	if c := r.order.compare(had.order); c != 0 {
		return c > 0
	}
	if c := r.Seq.Compare(had.Seq); c != 0 {
		return c > 0
	}
	return r.Ord >= had.Ord
}

func (p *puts) changes() [][]change {
	out := make([][]change, 0, len(p.last))
	for id, r := range p.last {
		out = append(out, []change{{id, []connectors.Reject{r.Reject}, func(ctx context.Context) error { return p.w.put(ctx, r) }}})
	}
	return out
}

// put has a row take the place of the item with its key, unless that is from a later record.
func (w *writer) put(ctx context.Context, r *row) error {
	item := r.item()
	item[markName] = text(r.mark)
	if r.deletes {
		item[deletedName], item[w.sink.expires()] = &types.AttributeValueMemberBOOL{Value: true}, number(r.expires)
	}
	if r.order.AttributeValue != nil {
		item[ordersName] = r.order.AttributeValue
	}
	e := newExpression()
	mark := e.name(markName)
	notLater := "(attribute_not_exists(" + mark + ") OR " + mark + " <= " + e.value(text(r.mark)) + ")"
	condition := notLater
	if w.sink.cfg.OrderBy != "" {
		order := e.name(ordersName)
		condition = "attribute_not_exists(" + order + ") AND " + notLater
		if r.order.AttributeValue != nil {
			v := e.value(r.order.AttributeValue)
			condition = "attribute_not_exists(" + order + ") OR " + order + " < " + v + " OR (" + order + " = " + v + " AND " + notLater + ")"
		}
	}
	_, err := w.sink.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &w.sink.cfg.Table, Item: item, ConditionExpression: &condition,
		ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
	})
	if later := (*types.ConditionalCheckFailedException)(nil); errors.As(err, &later) {
		return nil
	}
	return err
}
