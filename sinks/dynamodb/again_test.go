package dynamodb_test

import (
	"context"
	"errors"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	aws_dynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/sinktest"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/sinks/dynamodb"
)

// TestWhatWasRefusedIsRefusedAgain: a row in the middle of its key's is refused, those around it go in, and the worker ends before
// that is decided. (moto takes what is refused here.)
func TestWhatWasRefusedIsRefusedAgain(t *testing.T) {
	server := servers.DynaliteFor(t)
	l := load(t, server, dynamodb.Config{Mode: "update", Key: dynamodb.Key{Partition: "k"}, Counters: []string{"n"}},
		sinktest.Column("k", text), sinktest.Column("a", text), sinktest.Column("n", whole))
	l.Put(t, `{"k":"a","a":"0"}`)
	set := "SET n = :v"
	_, err := l.client.UpdateItem(t.Context(), &aws_dynamodb.UpdateItemInput{
		TableName: &l.cfg.Table, Key: map[string]types.AttributeValue{"k": &types.AttributeValueMemberS{Value: "a"}},
		UpdateExpression: &set, ExpressionAttributeValues: map[string]types.AttributeValue{":v": &types.AttributeValueMemberS{Value: "text"}},
	})
	require.NoError(t, err)
	of := map[core.ShardID][]string{"s": {`{"k":"a","a":"1"}`, `{"k":"a","n":5}`, `{"k":"a","a":"2"}`}}
	st, p := l.Plan(t, of)
	again := l.Again(t, l.Sink, p, of)
	n := 0
	err = st.Publish(t.Context(), p, func(_ context.Context, r []connectors.Reject) ([]connectors.Reject, error) {
		n = len(r)
		return nil, errors.New("the control store is away")
	})
	require.Error(t, err)
	require.Equal(t, 1, n)
	n = 0
	require.NoError(t, again.Publish(t.Context(), p, func(_ context.Context, r []connectors.Reject) ([]connectors.Reject, error) {
		n = len(r)
		return r, nil
	}))
	require.Equal(t, 1, n, "the refused row is neither in the table nor in the dead letters")
}

func TestNullFieldsAreLeftOut(t *testing.T) {
	server := servers.DynaliteFor(t)
	l := load(t, server, dynamodb.Config{Key: dynamodb.Key{Partition: "k"}},
		sinktest.Column("k", text), sinktest.Column("o", arrow.StructOf(sinktest.Column("x", arrow.Null), sinktest.Column("y", whole))))
	l.Put(t, `{"k":"a","o":{"x":null,"y":1}}`)
	require.NotContains(t, l.item(t, "a")["o"].(*types.AttributeValueMemberM).Value, "x")
}

func TestTwoPipelinesAppendToOneTable(t *testing.T) {
	server := servers.DynaliteFor(t)
	l := load(t, server, dynamodb.Config{Mode: "append", Key: dynamodb.Key{Partition: "k", Sort: "_id"}},
		sinktest.Column("k", text), sinktest.Column("v", text))
	of := map[core.ShardID][]string{"s": {`{"k":"a","v":"1"}`}}
	st, p := l.Plan(t, of)
	require.NoError(t, st.Publish(t.Context(), p, nil))
	q := p
	q.Pipeline = "q"
	other := map[core.ShardID][]string{"s": {`{"k":"a","v":"2"}`}}
	require.NoError(t, l.Again(t, l.Sink, p, other).Publish(t.Context(), q, nil))
	require.Len(t, items(t, l.client, l.cfg.Table), 2, l.state(t))
}
