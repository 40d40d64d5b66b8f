package dynamodb

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/penstock/penstock/connectors"
)

// A plan's manifest stands in the ledger as gzipped JSON, in as many items as it needs: the first, which is written last, says
// how many. Attributes of an item.
const (
	ledgerPipeline = "pipeline" // partition key
	ledgerPlan     = "plan"     // sort key: incarnation/number/part
	ledgerParts    = "parts"    // how many, in the first
	ledgerManifest = "manifest"
	ledgerPart     = 350 << 10 // bytes of the manifest: an item has 400 KiB at most
)

func planName(p connectors.Plan, part int) string {
	return fmt.Sprintf("%s/%020d/%04d", p.Incarnation, p.Number, part)
}

func text(s string) *types.AttributeValueMemberS { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) *types.AttributeValueMemberN {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// openLedger makes the ledger where it is not there.
func (s *Sink) openLedger(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ledger {
		return nil
	}
	there, err := s.ledgerIsThere(ctx)
	if err != nil {
		return err
	}
	if !there {
		partition, sort := ledgerPipeline, ledgerPlan
		err := s.make(ctx, &dynamodb.CreateTableInput{
			TableName: &s.cfg.Ledger, BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{
				{AttributeName: &partition, AttributeType: types.ScalarAttributeTypeS}, {AttributeName: &sort, AttributeType: types.ScalarAttributeTypeS},
			},
			KeySchema: []types.KeySchemaElement{{AttributeName: &partition, KeyType: types.KeyTypeHash}, {AttributeName: &sort, KeyType: types.KeyTypeRange}},
		})
		if err != nil {
			return fmt.Errorf("make the table of the ledger, with the keys %s and %s of type S: %w", partition, sort, err)
		}
	}
	s.ledger = true
	return nil
}

func (s *Sink) ledgerIsThere(ctx context.Context) (bool, error) {
	_, err := s.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &s.cfg.Ledger})
	if gone := (*types.ResourceNotFoundException)(nil); errors.As(err, &gone) {
		return false, nil
	}
	return err == nil, explain("look at", s.cfg.Ledger, err)
}

// note writes a plan's manifest.
func (s *Sink) note(ctx context.Context, p connectors.Plan) error {
	manifest, err := json.Marshal(p)
	if err != nil {
		return err
	}
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write(manifest); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	parts := slices.Collect(slices.Chunk(zipped.Bytes(), ledgerPart))
	for i, part := range slices.Backward(parts) {
		item := map[string]types.AttributeValue{
			ledgerPipeline: text(p.Pipeline), ledgerPlan: text(planName(p, i)), ledgerManifest: &types.AttributeValueMemberB{Value: part},
		}
		if i == 0 {
			item[ledgerParts] = number(int64(len(parts)))
		}
		if _, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.cfg.Ledger, Item: item}); err != nil {
			return explain("note a plan in", s.cfg.Ledger, err)
		}
	}
	return nil
}

// Published reports whether the plan stands in the ledger.
func (s *Sink) Published(ctx context.Context, p connectors.Plan) (bool, error) {
	consistent := true
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.cfg.Ledger, ConsistentRead: &consistent,
		Key: map[string]types.AttributeValue{ledgerPipeline: text(p.Pipeline), ledgerPlan: text(planName(p, 0))},
	})
	if gone := (*types.ResourceNotFoundException)(nil); errors.As(err, &gone) {
		return false, nil
	}
	if err != nil {
		return false, explain("look into", s.cfg.Ledger, err)
	}
	return len(out.Item) > 0, nil
}

// plans reads the plans of a pipeline in order.
func (s *Sink) plans(ctx context.Context, pipeline string) ([]connectors.Plan, error) {
	if there, err := s.ledgerIsThere(ctx); err != nil || !there {
		return nil, err
	}
	condition, consistent := "#p = :p", true
	pages := dynamodb.NewQueryPaginator(s.client, &dynamodb.QueryInput{
		TableName: &s.cfg.Ledger, ConsistentRead: &consistent, KeyConditionExpression: &condition,
		ExpressionAttributeNames:  map[string]string{"#p": ledgerPipeline},
		ExpressionAttributeValues: map[string]types.AttributeValue{":p": text(pipeline)},
	})
	var out []connectors.Plan
	var zipped []byte
	left := 0 // parts of a manifest that are yet to come
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explain("read", s.cfg.Ledger, err)
		}
		for _, item := range page.Items {
			if n, ok := item[ledgerParts].(*types.AttributeValueMemberN); ok {
				left, _ = strconv.Atoi(n.Value)
				zipped = nil
			}
			part, ok := item[ledgerManifest].(*types.AttributeValueMemberB)
			if left == 0 || !ok { // of a plan that was not noted to its end
				continue
			}
			zipped = append(zipped, part.Value...)
			if left--; left > 0 {
				continue
			}
			p, err := unzip(zipped)
			if err != nil {
				return nil, fmt.Errorf("table %s: the manifest of %s: %w", s.cfg.Ledger, nameOf(item), err)
			}
			out = append(out, p)
		}
	}
	return out, nil
}

func nameOf(item map[string]types.AttributeValue) string {
	if s, ok := item[ledgerPlan].(*types.AttributeValueMemberS); ok {
		return strings.TrimSuffix(s.Value, "/0000")
	}
	return "a plan"
}

func unzip(zipped []byte) (p connectors.Plan, err error) {
	r, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return p, err
	}
	return p, json.NewDecoder(r).Decode(&p)
}
