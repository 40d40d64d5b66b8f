package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/penstock/penstock/connectors"
)

// table is the table as the server has it.
type table struct {
	keyTypes map[string]types.ScalarAttributeType // of the key's attributes
}

// makeTime is how long a table may take to be made.
const makeTime = 5 * time.Minute

// Probe returns a clear error when the table is not there and is not to be made, or has another key.
func (s *Sink) Probe(ctx context.Context) error {
	_, err := s.look(ctx)
	return err
}

// look reads what the server says of the table; nil where it is not there and is to be made.
func (s *Sink) look(ctx context.Context) (*table, error) {
	out, err := s.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &s.cfg.Table})
	if gone := (*types.ResourceNotFoundException)(nil); errors.As(err, &gone) {
		if s.cfg.Create != "" {
			return nil, nil //nolint:nilnil // there is none
		}
		return nil, fmt.Errorf("there is no table %s: make it, or have it made with create: on_demand", s.cfg.Table)
	}
	if err != nil {
		return nil, explain("look at", s.cfg.Table, err)
	}
	return s.usable(out.Table)
}

// usable is what matters of a table, or says what keeps it from being written.
func (s *Sink) usable(d *types.TableDescription) (*table, error) {
	t := &table{map[string]types.ScalarAttributeType{}}
	for _, a := range d.AttributeDefinitions {
		t.keyTypes[*a.AttributeName] = a.AttributeType
	}
	key := Key{}
	for _, k := range d.KeySchema {
		if k.KeyType == types.KeyTypeHash {
			key.Partition = *k.AttributeName
		} else {
			key.Sort = *k.AttributeName
		}
	}
	if key != s.cfg.Key {
		return nil, connectors.Permanent(fmt.Errorf("table %s has the key {partition: %s, sort: %q}, and key says {partition: %s, sort: %q}",
			s.cfg.Table, key.Partition, key.Sort, s.cfg.Key.Partition, s.cfg.Key.Sort))
	}
	if id := key.identity(); s.cfg.Mode == modeAppend && t.keyTypes[id] != types.ScalarAttributeTypeS {
		return nil, connectors.Permanent(fmt.Errorf("table %s: with mode: append, attribute %s of the key is made from where a record stands; its type has to be S, and is %s", s.cfg.Table, id, t.keyTypes[id]))
	}
	if d.TableStatus != types.TableStatusActive && d.TableStatus != types.TableStatusUpdating {
		return nil, fmt.Errorf("table %s is not ready: its status is %s", s.cfg.Table, d.TableStatus)
	}
	return t, nil
}

// open returns the table, which is made for rows of a schema where it is not there and may be.
func (s *Sink) open(ctx context.Context, schema *arrow.Schema) (*table, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.table != nil {
		return s.table, nil
	}
	t, err := s.look(ctx)
	if err == nil && t == nil {
		if err = s.create(ctx, schema); err == nil {
			t, err = s.look(ctx)
		}
	}
	if err == nil && s.cfg.Create != "" {
		err = s.removeInTime(ctx)
	}
	if err != nil {
		return nil, err
	}
	s.table = t
	return t, nil
}

// removeInTime has the table remove items when they say so, if they do and it does not yet.
func (s *Sink) removeInTime(ctx context.Context) error {
	if s.cfg.TTL == "" && s.cfg.DeleteWhen == "" {
		return nil
	}
	const unknown = "UnknownOperationException" // the server removes nothing by itself
	is, err := s.client.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &s.cfg.Table})
	if codeOf(err) == unknown {
		return nil
	} else if err != nil {
		return explain("look at the time to live of", s.cfg.Table, err)
	}
	if d := is.TimeToLiveDescription; d != nil && (d.TimeToLiveStatus == types.TimeToLiveStatusEnabled || d.TimeToLiveStatus == types.TimeToLiveStatusEnabling) {
		return nil
	}
	attribute, enabled := s.expires(), true
	_, err = s.client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName: &s.cfg.Table, TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: &attribute, Enabled: &enabled},
	})
	if codeOf(err) == unknown {
		return nil
	}
	return explain("enable time to live of", s.cfg.Table, err)
}

// create makes the table, whose key has the types of the columns.
func (s *Sink) create(ctx context.Context, schema *arrow.Schema) error {
	in := &dynamodb.CreateTableInput{TableName: &s.cfg.Table, BillingMode: types.BillingModePayPerRequest}
	if s.cfg.Create == provisioned {
		in.BillingMode = types.BillingModeProvisioned
		in.ProvisionedThroughput = &types.ProvisionedThroughput{ReadCapacityUnits: &s.cfg.ReadUnits, WriteCapacityUnits: &s.cfg.WriteUnits}
	}
	for i, name := range s.cfg.Key.names() {
		typ := types.ScalarAttributeTypeS
		if s.cfg.Mode != modeAppend || name != s.cfg.Key.identity() {
			var err error
			if typ, err = keyType(schema, name); err != nil {
				return err
			}
		}
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: &name, AttributeType: typ})
		in.KeySchema = append(in.KeySchema, types.KeySchemaElement{AttributeName: &name, KeyType: []types.KeyType{types.KeyTypeHash, types.KeyTypeRange}[i]})
	}
	return s.make(ctx, in)
}

// keyType is the type of a key's attribute for a column.
func keyType(schema *arrow.Schema, name string) (types.ScalarAttributeType, error) {
	fields, ok := schema.FieldsByName(name)
	if !ok {
		return "", fmt.Errorf("the rows have no column %q, which the key names", name)
	}
	switch id := fields[0].Type.ID(); id {
	case arrow.STRING, arrow.LARGE_STRING, arrow.TIMESTAMP, arrow.DATE32:
		return types.ScalarAttributeTypeS, nil
	case arrow.BINARY, arrow.LARGE_BINARY:
		return types.ScalarAttributeTypeB, nil
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64, arrow.UINT8, arrow.UINT16, arrow.UINT32, arrow.UINT64, arrow.FLOAT32, arrow.FLOAT64:
		return types.ScalarAttributeTypeN, nil
	default:
		return "", fmt.Errorf("column %q is %s, which no key can be: cast it", name, id)
	}
}

// make makes a table, unless somebody else does, and waits until it can be used.
func (s *Sink) make(ctx context.Context, in *dynamodb.CreateTableInput) error {
	_, err := s.client.CreateTable(ctx, in)
	if used := (*types.ResourceInUseException)(nil); err != nil && !errors.As(err, &used) {
		return explain("make", *in.TableName, err)
	}
	waiter := dynamodb.NewTableExistsWaiter(s.client, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 200*time.Millisecond, 5*time.Second
	})
	err = waiter.Wait(ctx, &dynamodb.DescribeTableInput{TableName: in.TableName}, makeTime)
	return explain("wait for", *in.TableName, err)
}

// expires is the attribute that says when an item may be removed.
func (s *Sink) expires() string {
	if s.cfg.TTL != "" {
		return s.cfg.TTL
	}
	return expiresName
}
