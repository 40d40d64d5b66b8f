package dynamodb_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	aws_dynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/sinktest"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/integration/tabletest"
	"github.com/penstock/penstock/sinks/dynamodb"
)

// loader is a sink over a table of its own.
type loader struct {
	*sinktest.Loader
	cfg    dynamodb.Config
	client *aws_dynamodb.Client
}

func load(t *testing.T, server *servers.DynamoDB, cfg dynamodb.Config, columns ...arrow.Field) *loader {
	t.Helper()
	to := at(server.Endpoint)
	cfg.Endpoint, cfg.Identity = to.Endpoint, to.Identity
	name := strings.NewReplacer("/", ".", " ", "-", "#", "-").Replace(t.Name())
	cfg.Table, cfg.Ledger = name, name+".ledger"
	if cfg.Create == "" {
		cfg.Create = "on_demand"
	}
	s, err := dynamodb.Open(t.Context(), cfg)
	require.NoError(t, err)
	return &loader{sinktest.NewLoader(s, columns...), cfg, tabletest.Client(server.Endpoint)}
}

// state is the table as one line.
func (l *loader) state(t *testing.T) string {
	t.Helper()
	return strings.Join(items(t, l.client, l.cfg.Table), " ")
}

// item is one with a key of one text.
func (l *loader) item(t *testing.T, id string) map[string]types.AttributeValue {
	t.Helper()
	out, err := l.client.GetItem(t.Context(), &aws_dynamodb.GetItemInput{
		TableName: &l.cfg.Table, Key: map[string]types.AttributeValue{l.cfg.Key.Partition: &types.AttributeValueMemberS{Value: id}},
	})
	require.NoError(t, err)
	return out.Item
}

var (
	text  = arrow.BinaryTypes.String
	whole = arrow.PrimitiveTypes.Int64
	float = arrow.PrimitiveTypes.Float64
	truth = arrow.FixedWidthTypes.Boolean
)

// both runs a test on either server.
func both(t *testing.T, f func(t *testing.T, server *servers.DynamoDB)) {
	t.Helper()
	t.Run("moto", func(t *testing.T) { f(t, servers.DynamoDBFor(t)) })
	t.Run("dynalite", func(t *testing.T) { f(t, servers.DynaliteFor(t)) })
}

func TestOfEachKeyTheLastRowIsThere(t *testing.T) {
	both(t, func(t *testing.T, server *servers.DynamoDB) {
		l := load(t, server, dynamodb.Config{Key: dynamodb.Key{Partition: "k", Sort: "part"}, DeleteWhen: "gone"},
			sinktest.Column("k", text), sinktest.Column("part", whole), sinktest.Column("v", whole), sinktest.Column("gone", truth))
		l.Put(t, `{"k":"a","part":1,"v":1}`, `{"k":"a","part":2,"v":2}`, `{"k":"a","part":1,"v":3}`, `{"k":"b","part":1,"v":4}`)
		require.Equal(t, `{"k":"a","part":1,"v":3} {"k":"a","part":2,"v":2} {"k":"b","part":1,"v":4}`, l.state(t))
		l.Put(t, `{"k":"a","part":1,"gone":true}`, `{"k":"b","part":1,"v":null,"gone":false}`, `{"k":"c","part":1,"v":1}`, `{"k":"c","part":1,"gone":true}`)
		require.Equal(t, `{"k":"a","part":2,"v":2} {"k":"b","part":1}`, l.state(t))
		l.Put(t, `{"k":"c","part":1,"gone":true}`, `{"k":"c","part":1,"v":9}`)
		require.Equal(t, `{"k":"a","part":2,"v":2} {"k":"b","part":1} {"k":"c","part":1,"v":9}`, l.state(t))
	})
}

// TestAFlushOfManyRowsIsWrittenByParts: what is gathered at a time is bounded, and rows of a key are gathered together.
func TestAFlushOfManyRowsIsWrittenByParts(t *testing.T) {
	server := servers.DynaliteFor(t)
	for _, mode := range []string{"put", "update"} {
		t.Run(mode, func(t *testing.T) {
			cfg := dynamodb.Config{Mode: mode, Key: dynamodb.Key{Partition: "k"}, Sets: []string{"tags"}, DeleteWhen: "gone"}
			if mode == "update" {
				cfg.Counters = []string{"n"}
			}
			l := load(t, server, cfg, sinktest.Column("k", text), sinktest.Column("a", text), sinktest.Column("n", whole), sinktest.Column("tags", arrow.ListOf(text)), sinktest.Column("gone", truth))
			all := tabletest.Random(rand.New(rand.NewPCG(1, 2)), "k", 90, 50_000) //nolint:gosec // repeatable
			lines := make([]string, len(all))
			for i, e := range all {
				lines[i] = e.Line()
			}
			require.Empty(t, l.Put(t, lines...))
			require.Equal(t, tabletest.Fold(mode, all), items(t, l.client, l.cfg.Table))
		})
	}
}

// TestAWorkerThatWasGivenUpChangesNothing: its plan was carried out by another, and later ones too, and it comes only now.
func TestAWorkerThatWasGivenUpChangesNothing(t *testing.T) {
	for _, cfg := range []dynamodb.Config{
		{Key: dynamodb.Key{Partition: "k"}, DeleteWhen: "gone"},
		{Key: dynamodb.Key{Partition: "k"}, DeleteWhen: "gone", Mode: "update", Counters: []string{"n"}, Sets: []string{"tags"}},
	} {
		t.Run(cfg.Mode, func(t *testing.T) {
			l := load(t, servers.DynamoDBFor(t), cfg, sinktest.Column("k", text), sinktest.Column("n", whole), sinktest.Column("tags", arrow.ListOf(text)), sinktest.Column("gone", truth))
			of := map[core.ShardID][]string{"s": {`{"k":"a","n":1,"tags":["x"]}`, `{"k":"b","n":1}`, `{"k":"c","n":5,"tags":["x","y"]}`}}
			st, p := l.Plan(t, of)
			late := l.Again(t, l.Sink, p, of)
			require.NoError(t, st.Publish(t.Context(), p, nil))
			l.number(t, "s", `{"k":"a","n":2,"tags":["z"]}`, `{"k":"b","gone":true}`)
			want := l.state(t)
			l.forget(t, p) // else it would find in the ledger that it is done
			require.NoError(t, late.Publish(t.Context(), p, nil))
			require.Equal(t, want, l.state(t))
			if cfg.Mode == "update" {
				require.Equal(t, `{"k":"a","n":3,"tags":["x","z"]} {"k":"c","n":5,"tags":["x","y"]}`, want)
			}
		})
	}
}

// number publishes rows of a shard as the next plan.
func (l *loader) number(t *testing.T, shard core.ShardID, lines ...string) {
	t.Helper()
	st, p := l.Plan(t, map[core.ShardID][]string{shard: lines})
	require.NoError(t, st.Publish(t.Context(), p, nil))
}

// forget takes a plan out of the ledger.
func (l *loader) forget(t *testing.T, p connectors.Plan) {
	t.Helper()
	_, err := l.client.DeleteItem(t.Context(), &aws_dynamodb.DeleteItemInput{TableName: &l.cfg.Ledger, Key: map[string]types.AttributeValue{
		"pipeline": &types.AttributeValueMemberS{Value: p.Pipeline}, "plan": &types.AttributeValueMemberS{Value: fmt.Sprintf("%s/%020d/0000", p.Incarnation, p.Number)},
	}})
	require.NoError(t, err)
}

func TestTheNewestByOrderByStays(t *testing.T) {
	l := load(t, servers.DynamoDBFor(t), dynamodb.Config{Key: dynamodb.Key{Partition: "k"}, OrderBy: "at"}, sinktest.Column("k", text), sinktest.Column("at", float), sinktest.Column("v", text))
	l.Put(t, `{"k":"a","at":5,"v":"new"}`, `{"k":"a","at":3,"v":"old"}`)
	require.Equal(t, `{"at":5,"k":"a","v":"new"}`, l.state(t))
	l.Put(t, `{"k":"a","at":4.5,"v":"old"}`, `{"k":"b","v":"no time"}`)
	require.Equal(t, `{"at":5,"k":"a","v":"new"} {"k":"b","v":"no time"}`, l.state(t))
	l.Put(t, `{"k":"a","at":5,"v":"as new"}`, `{"k":"b","at":-1,"v":"a time"}`)
	l.Put(t, `{"k":"a","v":"no time"}`, `{"k":"b","v":"no time"}`)
	require.Equal(t, `{"at":-1,"k":"b","v":"a time"} {"at":5,"k":"a","v":"as new"}`, l.state(t))
	// Of equal times of one flush the greater sequence number is the later, whatever the order in which shards come.
	st, p := l.Plan(t, map[core.ShardID][]string{"s1": {`{"k":"x","at":9,"v":"1"}`, `{"k":"x","at":9,"v":"2"}`}, "s2": {`{"k":"x","at":9,"v":"early"}`}})
	require.NoError(t, st.Publish(t.Context(), p, nil))
	require.Contains(t, l.state(t), `{"at":9,"k":"x","v":"2"}`)
}

func TestUpdatesChangeOnlyWhatARowSays(t *testing.T) {
	both(t, func(t *testing.T, server *servers.DynamoDB) {
		l := load(t, server, dynamodb.Config{Key: dynamodb.Key{Partition: "k"}, Mode: "update", Counters: []string{"n", "sum"}, Sets: []string{"tags"}, DeleteWhen: "gone"},
			sinktest.Column("k", text), sinktest.Column("a", text), sinktest.Column("b", text), sinktest.Column("n", whole), sinktest.Column("sum", float),
			sinktest.Column("tags", arrow.ListOf(text)), sinktest.Column("gone", truth))
		l.Put(t, `{"k":"x","a":"1","n":2,"sum":0.1,"tags":["p"]}`, `{"k":"x","b":"2","n":3,"sum":0.2,"tags":["q","p"]}`)
		require.Equal(t, `{"a":"1","b":"2","k":"x","n":5,"sum":0.3,"tags":["p","q"]}`, l.state(t))
		// Both shards have rows of the key, and each is counted.
		st, p := l.Plan(t, map[core.ShardID][]string{"s1": {`{"k":"x","n":10}`}, "s2": {`{"k":"x","n":100}`, `{"k":"x","n":-1,"tags":[]}`}})
		require.NoError(t, st.Publish(t.Context(), p, nil))
		require.Equal(t, `{"a":"1","b":"2","k":"x","n":114,"sum":0.3,"tags":["p","q"]}`, l.state(t))
		l.Put(t, `{"k":"x","n":1}`, `{"k":"x","gone":true}`, `{"k":"x","a":"new","n":7,"tags":["r"]}`)
		require.Equal(t, `{"a":"new","k":"x","n":7,"tags":["r"]}`, l.state(t))
		l.Put(t, `{"k":"x","gone":true}`)
		require.Empty(t, l.state(t))
		require.Contains(t, l.item(t, "x"), "_penstock.expires")
		l.Put(t, `{"k":"x","b":"again","n":1}`)
		require.Equal(t, `{"b":"again","k":"x","n":1}`, l.state(t))
		require.NotContains(t, l.item(t, "x"), "_penstock.expires", "an item that lives must not be removed")
	})
}

func TestRowsThatCannotBeItemsAreRefused(t *testing.T) {
	server := servers.DynamoDBFor(t)
	large := strings.Repeat("x", 409_600)
	for _, mode := range []string{"put", "update", "append"} {
		t.Run(mode, func(t *testing.T) {
			cfg := dynamodb.Config{Mode: mode, Key: dynamodb.Key{Partition: "k", Sort: "at"}, Sets: []string{"tags"}}
			if mode == "append" {
				cfg.Key = dynamodb.Key{Partition: "k", Sort: "_id"}
			}
			l := load(t, server, cfg, sinktest.Column("k", text), sinktest.Column("at", float), sinktest.Column("v", text), sinktest.Column("x", float), sinktest.Column("tags", arrow.ListOf(text)))
			refused := l.Put(t, `{"k":"a","at":1,"v":"kept"}`, `{"k":"","at":1}`, `{"at":1}`, `{"k":"a","at":1,"v":"`+large+`"}`, `{"k":"b","at":1,"x":1e300}`,
				`{"k":"`+strings.Repeat("k", 2049)+`","at":1}`, `{"k":"c","at":1,"tags":["a",null]}`, `{"k":"d","at":2}`)
			all := strings.Join(refused, "\n")
			for _, want := range []string{
				`2 empty_key column "k" of the key is empty`, `3 null_key column "k" of the key is null`, "4 too_large the item has at least 4",
				`5 number column "x": 1e+300 is too large`, "6 key_too_long", `7 set column "tags": a set has text, numbers or bytes, and no null`,
			} {
				require.Contains(t, all, want)
			}
			require.Len(t, refused, 6, all)
			require.Equal(t, `{"at":1,"k":"a","v":"kept"} {"at":2,"k":"d"}`, l.state(t))
		})
	}
}

// TestOfKeysThatTheTableTypesOtherwiseNoneIsGuessed: a number is no text.
func TestOfKeysThatTheTableTypesOtherwiseNoneIsGuessed(t *testing.T) {
	server := servers.DynamoDBFor(t)
	words := load(t, server, dynamodb.Config{Key: dynamodb.Key{Partition: "k"}}, sinktest.Column("k", text))
	require.Empty(t, words.Put(t, `{"k":"1"}`))
	s, err := dynamodb.Open(t.Context(), words.cfg)
	require.NoError(t, err)
	numbers := sinktest.NewLoader(s, sinktest.Column("k", whole))
	refused := ""
	st, p := numbers.Plan(t, map[core.ShardID][]string{"other": {`{"k":2}`}})
	p.Number = 77
	require.NoError(t, st.Publish(t.Context(), p, func(_ context.Context, r []connectors.Reject) ([]connectors.Reject, error) {
		refused = r[0].Code + " " + r[0].Reason
		return r, nil
	}))
	require.Equal(t, `key_type column "k" of the key is N, and S in the table`, refused)
}

// TestWhatTheTableItselfRefusesIsFoundRowByRow: a counter on an attribute that is a text. The table refuses what the rows
// of a key change together, and the one that can be is made alone.
func TestWhatTheTableItselfRefusesIsFoundRowByRow(t *testing.T) {
	server := servers.DynaliteFor(t) // moto adds numbers to texts
	l := load(t, server, dynamodb.Config{Key: dynamodb.Key{Partition: "k"}, Mode: "update", Counters: []string{"n"}},
		sinktest.Column("k", text), sinktest.Column("n", whole), sinktest.Column("v", text))
	l.Put(t, `{"k":"other","n":1}`)
	_, err := l.client.PutItem(t.Context(), &aws_dynamodb.PutItemInput{TableName: &l.cfg.Table, Item: map[string]types.AttributeValue{
		"k": &types.AttributeValueMemberS{Value: "a"}, "n": &types.AttributeValueMemberS{Value: "many"},
	}})
	require.NoError(t, err)
	of := map[core.ShardID][]string{"shardId-000000000000": {`{"k":"a","v":"1"}`, `{"k":"a","n":1,"v":"2"}`, `{"k":"a","v":"3"}`, `{"k":"other","n":1}`}}
	st, p := l.Plan(t, of)
	var verdict []connectors.Reject
	require.NoError(t, st.Publish(t.Context(), p, func(_ context.Context, r []connectors.Reject) ([]connectors.Reject, error) {
		verdict = r
		return r, nil
	}))
	require.Len(t, verdict, 1)
	require.Equal(t, core.SequenceNumber("3"), verdict[0].Seq)
	require.Equal(t, "dynamodb_ValidationException", verdict[0].Code)
	require.Equal(t, `{"k":"a","n":"many","v":"3"} {"k":"other","n":2}`, l.state(t))
	// A successor with the verdict changes nothing, and one without it comes to the same.
	for _, decided := range []bool{true, false} {
		l.forget(t, p)
		again := p
		if decided {
			again.Decided, again.Rejects = true, verdict
		}
		require.NoError(t, l.Again(t, l.Sink, p, of).Publish(t.Context(), again, func(_ context.Context, r []connectors.Reject) ([]connectors.Reject, error) {
			return r, nil
		}))
		require.Equal(t, `{"k":"a","n":"many","v":"3"} {"k":"other","n":2}`, l.state(t))
	}
}

func TestTheTableIsMadeAsItIsAsked(t *testing.T) {
	server := servers.DynamoDBFor(t)
	l := load(t, server, dynamodb.Config{Key: dynamodb.Key{Partition: "id", Sort: "at"}, Create: "provisioned", WriteUnits: 7, TTL: "until"},
		sinktest.Column("id", whole), sinktest.Column("at", &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}), sinktest.Column("until", whole))
	require.NoError(t, l.Sink.(connectors.Prober).Probe(t.Context()))
	require.Empty(t, l.Put(t, `{"id":1,"at":"2026-01-01T00:00:00.5Z","until":1767225600}`))
	require.Equal(t, `{"at":"2026-01-01T00:00:00.5Z","id":1,"until":1767225600}`, l.state(t))
	d, err := l.client.DescribeTable(t.Context(), &aws_dynamodb.DescribeTableInput{TableName: &l.cfg.Table})
	require.NoError(t, err)
	require.EqualValues(t, 7, *d.Table.ProvisionedThroughput.WriteCapacityUnits)
	ttl, err := l.client.DescribeTimeToLive(t.Context(), &aws_dynamodb.DescribeTimeToLiveInput{TableName: &l.cfg.Table})
	require.NoError(t, err)
	require.Equal(t, "until", *ttl.TimeToLiveDescription.AttributeName)
}

func TestProbeSaysWhatIsWrong(t *testing.T) {
	l := load(t, servers.DynamoDBFor(t), dynamodb.Config{Key: dynamodb.Key{Partition: "id"}}, sinktest.Column("id", whole))
	require.Empty(t, l.Put(t, `{"id":1}`))
	for want, cfg := range map[string]dynamodb.Config{
		"there is no table nowhere: make it":       {Table: "nowhere", Key: dynamodb.Key{Partition: "id"}},
		`and key says {partition: id, sort: "at"}`: {Table: l.cfg.Table, Key: dynamodb.Key{Partition: "id", Sort: "at"}},
		"its type has to be S, and is N":           {Table: l.cfg.Table, Key: dynamodb.Key{Partition: "id"}, Mode: "append"},
	} {
		cfg.Endpoint, cfg.Identity = l.cfg.Endpoint, l.cfg.Identity
		s, err := dynamodb.Open(t.Context(), cfg)
		require.NoError(t, err)
		require.ErrorContains(t, s.Probe(t.Context()), want)
	}
}

func TestWhatIsWrongWithASinkIsSaid(t *testing.T) {
	key := dynamodb.Key{Partition: "id"}
	for want, c := range map[string]dynamodb.Config{
		"table: want 3 to 255":                 {Table: "a b", Key: key},
		"name the partition key":               {Table: "abc"},
		"it is the partition key":              {Table: "abc", Key: dynamodb.Key{Partition: "id", Sort: "id"}},
		`want put, update or append`:           {Table: "abc", Key: key, Mode: "upsert"},
		"order_by: is for mode: put":           {Table: "abc", Key: key, Mode: "update", OrderBy: "at"},
		"what is only appended is not deleted": {Table: "abc", Key: key, Mode: "append", DeleteWhen: "gone"},
		"tombstones: belong to a delete_when":  {Table: "abc", Key: key, Tombstones: 1},
		"counters: are for mode: update":       {Table: "abc", Key: key, Counters: []string{"n"}},
		`sets: column "n" is counters already`: {Table: "abc", Key: key, Mode: "update", Counters: []string{"n"}, Sets: []string{"n"}},
		"create: want on_demand":               {Table: "abc", Key: key, Create: "yes"},
		"belong to create: provisioned":        {Table: "abc", Key: key, Create: "on_demand", ReadUnits: 4},
		"ledger: want the name of another":     {Table: "abc", Key: key, Ledger: "abc"},
		"max_concurrency: want 1 to 1024":      {Table: "abc", Key: key, MaxConcurrency: 5000},
	} {
		require.ErrorContains(t, c.Validate(), want)
		require.ErrorIs(t, c.Validate(), core.ErrInvalid)
	}
	require.NoError(t, dynamodb.Config{Table: "abc", Key: key}.Validate())
}
