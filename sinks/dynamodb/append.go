package dynamodb

import (
	"context"
	"iter"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/sinks/internal/adaptive"
)

// batchItems is how many items a BatchWriteItem has at most.
const batchItems = 25

// batch is items that are written together. Each is named after its row's record, so it may be written again.
type batch struct {
	left  []types.WriteRequest
	rows  map[string]connectors.Reject // by the identity
	alone bool                         // the table refuses one of them: each is to be sent by itself
}

// append writes all rows as items of their own.
func (w *writer) append(ctx context.Context) error {
	var mu sync.Mutex // guards what follows
	var refused []connectors.Reject
	err := adaptive.Send(ctx, w.sink.limit, w.batches(ctx), meaning, func(ctx context.Context, b *batch) error {
		err := w.together(ctx, b)
		for err == nil && b.alone && len(b.left) > 0 {
			r := b.rows[w.identity(b.left[0])]
			_, err = w.sink.client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &w.sink.cfg.Table, Item: b.left[0].PutRequest.Item})
			if r.Code, r.Reason = ofItem(err); r.Code != "" {
				mu.Lock()
				refused, err = append(refused, r), nil
				mu.Unlock()
			}
			if err == nil {
				b.left = b.left[1:]
			}
		}
		return explain("write to", w.sink.cfg.Table, err)
	})
	for _, r := range refused {
		if err := w.Add(r); err != nil {
			return err
		}
	}
	return err
}

// together sends a batch, and leaves in it what has to be sent again or alone.
func (w *writer) together(ctx context.Context, b *batch) error {
	if b.alone {
		return nil
	}
	out, err := w.sink.client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{w.sink.cfg.Table: b.left}})
	if code, _ := ofItem(err); code != "" {
		b.alone = true
		return nil
	}
	if err != nil {
		return err
	}
	if b.left = out.UnprocessedItems[w.sink.cfg.Table]; len(b.left) > 0 {
		return errUnprocessed
	}
	return nil
}

// batches are the rows, so many at a time.
func (w *writer) batches(ctx context.Context) iter.Seq2[batch, error] {
	return func(yield func(batch, error) bool) {
		next := batch{rows: map[string]connectors.Reject{}}
		for r, err := range w.each(ctx, 0) {
			if err != nil {
				yield(batch{}, err)
				return
			}
			request := types.WriteRequest{PutRequest: &types.PutRequest{Item: r.item()}}
			next.left = append(next.left, request)
			next.rows[w.identity(request)] = r.Reject
			if len(next.left) < batchItems {
				continue
			}
			if !yield(next, nil) {
				return
			}
			next = batch{rows: map[string]connectors.Reject{}}
		}
		if len(next.left) > 0 {
			yield(next, nil)
		}
	}
}

// identity is the attribute of an item that is made from where its record stands.
func (w *writer) identity(r types.WriteRequest) string {
	if s, ok := r.PutRequest.Item[w.sink.cfg.Key.identity()].(*types.AttributeValueMemberS); ok {
		return s.Value
	}
	return ""
}
