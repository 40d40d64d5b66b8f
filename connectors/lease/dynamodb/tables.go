package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/internal/awserr"
	"github.com/penstock/penstock/core"
)

// beside ends the name of the table that has what is no lease.
const beside = "-penstock"

// The keys of the two tables.
const (
	leaseKey = "leaseKey" // KCL's
	partKey  = "part"
	rowKey   = "key"
)

// makeTables makes those of the two tables that are not there.
func (s *Store) makeTables(ctx context.Context) error {
	if err := s.makeTable(ctx, s.leases, leaseKey, ""); err != nil {
		return err
	}
	return s.makeTable(ctx, s.others, partKey, rowKey)
}

// tableTime bounds how long a table may take to be made.
const tableTime = 5 * time.Minute

func (s *Store) makeTable(ctx context.Context, name, hash, rng string) error {
	keys := []types.KeySchemaElement{{AttributeName: &hash, KeyType: types.KeyTypeHash}}
	attributes := []types.AttributeDefinition{{AttributeName: &hash, AttributeType: types.ScalarAttributeTypeS}}
	if rng != "" {
		keys = append(keys, types.KeySchemaElement{AttributeName: &rng, KeyType: types.KeyTypeRange})
		attributes = append(attributes, types.AttributeDefinition{AttributeName: &rng, AttributeType: types.ScalarAttributeTypeS})
	}
	describe := &dynamodb.DescribeTableInput{TableName: &name}
	err := s.ask(ctx, func() error {
		found, err := s.client.DescribeTable(ctx, describe)
		if err == nil {
			return fits(found.Table, keys)
		}
		if awserr.Code(err) != codeNotFound {
			return err
		}
		_, err = s.client.CreateTable(ctx, &dynamodb.CreateTableInput{
			TableName: &name, KeySchema: keys, AttributeDefinitions: attributes, BillingMode: types.BillingModePayPerRequest,
		})
		if used := (*types.ResourceInUseException)(nil); errors.As(err, &used) { // another worker was first
			err = nil
		}
		return err
	})
	if err != nil {
		return wrap(err, "make table "+name)
	}
	often := func(o *dynamodb.TableExistsWaiterOptions) { o.MinDelay, o.MaxDelay = time.Second, 5*time.Second }
	err = s.ask(ctx, func() error { return dynamodb.NewTableExistsWaiter(s.client, often).Wait(ctx, describe, tableTime) })
	return wrap(err, "wait for table "+name)
}

// fits reports whether a table that is there has the keys that are wanted.
func fits(t *types.TableDescription, want []types.KeySchemaElement) error {
	same := len(t.KeySchema) == len(want)
	for i := 0; same && i < len(want); i++ {
		same = *t.KeySchema[i].AttributeName == *want[i].AttributeName
	}
	if !same {
		return connectors.Permanent(fmt.Errorf("table %s has other keys than %s: name the lease table of an application of the Kinesis Client Library, or one that is not there yet: %w",
			*t.TableName, *want[0].AttributeName, core.ErrInvalid))
	}
	return nil
}
