// Package tabletest has rows for tables of DynamoDB, says what a table holds after them without a part of the sink, and reads
// what it holds.
package tabletest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Event is a row: of the key K, an attribute, a number that may be counted, a set, and whether it deletes.
type Event struct {
	K    string   `json:"k"`
	A    string   `json:"a,omitempty"`
	N    int      `json:"n,omitempty"`
	Tags []string `json:"tags,omitempty"`
	Gone bool     `json:"gone,omitempty"`
}

// Line is the row as JSON.
func (e Event) Line() string {
	line, _ := json.Marshal(e) // it has a form
	return string(line)
}

// Random are n rows of so many keys that begin alike.
func Random(rng *rand.Rand, prefix string, keys, n int) []Event {
	out := make([]Event, n)
	for i := range out {
		e := Event{K: prefix + strconv.Itoa(rng.IntN(keys)), N: rng.IntN(5) - 2, Gone: rng.IntN(12) == 0}
		if rng.IntN(2) == 0 {
			e.A = "a" + strconv.Itoa(rng.IntN(100))
		}
		if rng.IntN(3) == 0 {
			e.Tags = []string{"t" + strconv.Itoa(rng.IntN(6))}
		}
		out[i] = e
	}
	return out
}

// Fold is what a table holds after rows, by the meaning of a mode, as sorted JSON objects.
func Fold(mode string, all []Event) []string {
	if mode == "append" {
		out := make([]string, len(all))
		for i, e := range all {
			out[i] = sorted(e.columns(true))
		}
		slices.Sort(out)
		return out
	}
	now := map[string]map[string]any{}
	for _, e := range all {
		row := e.columns(false)
		switch had := now[e.K]; {
		case e.Gone:
			delete(now, e.K)
			continue
		case mode == "update" && had != nil:
			row = merged(had, row)
		}
		now[e.K] = row
	}
	out := []string{}
	for _, row := range now {
		out = append(out, sorted(row))
	}
	slices.Sort(out)
	return out
}

// columns are what a row has.
func (e Event) columns(gone bool) map[string]any {
	row := map[string]any{"k": e.K}
	if e.A != "" {
		row["a"] = e.A
	}
	if e.N != 0 {
		row["n"] = e.N
	}
	if e.Tags != nil {
		row["tags"] = e.Tags
	}
	if gone && e.Gone {
		row["gone"] = true
	}
	return row
}

// merged is an item after an update.
func merged(had, row map[string]any) map[string]any {
	out := maps.Clone(had)
	for name, v := range row {
		switch v := v.(type) {
		case int:
			n, _ := had[name].(int)
			out[name] = n + v
		case []string:
			tags, _ := had[name].([]string)
			tags = append(slices.Clone(tags), v...)
			slices.Sort(tags)
			out[name] = slices.Compact(tags)
		default:
			out[name] = v
		}
	}
	return out
}

// sorted is an object as JSON, its sets in order.
func sorted(row map[string]any) string {
	if tags, ok := row["tags"].([]string); ok {
		tags = slices.Clone(tags)
		slices.Sort(tags)
		row["tags"] = tags
	}
	line, _ := json.Marshal(row) // it has a form
	return string(line)
}

// Client asks a server of the tests, which takes any credentials.
func Client(endpoint string) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{BaseEndpoint: &endpoint, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("key", "secret", "")})
}

// Items are those of a table as sorted JSON objects, without tombstones, what the sink keeps beside columns, and _id; none of a
// table that is not there.
func Items(ctx context.Context, c *dynamodb.Client, table string) ([]string, error) {
	out := []string{}
	pages := dynamodb.NewScanPaginator(c, &dynamodb.ScanInput{TableName: &table, ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if gone := (*types.ResourceNotFoundException)(nil); errors.As(err, &gone) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			if item["_penstock.deleted"] != nil {
				continue
			}
			row := map[string]any{}
			for name, v := range item {
				if !strings.HasPrefix(name, "_penstock.") && name != "_id" {
					row[name] = plain(v)
				}
			}
			out = append(out, sorted(row))
		}
	}
	slices.Sort(out)
	return out, nil
}

// plain is a value as JSON has it.
func plain(v types.AttributeValue) any {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberN:
		return json.Number(v.Value)
	case *types.AttributeValueMemberBOOL:
		return v.Value
	case *types.AttributeValueMemberNULL:
		return nil
	case *types.AttributeValueMemberSS:
		return v.Value
	case *types.AttributeValueMemberM:
		out := map[string]any{}
		for name, e := range v.Value {
			out[name] = plain(e)
		}
		return out
	case *types.AttributeValueMemberL:
		out := []any{}
		for _, e := range v.Value {
			out = append(out, plain(e))
		}
		return out
	}
	return fmt.Sprintf("%T", v)
}
