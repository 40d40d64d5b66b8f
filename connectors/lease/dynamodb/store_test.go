package dynamodb_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/connectors/lease/dynamodb"
	"github.com/penstock/penstock/connectors/lease/storetest"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/integration/servers"
)

// server is one of the DynamoDB API.
type server struct {
	*awsdynamodb.Client
	t *testing.T
	n int
}

func newServer(t *testing.T) *server {
	t.Helper()
	return &server{Client: client(servers.DynamoDBFor(t).Endpoint), t: t}
}

func client(endpoint string) *awsdynamodb.Client {
	return awsdynamodb.New(awsdynamodb.Options{
		Region: "us-east-1", BaseEndpoint: &endpoint, Retryer: aws.NopRetryer{}, Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	})
}

// open makes tables of a new name.
func (s *server) open() *dynamodb.Store {
	s.n++
	st, err := s.openTable(s.table())
	require.NoError(s.t, err)
	return st
}

func (s *server) table() string { return fmt.Sprint("app-", s.n) }

func (s *server) openTable(name string) (*dynamodb.Store, error) {
	return dynamodb.Open(s.t.Context(), dynamodb.Config{Client: s.Client, Table: name, Pipeline: "p"})
}

func TestATableSaysWhosePipelineItHas(t *testing.T) {
	s := newServer(t)
	name := func() string {
		name, err := dynamodb.Pipeline(t.Context(), dynamodb.Config{Client: s.Client, Table: s.table()})
		require.NoError(t, err)
		return name
	}
	look := func(pipeline string) error {
		_, err := dynamodb.Open(t.Context(), dynamodb.Config{Client: s.Client, Table: s.table(), Pipeline: pipeline, Looks: true})
		return err
	}
	require.Empty(t, name())
	require.ErrorContains(t, look("p"), "not there")
	require.Empty(t, name())
	s.n--
	s.open()
	require.Equal(t, "p", name())
	require.NoError(t, look("p"))
	require.ErrorContains(t, look("other"), "has the leases of pipeline p, not of other")
}

// kcl puts an item of the lease table as KCL has it.
func (s *server) kcl(attributes map[string]any) {
	s.t.Helper()
	i := map[string]types.AttributeValue{}
	for name, v := range attributes {
		switch v := v.(type) {
		case int:
			i[name] = &types.AttributeValueMemberN{Value: strconv.Itoa(v)}
		case string:
			i[name] = &types.AttributeValueMemberS{Value: v}
		}
	}
	_, err := s.PutItem(s.t.Context(), &awsdynamodb.PutItemInput{TableName: aws.String(s.table()), Item: i})
	require.NoError(s.t, err)
}

// update changes an item as KCL does: it names what it changes.
func (s *server) update(shard, expression string, values map[string]types.AttributeValue) {
	s.t.Helper()
	_, err := s.UpdateItem(s.t.Context(), &awsdynamodb.UpdateItemInput{
		TableName: aws.String(s.table()), Key: map[string]types.AttributeValue{"leaseKey": &types.AttributeValueMemberS{Value: shard}},
		UpdateExpression: &expression, ExpressionAttributeValues: values,
	})
	require.NoError(s.t, err)
}

// item is one of the lease table, as text.
func (s *server) item(shard string) map[string]string {
	s.t.Helper()
	out, err := s.GetItem(s.t.Context(), &awsdynamodb.GetItemInput{
		TableName: aws.String(s.table()), Key: map[string]types.AttributeValue{"leaseKey": &types.AttributeValueMemberS{Value: shard}},
	})
	require.NoError(s.t, err)
	text := map[string]string{}
	for name, v := range out.Item {
		switch v := v.(type) {
		case *types.AttributeValueMemberS:
			text[name] = v.Value
		case *types.AttributeValueMemberN:
			text[name] = v.Value
		case *types.AttributeValueMemberSS:
			text[name] = fmt.Sprint(v.Value)
		}
	}
	return text
}

func TestRowsInDynamoDB(t *testing.T) {
	s := newServer(t)
	storetest.Run(t, func(*testing.T) lease.Store { return s.open() })
}

const (
	source      = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks:1700000000"
	leases      = "pipelines/p/1f/leases/" + source + "/shards/"
	progressOf  = "pipelines/p/1f/shards/" + source + "/"
	shardA      = "shardId-000000000000"
	firstNumber = "49590338271490256608559692538361571095921575989136588898"
)

// get reads a row that is there.
func get(t *testing.T, s lease.Store, key string, into any) int64 {
	t.Helper()
	r, ok, err := s.Get(t.Context(), key)
	require.NoError(t, err)
	require.True(t, ok, key)
	require.NoError(t, json.Unmarshal(r.Value, into))
	return r.Version
}

func put(t *testing.T, s lease.Store, key string, version int64, v any) (int64, error) {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return s.Commit(t.Context(), control.Txn{Checks: []control.Check{{Key: key, Version: version}}, Writes: []control.Write{{Key: key, Value: b}}})
}

// TestALeaseOfKCLIsTaken has the row of a lease that KCL has, and had, and of which it moves the counter.
func TestALeaseOfKCLIsTaken(t *testing.T) {
	s := newServer(t)
	store := s.open()
	s.kcl(map[string]any{"leaseKey": shardA, "leaseOwner": "kcl-1", "leaseCounter": 7, "checkpoint": "TRIM_HORIZON", "checkpointSubSequenceNumber": 0, "entityType": "LEASE"})
	s.kcl(map[string]any{"leaseKey": "kcl-1", "entityType": "WORKER_METRIC_STATS", "wid": "kcl-1"})
	rows, err := store.List(t.Context(), "pipelines/p/1f/leases/"+source+"/")
	require.NoError(t, err)
	require.Len(t, rows, 1, "what is no lease is no row")
	require.JSONEq(t, `{"kcl_owner": "kcl-1", "kcl_counter": 7}`, string(rows[0].Value))
	seen := rows[0].Version
	s.update(shardA, "SET leaseCounter = :n", map[string]types.AttributeValue{":n": &types.AttributeValueMemberN{Value: "8"}})
	_, err = put(t, store, leases+shardA, seen, lease.State{Owner: "me", Epoch: 1, Counter: 1})
	require.ErrorIs(t, err, control.ErrConflict, "its owner moved since")
	var held map[string]any
	version := get(t, store, leases+shardA, &held)
	require.NotEqual(t, seen, version)
	version, err = put(t, store, leases+shardA, version, lease.State{Owner: "me", Epoch: 1, Counter: 1})
	require.NoError(t, err)
	i := s.item(shardA)
	require.Equal(t, "me", i["leaseOwner"])
	require.Equal(t, "9", i["leaseCounter"])
	require.Equal(t, "TRIM_HORIZON", i["checkpoint"])
	version, err = put(t, store, leases+shardA, version, lease.State{Epoch: 1, Counter: 2})
	require.NoError(t, err)
	i = s.item(shardA)
	require.NotContains(t, i, "leaseOwner", "it is released")
	require.Equal(t, "10", i["leaseCounter"])
	// KCL gives it back as it ends.
	s.update(shardA, "SET leaseCounter = :n", map[string]types.AttributeValue{":n": &types.AttributeValueMemberN{Value: "12"}})
	var free lease.State
	again := get(t, store, leases+shardA, &free)
	require.NotEqual(t, version, again)
	require.Equal(t, lease.State{Epoch: 1, Counter: 12}, free)
}

// TestACheckpointMovesWithProgress has KCL's checkpoint become progress, and progress become KCL's checkpoint.
func TestACheckpointMovesWithProgress(t *testing.T) {
	s := newServer(t)
	store := s.open()
	s.kcl(map[string]any{"leaseKey": shardA, "leaseCounter": 3, "checkpoint": firstNumber, "checkpointSubSequenceNumber": 2, "pendingCheckpoint": "LATEST"})
	var p connectors.Progress
	version := get(t, store, progressOf+shardA, &p)
	sub := int64(2)
	require.Equal(t, connectors.Progress{
		Source: source, Shard: shardA, Begin: &connectors.Start{Kind: connectors.StartAfter, After: firstNumber, Sub: &sub},
	}, p)
	p.Begin, p.Checkpoint, p.OpenPlan = nil, firstNumber, 4
	version, err := put(t, store, progressOf+shardA, version, p)
	require.NoError(t, err)
	i := s.item(shardA)
	require.Equal(t, firstNumber, i["checkpoint"])
	require.Equal(t, "2147483647", i["checkpointSubSequenceNumber"], "the whole record is done")
	require.NotContains(t, i, "pendingCheckpoint")
	var again connectors.Progress
	require.Equal(t, version, get(t, store, progressOf+shardA, &again))
	require.Equal(t, p, again)

	// KCL moves on while a plan is open.
	s.update(shardA, "SET checkpoint = :c, checkpointSubSequenceNumber = :s", map[string]types.AttributeValue{
		":c": &types.AttributeValueMemberS{Value: "LATEST"}, ":s": &types.AttributeValueMemberN{Value: "0"},
	})
	_, err = put(t, store, progressOf+shardA, version, p)
	require.ErrorIs(t, err, control.ErrConflict)
	moved := connectors.Progress{}
	version = get(t, store, progressOf+shardA, &moved)
	require.Equal(t, &connectors.Start{Kind: connectors.StartLatest}, moved.Begin)
	require.Zero(t, moved.OpenPlan)
	p.Ended, p.OpenPlan = true, 0
	_, err = put(t, store, progressOf+shardA, version, p)
	require.NoError(t, err)
	require.Equal(t, "SHARD_END", s.item(shardA)["checkpoint"])
	_, ok, err := store.Get(t.Context(), leases+shardA)
	require.NoError(t, err)
	require.False(t, ok, "nobody needs the lease of a shard that is done")
}

// TestAShardOfOursIsALease has an item that KCL can read made of the progress of a shard that it has not seen.
func TestAShardOfOursIsALease(t *testing.T) {
	s := newServer(t)
	store := s.open()
	p := connectors.Progress{Source: source, Shard: "shardId-000000000005", Parents: []core.ShardID{shardA}}
	_, err := put(t, store, progressOf+"shardId-000000000005", 0, p)
	require.NoError(t, err)
	i := s.item("shardId-000000000005")
	for name, want := range map[string]string{
		"checkpoint": "TRIM_HORIZON", "checkpointSubSequenceNumber": "0", "leaseCounter": "0", "ownerSwitchesSinceCheckpoint": "0",
		"parentShardId": "[" + shardA + "]", "entityType": "LEASE",
	} {
		require.Equal(t, want, i[name], name)
	}
	_, err = put(t, store, progressOf+"shardId-000000000005", 0, p)
	require.ErrorIs(t, err, control.ErrConflict)
	rows, err := store.List(t.Context(), progressOf)
	require.NoError(t, err)
	require.Len(t, rows, 1)
	rows, err = store.List(t.Context(), "pipelines/p/1f/shards/")
	require.NoError(t, err)
	require.Len(t, rows, 1, "of any source")
	rows, err = store.List(t.Context(), "pipelines/p/1f/")
	require.NoError(t, err)
	require.Len(t, rows, 2, "and the lease")
}

// TestAPlanIsOneTransaction has the plan's row and the parts of two items written together or not at all.
func TestAPlanIsOneTransaction(t *testing.T) {
	s := newServer(t)
	store := s.open()
	var x control.Txn
	for _, shard := range []string{"a", "b"} {
		v, err := put(t, store, progressOf+shard, 0, connectors.Progress{Source: source, Shard: core.ShardID(shard)})
		require.NoError(t, err)
		r, ok, err := store.Get(t.Context(), leases+shard)
		require.NoError(t, err)
		require.True(t, ok)
		held, err := put(t, store, leases+shard, r.Version, lease.State{Owner: "me", Epoch: 1})
		require.NoError(t, err)
		b, err := json.Marshal(connectors.Progress{Source: source, Shard: core.ShardID(shard), OpenPlan: 1})
		require.NoError(t, err)
		x.Checks = append(x.Checks, control.Check{Key: progressOf + shard, Version: v}, control.Check{Key: leases + shard, Version: held})
		x.Writes = append(x.Writes, control.Write{Key: progressOf + shard, Value: b})
	}
	x.Writes = append(x.Writes, control.Write{Key: "pipelines/p/1f/plans/1", Value: []byte("{}")})
	s.update("b", "SET leaseCounter = :n, leaseOwner = :o", map[string]types.AttributeValue{
		":n": &types.AttributeValueMemberN{Value: "9"}, ":o": &types.AttributeValueMemberS{Value: "kcl-1"},
	})
	_, err := store.Commit(t.Context(), x)
	require.ErrorIs(t, err, control.ErrConflict, "KCL took b")
	var p connectors.Progress
	get(t, store, progressOf+"a", &p)
	require.Zero(t, p.OpenPlan)
	x.Checks = x.Checks[:3]
	_, err = store.Commit(t.Context(), x)
	require.NoError(t, err)
	get(t, store, progressOf+"b", &p)
	require.Equal(t, int64(1), p.OpenPlan)
}

func TestWhatDoesNotFitIsSaid(t *testing.T) {
	s := newServer(t)
	store := s.open()
	var x control.Txn
	for i := range 101 {
		x.Writes = append(x.Writes, control.Write{Key: fmt.Sprint("pipelines/p/", i), Value: []byte("x")})
	}
	_, err := store.Commit(t.Context(), x)
	require.ErrorIs(t, err, core.ErrInvalid)
	require.ErrorContains(t, err, "DynamoDB takes 100")
	_, err = store.Commit(t.Context(), control.Txn{Writes: []control.Write{{Key: "pipelines/p/large", Value: make([]byte, 5<<20)}}})
	require.NoError(t, err, "it is packed")
	random := make([]byte, 500<<10)
	rand.Read(random)
	_, err = store.Commit(t.Context(), control.Txn{Writes: []control.Write{{Key: "pipelines/p/large", Value: random}}})
	require.ErrorIs(t, err, core.ErrInvalid)
	_, err = dynamodb.Open(t.Context(), dynamodb.Config{Client: s.Client, Table: s.table(), Pipeline: "q"})
	require.ErrorContains(t, err, "has the leases of pipeline p")
	_, err = s.openTable(s.table())
	require.NoError(t, err)
	key, hash := aws.String("id"), types.KeyTypeHash
	_, err = s.CreateTable(t.Context(), &awsdynamodb.CreateTableInput{
		TableName: aws.String("strange"), BillingMode: types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: key, KeyType: hash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: key, AttributeType: types.ScalarAttributeTypeS}},
	})
	require.NoError(t, err)
	_, err = s.openTable("strange")
	require.ErrorIs(t, err, core.ErrInvalid)
}
